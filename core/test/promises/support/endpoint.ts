import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

/** One request that the endpoint got. */
export interface Arrival {
  /** The `id` of the event in the body. */
  readonly id: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  /** On the clock of `performance.now()`. */
  readonly at: number;
}

interface Answer {
  readonly status: number;
  readonly body?: string;
}

/** What the endpoint does with a request; `hang` takes it and never answers. */
export type Behaviour = (arrival: Arrival, attempt: number) => number | Answer | 'hang';

/** A webhook receiver that can be taken down and brought back under the same address, and that keeps what it got and when. */
export class Endpoint {
  readonly arrivals: Arrival[] = [];
  readonly byId = new Map<string, Arrival[]>();
  /** Decides the answer; `attempt` counts the requests with the same event from 1. */
  behave: Behaviour = () => 200;
  /** How long it works on a request before it has taken it. A caller that is gone by then was not heard. */
  workMs = 0;
  private server: Server | null = null;
  private port = 0;
  private readonly waiting = new Set<() => void>();

  static async open(): Promise<Endpoint> {
    const endpoint = new Endpoint();
    await endpoint.up();
    return endpoint;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/hook`;
  }

  /** Listens, at the address it had before. */
  async up(): Promise<void> {
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      const take = (): void => {
        if (response.destroyed) return;
        const answer = this.take(request.headers, Buffer.concat(chunks).toString('utf8'));
        if (answer === 'hang') return;
        const { status, body } = typeof answer === 'number' ? { status: answer, body: '' } : { body: '', ...answer };
        response.writeHead(status, { 'content-type': 'text/plain' }).end(body);
      };
      request.on('end', () => (this.workMs === 0 ? take() : setTimeout(take, this.workMs)));
      // A killed router leaves half a request behind.
      request.on('error', () => response.destroy());
    });
    server.listen(this.port, '127.0.0.1');
    await once(server, 'listening');
    this.port = (server.address() as AddressInfo).port;
    this.server = server;
  }

  /** Stops listening and drops every connection: the next one is refused. */
  async down(): Promise<void> {
    const { server } = this;
    this.server = null;
    if (server === null) return;
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  }

  get ids(): ReadonlySet<string> {
    return new Set(this.byId.keys());
  }

  /** How many requests came for an event. */
  attemptsOf(id: string): number {
    return this.byId.get(id)?.length ?? 0;
  }

  /** Resolves when `there` is true of what arrived; the test's own timeout ends the waiting. */
  async until(there: (endpoint: this) => boolean): Promise<void> {
    while (!there(this)) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.waiting.delete(look);
          resolve();
        };
        this.waiting.add(look);
      });
    }
  }

  /** Resolves when each of the events came at least once. */
  async got(ids: Iterable<string>): Promise<void> {
    const wanted = [...ids];
    await this.until(() => wanted.every((id) => this.byId.has(id)));
  }

  private take(headers: IncomingHttpHeaders, body: string): ReturnType<Behaviour> {
    const { id } = JSON.parse(body) as { readonly id: string };
    const arrival: Arrival = { id, headers, body, at: performance.now() };
    this.arrivals.push(arrival);
    const before = this.byId.get(id);
    if (before === undefined) this.byId.set(id, [arrival]);
    else before.push(arrival);
    for (const look of this.waiting) look();
    return this.behave(arrival, this.attemptsOf(id));
  }
}
