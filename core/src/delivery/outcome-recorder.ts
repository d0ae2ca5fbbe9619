import { setTimeout as delay } from 'node:timers/promises';
import type { Kysely } from 'kysely';
import type { Logger } from '@switchyard/plugin-sdk';
import type { Database } from '../store/schema.ts';
import { isStatementFault } from '../store/outage.ts';
import type { Progress, RetryResult } from './records.ts';
import { writeProgress, writeRetries } from './record-statements.ts';

interface Waiting {
  readonly record: { readonly progress: Progress } | { readonly retry: RetryResult };
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Between two transactions: what arrives meanwhile shares the next one. It is far below what a person or a receiver notices. */
const PAUSE_MS = 5;
const BACKOFF = { first: 100, most: 2_000 };
/** Keeps one transaction short enough for the others that use the database. */
const MAX_RECORDS = 200;

/**
 * Writes what became of events: the cursor, its counters, retries, dead letters and attempts of one stretch in one transaction. Stretches of many
 * subscriptions share a transaction.
 *
 * While the database is away it waits and tries again, without end: an outage of ours costs no event an attempt. Whoever waits for a record
 * waits as long, which is what stops consumption.
 */
export class OutcomeRecorder {
  private waiting: Waiting[] = [];
  private writing: Promise<void> | null = null;

  constructor(
    private readonly db: Kysely<Database>,
    private readonly logger: Logger,
    /** Ends the waiting for a database that is away: only when the process stops. */
    private readonly stop: AbortSignal,
  ) {}

  /** Resolves when the outcome is committed. Records of one cursor are committed in the order of the calls. */
  progress(progress: Progress): Promise<void> {
    return this.add({ progress });
  }

  retried(retry: RetryResult): Promise<void> {
    return this.add({ retry });
  }

  private add(record: Waiting['record']): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ record, resolve, reject });
      this.writing ??= this.writeAll();
    });
  }

  private async writeAll(): Promise<void> {
    while (this.waiting.length > 0) {
      await delay(PAUSE_MS);
      const group = this.waiting.splice(0, MAX_RECORDS);
      try {
        await this.write(group);
        for (const { resolve } of group) resolve();
      } catch (error) {
        if (group.length === 1 || this.stop.aborted) for (const { reject } of group) reject(error);
        else await this.writeOneByOne(group);
      }
    }
    this.writing = null;
  }

  /** Something in the group cannot be written: only its own cursor stops, the others go on. */
  private async writeOneByOne(group: readonly Waiting[]): Promise<void> {
    for (const waiting of group) {
      try {
        await this.write([waiting]);
        waiting.resolve();
      } catch (error) {
        waiting.reject(error);
      }
    }
  }

  private async write(group: readonly Waiting[]): Promise<void> {
    const progress = group.flatMap(({ record }) => ('progress' in record ? [record.progress] : []));
    const retries = group.flatMap(({ record }) => ('retry' in record ? [record.retry] : []));
    let backoff = BACKOFF.first;
    for (;;) {
      try {
        await this.db.transaction().execute(async (tx) => {
          await writeProgress(tx, progress);
          await writeRetries(tx, retries);
        });
        return;
      } catch (error) {
        // A RangeError or TypeError was thrown while the statement was built: no waiting mends it.
        if (isStatementFault(error) || error instanceof RangeError || error instanceof TypeError || this.stop.aborted)
          throw error;
        this.logger.warn(
          'The database does not answer: outcomes wait in memory, cursors stand still, events are still accepted.',
          { error: String(error), retry_in_ms: backoff },
        );
        await delay(backoff, undefined, { signal: this.stop });
        backoff = Math.min(backoff * 2, BACKOFF.most);
      }
    }
  }
}
