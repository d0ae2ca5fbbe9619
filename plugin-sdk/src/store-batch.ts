import { hash } from 'node:crypto';
import type { Kysely } from 'kysely';
import {
  delivered,
  failed,
  type BatchPosition,
  type DeliveryBatch,
  type DeliveryOutcome,
  type DeliveryOutcomes,
} from './destination.ts';
import { PermanentError, RetryableError } from './errors.ts';
import type { Event, EventId } from './event.ts';

/** The two tables by which a store in our database knows what it already holds. They stand beside the store's own tables. */
type StoreTables = {
  store_positions: { subscription_id: string; partition: string; last_offset: number };
  event_ledger: { destination_id: string; event_id: string };
};

/** What `claimIds` reads: a common table expression of this name with at least these columns. */
type ClaimableBatch = {
  batch: { id: string; claim: boolean };
};

/**
 * How a store writes. Each call is ONE statement (or one transaction): all of it happens or nothing.
 *
 * With a position, it writes only if `movePosition(…, position.first)` moved, and resolves to whether it did. Without one, it writes
 * each event unless its id was stored before, whatever happened to that event until now, and resolves to true.
 */
export type StoreWrite = (events: readonly Event[], position: BatchPosition | null) => Promise<boolean>;

export interface BatchStore {
  readonly write: StoreWrite;
  /** Moves the position and writes nothing. */
  readonly move: (position: BatchPosition) => Promise<void>;
  /** The code of the `PermanentError` for an event that the database refuses to hold. */
  readonly refusedCode: string;
}

/**
 * Stores a batch exactly once in effect, and says what became of every event.
 *
 * - A batch that is next in line is one round trip: rows and position in the same statement. If the answer is lost (crash, dropped connection, abort),
 *   the batch comes again with the same position, and the position says whether the first time was committed.
 * - A batch that begins at or before the stored position, and a batch without position, is decided event by event, by id. It is NOT skipped as a
 *   whole: an event that was refused the first time is not stored, and skipping it would lose the refusal.
 * - An event that the database refuses (data that it cannot hold) is found by halving the batch: its neighbours are stored, it alone is failed.
 *   The halves are stored by id and the position moves last, so a crash in between repeats and changes nothing.
 * - Anything else that the database answers speaks of the database, not of the events: `RetryableError` for the whole batch. What may have been stored by
 *   then is found again by its id.
 */
export async function storeBatch(
  store: BatchStore,
  batch: DeliveryBatch,
  signal: AbortSignal,
): Promise<DeliveryOutcomes> {
  // The first of several with one id stands: a repeat within the batch is as harmless as one in another batch.
  const events = new Map<EventId, Event>();
  for (const { id, event } of batch.items) {
    if (!events.has(id)) events.set(id, event);
  }
  const refused = new Map<EventId, PermanentError>();
  const { position } = batch;

  const tryWrite = async (part: readonly Event[], at: BatchPosition | null): Promise<boolean | Refusal> => {
    signal.throwIfAborted();
    try {
      return await orAborted(store.write(part, at), signal);
    } catch (error) {
      signal.throwIfAborted();
      const refusal = asRefusal(error);
      if (refusal === null) throw unavailable(error);
      return refusal;
    }
  };
  const writeById = async (part: readonly Event[]): Promise<void> => {
    const result = await tryWrite(part, null);
    if (typeof result === 'boolean') return;
    const [only, second] = part;
    if (only !== undefined && second === undefined) {
      refused.set(
        only.id,
        new PermanentError(`The database cannot hold this event: ${result.message} (SQLSTATE ${result.sqlState}).`, {
          code: store.refusedCode,
          cause: result.cause,
        }),
      );
      return;
    }
    const middle = part.length >> 1;
    await writeById(part.slice(0, middle));
    await writeById(part.slice(middle));
  };

  const all = [...events.values()];
  if (position === null || (await tryWrite(all, position)) !== true) {
    if (all.length > 0) await writeById(all);
    if (position !== null) {
      await orAborted(store.move(position), signal).catch((error: unknown) => {
        signal.throwIfAborted();
        throw unavailable(error);
      });
    }
  }
  return new Map(
    [...events.keys()].map((id): [EventId, DeliveryOutcome] => {
      const error = refused.get(id);
      return [id, error === undefined ? delivered() : failed(error)];
    }),
  );
}

/**
 * Moves the stored position to the batch's last offset if it stands before `before` (or was never stored), and returns a row if it did. `position.first`
 * asks "is this batch next in line?", `position.last` only ever moves it forward.
 *
 * The row stays locked until commit: a second worker with the same partition (one of them lost its lease and does not know) waits, and then does not move.
 */
export function movePosition(db: Kysely<unknown>, position: BatchPosition, before: number) {
  return db
    .withTables<StoreTables>()
    .insertInto('store_positions')
    .values({ subscription_id: position.subscription, partition: position.partition, last_offset: position.last })
    .onConflict((conflict) =>
      conflict
        .columns(['subscription_id', 'partition'])
        .doUpdateSet((eb) => ({ last_offset: eb.ref('excluded.last_offset') }))
        .where('store_positions.last_offset', '<', before),
    )
    .returning('last_offset');
}

/**
 * Claims the ids of those rows of the statement's `batch` whose `claim` is true, and returns as `event_id` those that nobody had claimed in this scope.
 * In the order of ids, so that two statements with the same ids wait for each other and never in a circle.
 */
export function claimIds(db: Kysely<unknown>, scope: string) {
  return db
    .withTables<StoreTables & ClaimableBatch>()
    .insertInto('event_ledger')
    .columns(['destination_id', 'event_id'])
    .expression((eb) =>
      eb
        .selectFrom('batch')
        .select([eb.cast<string>(eb.val(scope), 'uuid').as('destination_id'), 'batch.id as event_id'])
        .where('batch.claim', '=', true)
        .orderBy('batch.id'),
    )
    .onConflict((conflict) => conflict.doNothing())
    .returning('event_id');
}

/**
 * The ledger's scope of one table of one project. Not the destination's id: when two destinations of a project (or a deleted one and its successor)
 * write into the same table, an event still belongs there once.
 */
export function storeScope(project: string, table: string): string {
  const digest = hash('sha1', `${project}/${table}`, 'hex');
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-8${digest.slice(13, 16)}-8${digest.slice(17, 20)}-${digest.slice(20, 32)}`;
}

/**
 * Runs a query under the contract of `query`, `series` and `check`: a filter that the database cannot read (not a timestamp, a NUL character) is a
 * `PermanentError` with the code QUERY_INVALID, an outage is a `RetryableError`, and an abort stops the waiting.
 */
export async function readStore<Result>(query: () => Promise<Result>, signal: AbortSignal): Promise<Result> {
  signal.throwIfAborted();
  try {
    return await orAborted(query(), signal);
  } catch (error) {
    signal.throwIfAborted();
    const refusal = asRefusal(error);
    if (refusal === null) throw unavailable(error);
    throw new PermanentError(`The database cannot read a filter of this query: ${refusal.message}.`, {
      code: 'QUERY_INVALID',
      cause: error,
    });
  }
}

interface Refusal {
  readonly message: string;
  readonly sqlState: string;
  readonly cause: unknown;
}

/**
 * Data that cannot be held (class 22), breaks a constraint (23) or is too large for an index or a type (54). Only these speak of the events; a connection, a deadlock, a
 * full disk, a read-only server or a missing table speaks of the database, and events are not dead-lettered for an outage of ours.
 */
function asRefusal(error: unknown): Refusal | null {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return null;
  return /^(?:22|23|54)[0-9A-Z]{3}$/.test(error.code)
    ? { message: error.message, sqlState: error.code, cause: error }
    : null;
}

function unavailable(error: unknown): RetryableError {
  const reason = error instanceof Error ? error.message : String(error);
  const code = error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : '';
  return new RetryableError(
    `The database did not do what it was asked: ${reason}${code}. Nothing is lost: try again.`,
    { code: 'DATABASE_UNAVAILABLE', cause: error },
  );
}

/** Stops waiting when `signal` aborts. The statement may still be committed: whoever repeats the batch finds that out. */
async function orAborted<Result>(work: Promise<Result>, signal: AbortSignal): Promise<Result> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  signal.addEventListener('abort', abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener('abort', abort);
  }
}
