import { sql } from 'kysely';
import { Databases } from './databases.ts';

const databases = new Databases();
afterEach(() => databases.clean());

const backend = sql<{ pid: number }>`select pg_backend_pid() as pid`;

it('survives the loss of a connection in use: its query rejects, and later ones get another', async () => {
  const { db } = await databases.postgres();
  const other = db.connection();
  await db.connection().execute(async (connection) => {
    const { rows } = await backend.execute(connection);
    const sleeping = sql`select pg_sleep(60)`.execute(connection);
    await other.execute((killer) => sql`select pg_terminate_backend(${rows[0]?.pid})`.execute(killer));
    await expect(sleeping).rejects.toMatchObject({ code: '57P01' });
  });
  await expect(afterALoss(() => backend.execute(db))).resolves.toMatchObject({ rows: [{}] });
});

it('survives the loss of an idle connection', async () => {
  const databaseUrl = await databases.postgresUrl();
  const { db } = await databases.open({ databaseUrl });
  const killer = await databases.open({ databaseUrl });
  const { rows } = await backend.execute(db);
  await sql`select pg_terminate_backend(${rows[0]?.pid}, 5000)`.execute(killer.db);
  const again = await afterALoss(() => backend.execute(db));
  expect(again.rows).not.toEqual(rows);
});

it('opens while PostgreSQL is away: whoever queries gets the error', async () => {
  const { db, kind } = await databases.open({ databaseUrl: 'postgres://nobody@127.0.0.1:1/nothing' });
  expect(kind).toBe('postgres');
  await expect(sql`select 1`.execute(db)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
});

it('bounds every statement', async () => {
  const { db } = await databases.postgres();
  const { rows } = await sql`show statement_timeout`.execute(db);
  expect(rows).toEqual([{ statement_timeout: '1min' }]);
});

/** A query may still be given the lost connection, when its end has not been noticed yet; the one after that is not. */
async function afterALoss<Result>(query: () => Promise<Result>): Promise<Result> {
  return await query().catch(query);
}
