import { once } from 'node:events';
import type { Socket } from 'node:net';
import { parseAllowList, type AllowList } from '../../src/egress/address.ts';
import { guardedConnector } from '../../src/egress/connector.ts';
import { closeServers, serveBytes } from './servers.ts';

// The client refuses a literal address before it comes to connecting. These are the walls behind that one.

afterEach(closeServers);

function connect(allow: AllowList, hostname: string, port: number, answer: readonly string[] = []): Promise<Socket> {
  const connector = guardedConnector(allow, async () => answer, 2_000);
  return new Promise((resolve, reject) => {
    connector({ hostname, host: hostname, protocol: 'http:', port: String(port) }, (...[error, socket]) => {
      if (error === null) resolve(socket);
      else reject(error);
    });
  });
}

const blocked = { kind: 'config', code: 'ADDRESS_BLOCKED' };

test.each(['127.0.0.1', '::1', '::ffff:127.0.0.1', '169.254.169.254', '0.0.0.0'])(
  'a literal address (%s) is refused, although no look-up is asked for it',
  async (address) => {
    const server = await serveBytes(() => undefined);
    await expect(connect([], address, server.port)).rejects.toMatchObject(blocked);
    expect(server.sockets).toHaveLength(0);
  },
);

test('a name is refused by what it leads to', async () => {
  const server = await serveBytes(() => undefined);
  await expect(connect([], 'inside.example', server.port, ['127.0.0.1'])).rejects.toMatchObject(blocked);
  expect(server.sockets).toHaveLength(0);
});

test('a connection whose far end turns out to be refused is closed before anything is sent', async () => {
  let received = 0;
  const server = await serveBytes(() => (received += 1));
  // Allows at look-up, and no more once the connection stands.
  const open = parseAllowList(['127.0.0.0/8']);
  let asked = 0;
  const fickle: AllowList = Object.assign([...open], {
    some: (test: Parameters<AllowList['some']>[0]) => {
      asked += 1;
      return asked === 1 && open.some(test);
    },
  });
  await expect(connect(fickle, 'fickle.example', server.port, ['127.0.0.1'])).rejects.toMatchObject(blocked);
  const [socket] = server.sockets;
  if (socket !== undefined && !socket.closed) await once(socket, 'close');
  expect({ connections: server.sockets.length, received }).toEqual({ connections: 1, received: 0 });
});

test('what is allowed is connected to', async () => {
  const server = await serveBytes(() => undefined);
  const socket = await connect(parseAllowList(['127.0.0.0/8']), 'good.example', server.port, ['127.0.0.1']);
  expect(socket.remoteAddress).toBe('127.0.0.1');
  socket.destroy();
});
