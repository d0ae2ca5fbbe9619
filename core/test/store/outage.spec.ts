import { once } from 'node:events';
import net, { type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { isStatementFault, isStoreOutage } from '../../src/store/outage.ts';
import { Databases } from './databases.ts';

const databases = new Databases();
afterEach(() => databases.clean());

const failureOf = async (query: Promise<unknown>): Promise<unknown> =>
  query.then(
    () => null,
    (error: unknown) => error,
  );

const ping = async (databaseUrl: string): Promise<unknown> => {
  const { db } = await databases.open({ databaseUrl });
  return failureOf(sql`select 1`.execute(db));
};

describe('an outage', () => {
  it('is a server that refuses connections', async () => {
    const server = net.createServer().listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    server.close();
    await once(server, 'close');
    expect(isStoreOutage(await ping(`postgres://nobody@127.0.0.1:${port}/none`))).toBe(true);
  });

  it('is a server that hangs up', async () => {
    const server = net.createServer((socket) => socket.destroy()).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(isStoreOutage(await ping(`postgres://nobody@127.0.0.1:${port}/none`))).toBe(true);
    server.close();
  });

  it('is a connection that an operator ends', async () => {
    const { db } = await databases.postgres();
    expect(isStoreOutage(await failureOf(sql`select pg_terminate_backend(pg_backend_pid())`.execute(db)))).toBe(true);
    // The pool learns of it a moment later, and makes a new connection.
    await sleep(50);
    expect(await failureOf(sql`select 1`.execute(db))).toBeNull();
  });
});

it('a statement that is wrong is no outage: waiting would not help', async () => {
  const { db } = await databases.postgres();
  for (const statement of [sql`select 1/0`, sql`selekt 1`, sql`select 'x'::uuid`, sql`select * from nowhere`]) {
    const error = await failureOf(statement.execute(db));
    expect([isStoreOutage(error), isStatementFault(error)]).toEqual([false, true]);
  }
});
