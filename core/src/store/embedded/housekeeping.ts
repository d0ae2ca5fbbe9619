import type { Logger } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';
import type { Database } from '../schema.ts';

/** Small tables that change with every batch: without it they grow by a dead row a change. */
const HOT = { everyMs: 60_000, statements: ['vacuum (analyze) cursors', 'vacuum (analyze) store_positions', 'vacuum (analyze) filtered_by', 'vacuum (analyze) deliveries'] } as const;
/** Large tables that only grow: reading a sample keeps the planner on the right index. */
const LARGE = { everyMs: 10 * 60_000, statements: ['analyze events', 'analyze aggregates', 'analyze attempts', 'analyze event_ledger'] } as const;

/**
 * Does for the embedded database what PostgreSQL's autovacuum does for itself: it has no background processes. Each statement takes milliseconds, and the
 * one session is free between them. Returns what ends it.
 */
export function keepHouse(db: Kysely<Database>, logger: Logger): () => Promise<void> {
  let working = Promise.resolve();
  let stopped = false;
  const timers = [HOT, LARGE].map(({ everyMs, statements }) =>
    setInterval(() => {
      working = working.then(async () => {
        for (const statement of statements) {
          if (stopped) return;
          await sql.raw(statement).execute(db);
        }
      }).catch((error: unknown) => logger.warn('The embedded database could not be tidied up; it is tried again.', { error: String(error) }));
    }, everyMs),
  );
  return async () => {
    stopped = true;
    for (const timer of timers) clearInterval(timer);
    await working;
  };
}
