import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { MessageCutter } from '../http-framing.ts';
import type { Handler } from './handler.ts';

export interface Received {
  readonly port: number;
  readonly count: number;
  /** Between the first and the last request since the last reset. */
  readonly seconds: number;
}

const OK = 'HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nok';

/** Takes webhooks and says how many came, and how fast. Asked for `reset`, it begins to count anew. */
export async function openReceiver(): Promise<Handler> {
  let count = 0;
  let firstAt = 0;
  let lastAt = 0;
  const server = createServer({ noDelay: true }, (socket) => {
    const cutter = new MessageCutter(() => {
      lastAt = performance.now();
      if (count === 0) firstAt = lastAt;
      count += 1;
      socket.write(OK);
    });
    socket.on('data', (chunk: Buffer) => cutter.push(chunk));
    socket.on('error', () => socket.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return (request): Received => {
    if (request === 'reset') count = 0;
    return { port, count, seconds: (lastAt - firstAt) / 1000 };
  };
}
