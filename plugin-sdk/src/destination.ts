import type { PluginMeta } from './config.ts';
import type { Lifecycle, PluginContext } from './context.ts';
import type { DeliveryError } from './errors.ts';
import type { Event, EventId } from './event.ts';
import type { EventQuery, Page, SeriesPoint, SeriesQuery } from './query.ts';

/** One event on its way out. */
export interface DeliveryItem {
  /** Stable over every attempt, redelivery and replay: what a receiver removes duplicates by. */
  readonly id: EventId;
  readonly event: Event;
  /** Its place in the partition. Several items share it when a transform made several events of one. */
  readonly offset: number;
  /** 1 for the first attempt. */
  readonly attempt: number;
}

/**
 * Where a batch stands in the log. Between two batches of one (subscription, partition), offsets only grow, unless the
 * batch is a redelivery. A store that keeps `last` in the transaction that writes the rows, and skips what is at or before
 * the `last` it holds, is exactly-once in effect.
 */
export interface BatchPosition {
  readonly subscription: string;
  /** Names the partition and the log's incarnation: a new log never continues an old one's offsets. */
  readonly partition: string;
  readonly first: number;
  readonly last: number;
}

export interface DeliveryBatch {
  /** Null for retries and replays: their events come from many places, each may have been stored before. */
  readonly position: BatchPosition | null;
  readonly items: readonly DeliveryItem[];
}

/** What was said on the wire, kept with the attempt. Bodies are cut to what the log of attempts keeps; put no secret here. */
export interface Exchange {
  readonly request: string;
  readonly response?: { readonly status: number; readonly body: string };
}

export type DeliveryOutcome =
  | { readonly status: 'delivered'; readonly exchange?: Exchange }
  | { readonly status: 'failed'; readonly error: DeliveryError; readonly exchange?: Exchange };

export function delivered(exchange?: Exchange): DeliveryOutcome {
  return exchange === undefined ? { status: 'delivered' } : { status: 'delivered', exchange };
}

export function failed(error: DeliveryError, exchange?: Exchange): DeliveryOutcome {
  return exchange === undefined ? { status: 'failed', error } : { status: 'failed', error, exchange };
}

export type DeliveryOutcomes = ReadonlyMap<EventId, DeliveryOutcome>;

export interface CheckResult {
  readonly ok: boolean;
  /** One sentence for a person: what was tried and what came back. */
  readonly message: string;
  readonly exchange?: Exchange;
}

/**
 * How batches of one subscription follow each other.
 * - `none`: as many at once as `concurrency` allows, in any order.
 * - `key`: as `none`, but events of one key (same `user_id`) one after the other, and a later one never before an earlier one has an outcome that
 *   is final; an event that waits for a retry holds back its own key only. A batch then holds one event.
 * - `partition`: for stores. One batch at a time in each partition, in order of offset; a batch whose `deliver` throws is redelivered with the
 *   same position before anything later. Only a per-event failure leaves the line.
 */
export type Ordering = 'none' | 'key' | 'partition';

export interface DestinationCapabilities {
  /**
   * `maxEvents: 1` is the single-event destination: there is no second method. `maxWaitMs` lets a batch fill for that long before it is delivered; it
   * is for stores, where a fuller batch costs less.
   */
  readonly batch: { readonly maxEvents: number; readonly maxWaitMs?: number };
  /** How many `deliver` calls may be under way for one subscription. */
  readonly concurrency: number;
  readonly ordering: Ordering;
}

export interface Destination extends Lifecycle {
  /**
   * Delivers a batch and says what became of every item, by id. A missing id is recorded as `PLUGIN_MISSING_OUTCOME` (permanent).
   *
   * A throw applies to the whole batch and is allowed only before the first side effect; after it, outcomes.
   * When `signal` aborts, stop as soon as possible. If nothing was sent yet, throw its reason: the batch is requeued and no attempt is spent. If something
   * was, answer with the outcomes that are known, and `RetryableError` for the rest.
   * Never sleeps, never loops over attempts: retries, rate limits, concurrency and dead letters belong to core.
   */
  deliver(batch: DeliveryBatch, signal: AbortSignal): Promise<DeliveryOutcomes>;
  /**
   * "Test connection": with short-lived resources of its own, without `open`, changing nothing on the other side that matters. Resolves with
   * `ok: false` when the other side cannot be reached or refuses; a throw is a bug.
   */
  check(signal: AbortSignal): Promise<CheckResult>;
  /** Optional: this destination keeps events and can list them, newest first. */
  query?(query: EventQuery, signal: AbortSignal): Promise<Page<Event>>;
  /** Optional: this destination keeps counts per event name and time bucket. */
  series?(query: SeriesQuery, signal: AbortSignal): Promise<readonly SeriesPoint[]>;
}

export interface DestinationDefinition<Config> extends PluginMeta<Config> {
  readonly kind: 'destination';
  readonly capabilities: DestinationCapabilities;
  /**
   * Looks at a configuration beyond what the schema can say, without I/O; throws `ConfigError` with what is wrong and where. Called
   * when a destination is saved and again before `create`.
   */
  validate?(config: Config): void;
  /** Pure: no I/O, no timers. */
  create(config: Config, context: PluginContext): Destination;
}

export function defineDestination<Config>(
  definition: Omit<DestinationDefinition<Config>, 'kind'>,
): DestinationDefinition<Config> {
  return { kind: 'destination', ...definition };
}
