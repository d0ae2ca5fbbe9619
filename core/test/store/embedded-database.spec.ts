import fs from 'node:fs';
import path from 'node:path';
import { jest } from '@jest/globals';
import { sql } from 'kysely';
import { Databases } from './databases.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
afterEach(() => databases.clean());

it('gives a transaction the database to itself', async () => {
  const { db } = await databases.embedded();
  await sql`create table counter as select 0 as n`.execute(db);
  // Each reads and writes in two statements: were they to interleave, increments would be lost.
  const increment = (): Promise<void> =>
    db.transaction().execute(async (trx) => {
      const { rows } = await sql<{ n: number }>`select n from counter`.execute(trx);
      await sql`update counter set n = ${(rows[0]?.n ?? 0) + 1}`.execute(trx);
    });
  await Promise.all(Array.from({ length: 20 }, increment));
  expect((await sql`select n from counter`.execute(db)).rows).toEqual([{ n: 20 }]);
});

it('keeps a statement from outside out of a transaction that is open', async () => {
  const { db } = await databases.embedded();
  await sql`create table t (v text)`.execute(db);
  let outside: Promise<unknown> | undefined;
  await expect(
    db.transaction().execute(async (trx) => {
      await sql`insert into t values ('inside')`.execute(trx);
      outside = sql`insert into t values ('outside')`.execute(db);
      await sql`select 1`.execute(trx);
      throw new Error('rolled back');
    }),
  ).rejects.toThrow('rolled back');
  await outside;
  expect((await sql`select v from t`.execute(db)).rows).toEqual([{ v: 'outside' }]);
});

it('goes on after a failed statement in a transaction has undone it', async () => {
  const { db } = await databases.embedded();
  await sql`create table t (v int unique)`.execute(db);
  await expect(
    db.transaction().execute(async (trx) => {
      await sql`insert into t values (1)`.execute(trx);
      await sql`insert into t values (1)`.execute(trx);
    }),
  ).rejects.toMatchObject({ code: '23505', constraint: 't_v_key', detail: 'Key (v)=(1) already exists.' });
  expect((await sql`select * from t`.execute(db)).rows).toEqual([]);
});

it('leaves the main thread free while a query runs', async () => {
  const { db } = await databases.embedded();
  let turns = 0;
  const turning = setInterval(() => turns++, 1);
  await sql`select pg_sleep(0.3)`.execute(db);
  clearInterval(turning);
  expect(turns).toBeGreaterThan(10);
});

it('keeps its rows over a close and a second start', async () => {
  const dataDir = databases.folder();
  const first = await databases.open({ dataDir });
  await sql`create table t as select 7 as v`.execute(first.db);
  await first.close();
  const { db } = await databases.open({ dataDir });
  expect((await sql`select v from t`.execute(db)).rows).toEqual([{ v: 7 }]);
});

it('makes its database beside its place first, so that a start that was cut off is simply made again', async () => {
  const dataDir = databases.folder();
  fs.mkdirSync(path.join(dataDir, 'db.new'));
  fs.writeFileSync(path.join(dataDir, 'db.new', 'PG_VERSION'), 'half written');
  const { db } = await databases.open({ dataDir });
  expect((await sql`select 1 as v`.execute(db)).rows).toEqual([{ v: 1 }]);
  expect(fs.readdirSync(dataDir)).toEqual(['db']);
});

it('says why when it cannot be opened', async () => {
  const dataDir = databases.folder();
  fs.writeFileSync(path.join(dataDir, 'db'), 'not a folder');
  await expect(databases.open({ dataDir })).rejects.toThrow(/the embedded database has stopped: .*db/);
});

it('rejects what waits, and reports it once, when the database dies', async () => {
  const stopped: Error[] = [];
  const database = await databases.embedded((error) => stopped.push(error));
  const { db } = database;
  // PGlite's stack overflows, which ends PostgreSQL inside it. PGlite itself would report success, without a row.
  const fatal = sql`select ${'['.repeat(1_000_000)}::jsonb`.execute(db);
  const waiting = sql`select 1`.execute(db);
  const lost = { code: '08006', message: expect.stringContaining('the embedded database has stopped: PGlite crashed') };
  await expect(fatal).rejects.toMatchObject(lost);
  await expect(waiting).rejects.toMatchObject(lost);
  await expect(sql`select 1`.execute(db)).rejects.toMatchObject(lost);
  expect(stopped).toEqual([expect.objectContaining(lost)]);
  await database.close();
});
