import { jest } from '@jest/globals';
import { migrateToLatest, migrations } from '@switchyard/migrations';
import { sql } from 'kysely';
import type { OpenDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/schema.ts';
import { Databases } from './databases.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
afterEach(() => databases.clean());

const all = Object.keys(migrations);

describe.each(['embedded', 'postgres'] as const)('migrations on %s', (kind) => {
  it('build the schema from empty, and a second run changes nothing', async () => {
    const { db } = await databases[kind]();
    expect(await migrateToLatest(db)).toEqual(all);
    const built = await columns({ db });
    expect(built).toContainEqual({ table: 'deliveries', column: 'log_offset', type: 'bigint', nullable: 'NO' });
    expect(await migrateToLatest(db)).toEqual([]);
    expect(await columns({ db })).toEqual(built);
  });

  it('throw, name the migration that failed, and leave nothing half done', async () => {
    const { db } = await databases[kind]();
    await sql`create table attempts (in_the_way int)`.execute(db);
    await expect(migrateToLatest(db)).rejects.toThrow(/0002-delivery: relation "attempts" already exists/);
    expect(await columns({ db })).toEqual([
      { table: 'attempts', column: 'in_the_way', type: 'integer', nullable: 'YES' },
    ]);
    await sql`drop table attempts`.execute(db);
    expect(await migrateToLatest(db)).toEqual(all);
  });
});

it('give PGlite and PostgreSQL the same tables', async () => {
  const schemas = [];
  for (const database of [await databases.embedded(), await databases.postgres()]) {
    await migrateToLatest(database.db);
    schemas.push(await columns(database));
  }
  expect(schemas[0]).toEqual(schemas[1]);
});

it('run once when several processes start together, and the others wait for them', async () => {
  const databaseUrl = await databases.postgresUrl();
  const starting = await Promise.all([1, 2, 3, 4].map(() => databases.open({ databaseUrl })));
  const applied = await Promise.all(starting.map(({ db }) => migrateToLatest(db)));
  expect(applied.filter((names) => names.length > 0)).toEqual([all]);
});

it('are not cut by the statement timeout, which holds again afterwards', async () => {
  const { db } = await databases.postgres();
  const timeout = sql<{ statement_timeout: string }>`show statement_timeout`;
  await db.connection().execute(async (connection) => {
    await sql`set statement_timeout = '1234ms'`.execute(connection);
    const seen: unknown[] = [];
    migrations['0000-watch'] = {
      up: async (trx) => {
        seen.push((await timeout.execute(trx)).rows[0]);
      },
    };
    try {
      await migrateToLatest(connection);
    } finally {
      delete migrations['0000-watch'];
    }
    expect(seen).toEqual([{ statement_timeout: '0' }]);
    expect((await timeout.execute(connection)).rows).toEqual([{ statement_timeout: '1234ms' }]);
  });
});

async function columns({ db }: Pick<OpenDatabase<Database>, 'db'>): Promise<unknown[]> {
  const { rows } = await sql`
    select table_name as table, column_name as column, data_type as type, is_nullable as nullable
    from information_schema.columns
    where table_schema = 'public' and table_name not like 'kysely%'
    order by table_name, column_name
  `.execute(db);
  return rows;
}
