import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Received {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A real webhook endpoint that keeps what it got. */
export class Receiver {
  readonly requests: Received[] = [];
  /** Decides each answer's status; 200 unless it says otherwise. */
  answer: (request: Received, index: number) => number = () => 200;
  private readonly waiting = new Set<() => void>();

  private constructor(private readonly server: Server) {}

  static async open(): Promise<Receiver> {
    const server = createServer();
    const receiver = new Receiver(server);
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const received = { headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
        receiver.requests.push(received);
        response.statusCode = receiver.answer(received, receiver.requests.length - 1);
        response.end();
        for (const look of receiver.waiting) look();
      });
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return receiver;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/hook`;
  }

  /** Resolves when so many requests came; the test's own timeout ends the waiting. */
  async reach(count: number): Promise<readonly Received[]> {
    while (this.requests.length < count) {
      await new Promise<void>((resolve) => {
        const look = (): void => {
          this.waiting.delete(look);
          resolve();
        };
        this.waiting.add(look);
      });
    }
    return this.requests;
  }

  /** The ids of the events that arrived. */
  get ids(): ReadonlySet<string> {
    return new Set(this.requests.map(({ body }) => (JSON.parse(body) as { id: string }).id));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
