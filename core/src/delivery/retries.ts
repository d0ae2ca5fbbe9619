import { sql, type Kysely } from 'kysely';
import type { DeliveryItem, Event, Logger } from '@switchyard/plugin-sdk';
import { parseExact } from '../event/json.ts';
import type { Database } from '../store/schema.ts';
import { carry } from './chunk.ts';
import type { Carried } from './fold.ts';
import type { Ending, LaneCall } from './lane.ts';
import type { OutcomeRecorder } from './outcome-recorder.ts';
import type { Attempt, RetryOutcome, RetryRow } from './records.ts';
import type { Subscription } from './subscription.ts';
import { judge } from './verdict.ts';

export interface RetryDeps {
  readonly db: Kysely<Database>;
  readonly recorder: OutcomeRecorder;
  readonly logger: Logger;
  readonly schedule: readonly number[];
  /** The subscriptions that run at present. */
  readonly subscriptions: () => Iterable<Subscription>;
  readonly onOutcome: (subscription: Subscription, state: RetryOutcome['state']) => void;
}

/** How often the table is looked at. With the schedule's steps in seconds and more, a retry is late by at most this. */
const LOOK_MS = 250;
/** Rows that one subscription may have under way, so that a destination with many retries leaves the others theirs. */
const PER_SUBSCRIPTION = 64;
/** A transform that cannot run at the moment is asked again this often, for each event. */
const TRANSFORM_AWAY_MS = 10_000;

/**
 * Takes due rows of the retry table back to their destinations. First tries and retries share the destination's slots and its breaker, in the
 * order of asking; a row that cannot go yet stays where it is.
 */
export class Retries {
  private readonly underWay = new Map<string, Promise<void>>();
  /** How many of them each subscription has. */
  private readonly counts = new Map<string, number>();
  private timer: NodeJS.Timeout | undefined;
  private looking: Promise<void> | null = null;
  /** Something became due while the table was being read. */
  private again = false;

  constructor(
    private readonly deps: RetryDeps,
    private readonly ending: Ending,
  ) {}

  start(): void {
    this.timer = setInterval(() => this.wake(), LOOK_MS);
  }

  /** Looks at the table now. */
  wake(): void {
    if (this.ending.stop.aborted) return;
    if (this.looking !== null) {
      this.again = true;
      return;
    }
    this.again = false;
    this.looking = this.look()
      .catch((error: unknown) =>
        this.deps.logger.warn('The retry table cannot be read; it is tried again in a moment.', {
          error: String(error),
        }),
      )
      .finally(() => {
        this.looking = null;
        if (this.again) this.wake();
      });
  }

  /** Resolves when nothing is under way. Call it after `stop` aborted. */
  async stopped(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
    await Promise.allSettled(this.underWay.values());
  }

  private async look(): Promise<void> {
    const ready = new Map<string, Subscription>();
    for (const subscription of this.deps.subscriptions())
      if (subscription.destination.breaker.admits && this.room(subscription.key.id) > 0)
        ready.set(subscription.key.id, subscription);
    if (ready.size === 0) return;
    for (const [id, rows] of await this.due([...ready.keys()])) {
      const subscription = ready.get(id);
      if (subscription === undefined) continue;
      for (const batch of batchesOf(rows, subscription)) {
        this.counts.set(id, (this.counts.get(id) ?? 0) + batch.length);
        const work = this.retry(subscription, batch).finally(() => {
          for (const row of batch) this.underWay.delete(row.id);
          const left = (this.counts.get(id) ?? 0) - batch.length;
          if (left > 0) this.counts.set(id, left);
          else this.counts.delete(id);
        });
        for (const row of batch) this.underWay.set(row.id, work);
      }
    }
  }

  private room(subscription: string): number {
    return PER_SUBSCRIPTION - (this.counts.get(subscription) ?? 0);
  }

  private async due(subscriptions: readonly string[]): Promise<ReadonlyMap<string, readonly RetryRow[]>> {
    const { rows } = await sql<DueRow>`
      select d.id, d.subscription_id, d.event_id, d.source_id, d.output, d.partition, d.log_offset, d.order_key, d.event, d.payload, d.attempts, d.retries, d.error_code, d.pipeline_version
      from unnest(${subscriptions}::uuid[], ${subscriptions.map((id) => this.room(id))}::int[]) as s (id, room)
      cross join lateral (
        select * from deliveries
        where subscription_id = s.id and state = 'retrying' and not held and next_at <= ${new Date().toISOString()}::timestamptz
          and id <> all(${[...this.underWay.keys()]}::uuid[])
        order by next_at, log_offset limit s.room
      ) d`.execute(this.deps.db);
    const bySubscription = new Map<string, RetryRow[]>();
    for (const row of rows) {
      const list = bySubscription.get(row.subscription_id);
      if (list === undefined) bySubscription.set(row.subscription_id, [rowOf(row)]);
      else list.push(rowOf(row));
    }
    return bySubscription;
  }

  /** Never rejects: what cannot be recorded stays in the table as it was, and is due again. */
  private async retry(subscription: Subscription, rows: readonly RetryRow[]): Promise<void> {
    try {
      const [first] = rows;
      if (first !== undefined && first.payload === null) await this.retransform(subscription, first);
      else await this.redeliver(subscription, rows);
    } catch (error) {
      this.deps.logger.error('A retry could not be finished; it is due again.', {
        subscription: subscription.key.id,
        error: String(error),
      });
    }
  }

  private async redeliver(subscription: Subscription, rows: readonly RetryRow[]): Promise<void> {
    const items = rows.map((row): DeliveryItem => itemOf(row.payload ?? row.event, row));
    const call = await subscription.lane.deliver(items, null, this.ending);
    await Promise.all(rows.map((row, index) => this.settle(subscription, row, call, index, row.payload)));
  }

  /** An event whose transforms failed goes the whole way again, through what is published now. */
  private async retransform(subscription: Subscription, row: RetryRow): Promise<void> {
    const { running } = subscription;
    const events = [{ offset: row.offset, source: row.source, event: row.event }];
    let carried: Carried | undefined;
    try {
      [carried] = await carry(events, running, this.ending.stop);
    } catch (error) {
      this.ending.stop.throwIfAborted();
      // As in the pump: the event waits, and spends nothing.
      const failure = { code: 'TRANSFORM_UNAVAILABLE', message: String(error) };
      const { attempts, retries, version } = row;
      const nextAt = Date.now() + TRANSFORM_AWAY_MS;
      return this.record(
        subscription,
        row,
        { state: 'retrying', stage: 'transform', payload: null, attempts, retries, nextAt, failure, version },
        [],
      );
    }
    if (carried === undefined) return;
    const [failed] = carried.plan.failures;
    const version = running.version;
    if (failed !== undefined) {
      const verdict = judge(failed.error, 'transform', row.retries, false, this.deps.schedule, Date.now());
      return this.record(
        subscription,
        row,
        { ...verdict, stage: 'transform', payload: null, attempts: row.attempts + 1, version },
        [],
      );
    }
    const [only] = carried.sent;
    if (only === undefined)
      return this.record(
        subscription,
        row,
        { state: 'filtered', reason: carried.plan.drops[0] ?? 'nothing leads to the destination' },
        [],
      );
    // Several outputs are one row here: it ends when all of them arrived, and all are sent again until then, under the same ids.
    const items = carried.sent.map(({ payload }) => itemOf(payload, row));
    const size = subscription.ordered ? 1 : subscription.destination.capabilities.batch.maxEvents;
    for (let from = 0; from < items.length; from += size) {
      const call = await subscription.lane.deliver(items.slice(from, from + size), null, this.ending);
      const bad = call.results.findIndex(({ status }) => status !== 'delivered');
      if (bad >= 0)
        return this.settle(subscription, { ...row, version }, call, bad, items.length === 1 ? only.payload : null);
      if (from + size >= items.length) return this.settle(subscription, { ...row, version }, call, 0, only.payload);
    }
  }

  private async settle(
    subscription: Subscription,
    row: RetryRow,
    call: LaneCall,
    index: number,
    payload: Event | null,
  ): Promise<void> {
    const result = call.results[index];
    if (result === undefined || result.status === 'requeued') return;
    const failure = result.status === 'failed' ? result.failure : null;
    const attempt: Attempt = {
      eventId: row.eventId,
      output: row.output,
      attempt: row.attempts + 1,
      startedAt: call.startedAt,
      durationMs: call.durationMs,
      failure: failure === null ? null : { code: failure.code, message: failure.message },
      exchange: result.exchange,
      version: row.version,
    };
    if (failure === null) return this.record(subscription, row, { state: 'delivered' }, [attempt]);
    const verdict = judge(failure, 'delivery', row.retries, call.probe, this.deps.schedule, Date.now());
    return this.record(
      subscription,
      row,
      { ...verdict, stage: 'delivery', payload, attempts: row.attempts + 1, version: row.version },
      [attempt],
    );
  }

  private async record(
    subscription: Subscription,
    row: RetryRow,
    outcome: RetryOutcome,
    attempts: readonly Attempt[],
  ): Promise<void> {
    await this.deps.recorder.retried({ subscription: subscription.key, row, outcome, attempts });
    if (row.orderKey !== null && outcome.state !== 'retrying') {
      // The subscription may have been begun anew meanwhile (disabled, enabled).
      for (const running of this.deps.subscriptions())
        if (running.key.id === subscription.key.id) running.unblock(row.orderKey);
      // The next event of the key was let go with this record: it does not wait for the next look.
      this.wake();
    }
    this.deps.onOutcome(subscription, outcome.state);
  }
}

const itemOf = (event: Event, row: RetryRow): DeliveryItem => ({
  id: event.id,
  event,
  offset: row.offset,
  attempt: row.attempts + 1,
});

/** Rows whose transforms failed go alone; the others in batches of what the destination takes, each id once a batch. */
function* batchesOf(rows: readonly RetryRow[], { ordered, destination }: Subscription): Generator<readonly RetryRow[]> {
  const size = ordered ? 1 : destination.capabilities.batch.maxEvents;
  let batch = new Map<string, RetryRow>();
  for (const row of rows) {
    // A row that met a bug goes alone: its neighbours are not parked for it.
    if (row.payload === null || row.code.startsWith('PLUGIN_')) {
      yield [row];
      continue;
    }
    if (batch.size === size || batch.has(row.payload.id)) {
      yield [...batch.values()];
      batch = new Map();
    }
    batch.set(row.payload.id, row);
  }
  if (batch.size > 0) yield [...batch.values()];
}

interface DueRow {
  readonly id: string;
  readonly subscription_id: string;
  readonly event_id: string;
  readonly source_id: string;
  readonly output: number;
  readonly partition: string;
  readonly log_offset: number;
  readonly order_key: string | null;
  readonly event: string;
  readonly payload: string | null;
  readonly attempts: number;
  readonly retries: number;
  readonly error_code: string;
  readonly pipeline_version: number;
}

function rowOf(row: DueRow): RetryRow {
  return {
    id: row.id,
    subscription: row.subscription_id,
    eventId: row.event_id,
    output: row.output,
    partition: row.partition,
    offset: row.log_offset,
    orderKey: row.order_key,
    source: row.source_id,
    event: parseExact(row.event) as Event,
    payload: row.payload === null ? null : (parseExact(row.payload) as Event),
    attempts: row.attempts,
    retries: row.retries,
    code: row.error_code,
    version: row.pipeline_version,
  };
}
