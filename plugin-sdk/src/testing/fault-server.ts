import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** How the server treats a request that has arrived completely. */
export type Treatment = (response: ServerResponse, request: ReceivedRequest) => void;

/** An answer that a receiver gives. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface FaultServer {
  readonly url: string;
  /** Complete requests, in the order of their arrival. */
  readonly received: readonly ReceivedRequest[];
  /** Resolves as soon as `count` requests have arrived. */
  arrived(count: number): Promise<void>;
  treat(treatment: Treatment): void;
  /** Drops every connection and frees the port; a connection to `url` is refused from then on. */
  close(): Promise<void>;
}

/** A real HTTP server on loopback that can be told to misbehave. */
export async function faultServer(first: Treatment): Promise<FaultServer> {
  const received: ReceivedRequest[] = [];
  const waiting: { readonly count: number; readonly resolve: () => void }[] = [];
  let treatment = first;
  const server = createServer((incoming, response) => {
    // A client that goes away in the middle is an ordinary thing here.
    response.on('error', () => {});
    incoming.on('error', () => {});
    readBody(incoming, (body) => {
      const request = { method: incoming.method ?? '', path: incoming.url ?? '', headers: flatten(incoming), body };
      received.push(request);
      for (const { count, resolve } of waiting) if (received.length >= count) resolve();
      treatment(response, request);
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/hook`,
    received,
    arrived: (count) =>
      new Promise((resolve) => {
        if (received.length >= count) resolve();
        else waiting.push({ count, resolve });
      }),
    treat: (next) => {
      treatment = next;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function readBody(incoming: IncomingMessage, done: (body: string) => void): void {
  const chunks: Buffer[] = [];
  incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
  incoming.on('end', () => done(Buffer.concat(chunks).toString('utf8')));
}

function flatten(incoming: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(incoming.headersDistinct).map(([name, values]) => [name, (values ?? []).join(', ')]),
  );
}

export function answer({ status, headers = {}, body = '' }: Answer): Treatment {
  return (response) => {
    response.writeHead(status, headers).end(body);
  };
}

/** Accepts the request and says nothing, ever. */
export const neverAnswer: Treatment = () => {};

/** Closes the connection without a word. */
export const dropConnection: Treatment = (response) => {
  response.destroy();
};

/** Promises a body and dies in the middle of it. */
export const dropMidBody: Treatment = (response) => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('the beginning', () => response.destroy());
};

/** A 200 whose body does not end as long as somebody reads it. */
export const endlessBody: Treatment = (response) => {
  const chunk = Buffer.alloc(16_384, 'x');
  const pour = (): void => {
    while (!response.destroyed && response.write(chunk)) {
      // Until the socket is full; `drain` goes on.
    }
  };
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.on('drain', pour);
  pour();
};
