import type { Logger } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';
import type { Database } from '../schema.ts';

/** A chore: statements, and how often they are run. */
export interface Chore {
  readonly everyMs: number;
  readonly statements: readonly string[];
}

export const CHORES: readonly Chore[] = [
  // Small tables that change with every batch: without it they grow by a dead row a change.
  {
    everyMs: 60_000,
    statements: ['cursors', 'store_positions', 'filtered_by', 'deliveries'].map((table) => `vacuum (analyze) ${table}`),
  },
  // Large tables that only grow: reading a sample keeps the planner on the right index.
  {
    everyMs: 10 * 60_000,
    statements: ['events', 'aggregates', 'attempts', 'event_ledger'].map((table) => `analyze ${table}`),
  },
];

/**
 * Does for the embedded database what PostgreSQL's autovacuum does for itself: it has no background processes. Each statement takes milliseconds, and the
 * one session is free between them. Returns what ends it.
 */
export function keepHouse(
  db: Kysely<Database>,
  logger: Logger,
  chores: readonly Chore[] = CHORES,
): () => Promise<void> {
  let working = Promise.resolve();
  let stopped = false;
  const run = async (statements: readonly string[]): Promise<void> => {
    try {
      for (const statement of statements) if (!stopped) await sql.raw(statement).execute(db);
    } catch (error) {
      logger.warn('The embedded database could not be tidied up; it is tried again.', { error: String(error) });
    }
  };
  const timers = chores.map(({ everyMs, statements }) =>
    setInterval(() => {
      working = working.then(() => run(statements));
    }, everyMs),
  );
  return async () => {
    stopped = true;
    for (const timer of timers) clearInterval(timer);
    await working;
  };
}
