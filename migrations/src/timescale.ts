import { type Kysely, sql } from 'kysely';
import { runStatements } from './statements.ts';

/**
 * Whether TimescaleDB can be used here. Asks whether its loader is PRELOADED: pg_available_extensions also says yes
 * when it is merely installed, and `create extension` then ends the connection, which no exception block catches.
 * Readable without superuser, and false on plain PostgreSQL and on PGlite.
 */
export async function hasTimescale(db: Kysely<unknown>): Promise<boolean> {
  const { rows } = await sql<{ preloaded: boolean }>`
    select exists (select 1 from pg_settings where name = 'timescaledb.max_background_workers') as preloaded
  `.execute(db);
  return rows[0]?.preloaded === true;
}

/** Every statement that only TimescaleDB understands. It is a trusted extension: the database's owner may create it. */
export async function makeHypertables(db: Kysely<unknown>): Promise<void> {
  await runStatements(db, [
    `create extension if not exists timescaledb`,
    // Our own indexes serve every query that goes by time: the default one would only cost writes.
    `select create_hypertable('events', 'timestamp', chunk_time_interval => interval '1 day', create_default_indexes => false)`,
  ]);
}
