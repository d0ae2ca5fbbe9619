import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from '@switchyard/plugin-sdk';
import type { EventLog, LogEvent, Partition } from '../log/event-log.ts';
import { carry, deliverFreely, deliverInPlace, KeyChains } from './chunk.ts';
import { fold, type Carried } from './fold.ts';
import type { Ending } from './lane.ts';
import type { OutcomeRecorder } from './outcome-recorder.ts';
import type { Attempt, Progress, Undelivered } from './records.ts';
import type { Subscription } from './subscription.ts';

export interface PumpDeps {
  readonly log: EventLog;
  readonly recorder: OutcomeRecorder;
  readonly logger: Logger;
  readonly schedule: readonly number[];
  /** Told of every chunk that was recorded. */
  readonly onProgress: (subscription: Subscription, progress: Progress) => void;
}

export interface PumpStart {
  readonly partition: Partition;
  /** The partition's name in cursors and positions: it names the log's incarnation. */
  readonly partitionName: string;
  readonly next: number;
  /** The subscription ended: nothing at or beyond this offset is its. */
  readonly end: number | null;
}

/** A chunk is what one walk through the transforms takes; small enough that few events are under way when a process dies. */
const FREE_CHUNK = 32;
/** Chunks that are under way at once in a partition: one slow event does not hold up what comes behind it. */
const FREE_WINDOW = 4;
/** Batches that a store has taken and whose outcome is not recorded yet. Their positions make a redelivery harmless. */
const STORE_WINDOW = 4;
const BACKOFF = { first: 250, most: 10_000 };

/**
 * Carries one partition's events to one destination: read, transform, deliver, record, in that order, chunk after chunk.
 *
 * Guarantee: the cursor moves past an event only in the transaction that records its outcome, and in order of offset. Whatever happens between reading and
 * that transaction, the event is carried again.
 */
export class Pump {
  private next: number;
  private end: number | null;
  /** Ends the waiting for events. */
  private wake: () => void = () => undefined;
  private readonly keys: KeyChains | null;
  private readonly underWay = new Set<Promise<void>>();
  /** Rejects with the first chunk that could not be recorded. */
  private tail: Promise<void> = Promise.resolve();
  private readonly inOrder: boolean;

  constructor(
    private readonly subscription: Subscription,
    private readonly start: PumpStart,
    private readonly deps: PumpDeps,
  ) {
    this.next = start.next;
    this.end = start.end;
    this.inOrder = subscription.destination.capabilities.ordering === 'partition';
    this.keys = subscription.ordered ? new KeyChains() : null;
  }

  /** Events of the partition that were not read yet. */
  get lag(): number {
    return Math.max(0, Math.min(this.deps.log.next(this.start.partition), this.end ?? Infinity) - this.next);
  }

  /**
   * Runs until `stop` aborts or an ended subscription is drained. When `stop` aborts nothing new is begun; what is under way is finished and
   * recorded, unless `cut` aborts it. Rejects when it could not go on, by its end or because an outcome could not be recorded: begin again from the
   * stored cursor.
   */
  async run({ stop, cut }: Ending): Promise<void> {
    const { log } = this.deps;
    const { partition } = this.start;
    const failed = new AbortController();
    const halt = AbortSignal.any([stop, failed.signal]);
    try {
      while (!halt.aborted && !this.drained) {
        await this.waitForEvents(halt);
        if (halt.aborted || this.drained) break;
        const { events, next } = await log.read(partition, this.next, this.chunkSize());
        if (next === this.next) continue;
        await this.carryOn(events, next, { stop: halt, cut }, failed);
        this.next = next;
      }
    } finally {
      await Promise.allSettled(this.underWay);
    }
    await this.tail;
  }

  /** The subscription ends: what lies before `offset` is carried out, and nothing behind it. */
  endAt(offset: number): void {
    this.end = Math.max(offset, this.next);
    this.wake();
  }

  /** The subscription ended, and everything before its end was read. */
  private get drained(): boolean {
    return this.end !== null && this.next >= this.end;
  }

  private chunkSize(): number {
    const { end } = this;
    const { maxEvents } = this.subscription.destination.capabilities.batch;
    const size = this.inOrder ? maxEvents : Math.max(FREE_CHUNK, maxEvents);
    return end === null ? size : Math.min(size, end - this.next);
  }

  /** Resolves when there is something to read and, for a destination that likes full batches, it had a moment to fill; or when `halt` aborts. */
  private async waitForEvents(halt: AbortSignal): Promise<void> {
    await this.reach(1, halt);
    const { maxEvents, maxWaitMs } = this.subscription.destination.capabilities.batch;
    if (maxWaitMs !== undefined) await this.reach(maxEvents, halt, maxWaitMs);
  }

  private reach(count: number, halt: AbortSignal, mostMs?: number): Promise<void> {
    const { log } = this.deps;
    const { partition } = this.start;
    const there = (): boolean => halt.aborted || this.drained || log.next(partition) - this.next >= count;
    if (there()) return Promise.resolve();
    return new Promise((resolve) => {
      const end = (): void => {
        unwatch();
        clearTimeout(timer);
        halt.removeEventListener('abort', end);
        resolve();
      };
      const unwatch = log.watch(partition, () => {
        if (there()) end();
      });
      const timer = mostMs === undefined ? undefined : setTimeout(end, mostMs);
      halt.addEventListener('abort', end, { once: true });
      this.wake = end;
    });
  }

  /** Transforms a chunk here, so that chunks enter the destination in order; delivers and records it beside the next ones. */
  private async carryOn(
    events: readonly LogEvent[],
    next: number,
    ending: Ending,
    failed: AbortController,
  ): Promise<void> {
    const { stop } = ending;
    const { carried, version } = await this.transform(events, ending);
    if (this.inOrder)
      await deliverInPlace(
        carried,
        this.subscription,
        this.start.partitionName,
        (ms) => delay(ms, undefined, { signal: stop }),
        ending,
      );
    const delivery = this.inOrder ? Promise.resolve() : deliverFreely(carried, this.subscription, this.keys, ending);
    const before = this.tail;
    // The record of a chunk is asked for after that of the chunk before it, and both in the order of the log.
    const recorded = delivery.then(() => before).then(() => this.record(carried, next, version));
    this.tail = recorded;
    recorded.catch((error: unknown) => failed.abort(error));
    const settled = recorded.catch(() => undefined).finally(() => this.underWay.delete(settled));
    this.underWay.add(settled);
    if (this.underWay.size >= (this.inOrder ? STORE_WINDOW : FREE_WINDOW)) await Promise.race(this.underWay);
  }

  /**
   * A transform that fails as a whole for a reason that is not the events' is tried again: consumption waits, nothing is dead-lettered. Rejects only when
   * the work is ended.
   */
  private async transform(
    events: readonly LogEvent[],
    { stop }: Ending,
  ): Promise<{ readonly carried: readonly Carried[]; readonly version: number }> {
    for (let backoff = BACKOFF.first; ; backoff = Math.min(backoff * 2, BACKOFF.most)) {
      // A version that is published meanwhile takes over: the transforms of the old one may be closed.
      const { running } = this.subscription;
      const mine = events.filter(({ source }) => running.plan.entries.has(source));
      try {
        return { carried: await carry(mine, running, stop), version: running.version };
      } catch (error) {
        stop.throwIfAborted();
        this.deps.logger.warn('A transform cannot run at the moment. Its events wait in the log.', {
          subscription: this.subscription.key.id,
          error: String(error),
          retry_in_ms: backoff,
        });
        await delay(backoff, undefined, { signal: stop });
      }
    }
  }

  private async record(carried: readonly Carried[], next: number, version: number): Promise<void> {
    const { recorder, schedule } = this.deps;
    const context = { version, ordered: this.subscription.ordered, schedule, now: Date.now() };
    const undelivered: Undelivered[] = [];
    const attempts: Attempt[] = [];
    const filtered = new Map<string, number>();
    let delivered = 0;
    for (const one of carried) {
      const folded = fold(one, context);
      undelivered.push(...folded.undelivered);
      attempts.push(...folded.attempts);
      if (folded.filteredBy !== null) filtered.set(folded.filteredBy, (filtered.get(folded.filteredBy) ?? 0) + 1);
      else if (folded.undelivered.length === 0) delivered += 1;
    }
    const progress: Progress = {
      subscription: this.subscription.key,
      partition: this.start.partitionName,
      next,
      processed: carried.length,
      delivered,
      filtered,
      undelivered,
      attempts,
    };
    await recorder.progress(progress);
    this.deps.onProgress(this.subscription, progress);
  }
}
