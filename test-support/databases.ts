import { PGlite } from '@electric-sql/pglite';
import { migrateToLatest } from '@switchyard/migrations';
import { Kysely, PGliteDialect, PostgresDialect } from 'kysely';
import pg from 'pg';
import { newPostgres } from './postgres.ts';

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
  const { url, drop } = await newPostgres();
  const pool = new pg.Pool({ connectionString: url, max: 4 });
  // Sockets may still be closing when the database is dropped under them.
  pool.on('error', () => {});
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) });
  await migrateToLatest(db);
  return {
    db,
    close: async () => {
      await db.destroy();
      await drop();
    },
  };
}
