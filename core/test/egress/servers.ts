import { once } from 'node:events';
import http from 'node:http';
import net, { type AddressInfo, type Socket } from 'node:net';

/** A server on loopback, on a port of its own, that ends with everything that is connected to it. */
export interface TestServer {
  readonly url: string;
  readonly port: number;
  /** Every connection that it ever got. */
  readonly sockets: Socket[];
  close(): Promise<void>;
}

const running = new Set<TestServer>();

export function serveHttp(handler: http.RequestListener): Promise<TestServer> {
  return listen(http.createServer({ keepAliveTimeout: 60_000 }, handler));
}

/** For what no HTTP server would say. `handler` is called with the first bytes of every request. */
export function serveBytes(handler: (socket: Socket, request: string) => void): Promise<TestServer> {
  return listen(
    net.createServer((socket) => {
      socket.on('data', (bytes) => handler(socket, bytes.toString('latin1')));
    }),
  );
}

export async function listen(server: net.Server): Promise<TestServer> {
  const sockets: Socket[] = [];
  server.on('connection', (socket) => {
    sockets.push(socket);
    socket.on('error', () => undefined);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const testServer: TestServer = {
    url: `http://127.0.0.1:${port}`,
    port,
    sockets,
    close: async () => {
      running.delete(testServer);
      const closed = once(server, 'close');
      server.close();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
  running.add(testServer);
  return testServer;
}

export async function closeServers(): Promise<void> {
  await Promise.all([...running].map((server) => server.close()));
}

/** The whole body of a request, as bytes. */
export async function readAll(request: http.IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
