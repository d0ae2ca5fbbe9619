import { randomUUID } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import { migrateToLatest } from '@switchyard/migrations';
import { Kysely, PGliteDialect, PostgresDialect } from 'kysely';
import pg from 'pg';

interface TestDatabase {
  readonly db: Kysely<unknown>;
  readonly close: () => Promise<void>;
}

/** The databases that every promise is tried on: PGlite always, and PostgreSQL where `npm test` started one. */
export const databases: readonly { readonly name: string; readonly open: () => Promise<TestDatabase> }[] = [
  { name: 'PGlite', open: openPglite },
  ...(process.env['TEST_DATABASE_URL'] === undefined ? [] : [{ name: 'PostgreSQL', open: openPostgres }]),
];

async function openPglite(): Promise<TestDatabase> {
  const db = new Kysely<unknown>({ dialect: new PGliteDialect({ pglite: new PGlite() }) });
  await migrateToLatest(db);
  return { db, close: () => db.destroy() };
}

/** A database of its own, gone afterwards. */
async function openPostgres(): Promise<TestDatabase> {
  const url = new URL(process.env['TEST_DATABASE_URL'] ?? '');
  const name = `test_${randomUUID().replaceAll('-', '')}`;
  const asAdmin = async (statement: string): Promise<void> => {
    const client = new pg.Client({ connectionString: url.href });
    await client.connect();
    await client.query(statement);
    await client.end();
  };
  await asAdmin(`create database ${name}`);
  const own = new URL(url);
  own.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: own.href, max: 4 });
  // Sockets may still be closing when the database is dropped under them.
  pool.on('error', () => {});
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  await migrateToLatest(db);
  return {
    db,
    close: async () => {
      await db.destroy();
      await asAdmin(`drop database ${name} with (force)`);
    },
  };
}
