import type { Event, Exchange } from '@switchyard/plugin-sdk';

/** A destination of a published pipeline: what has a cursor. */
export interface SubscriptionKey {
  readonly id: string;
  readonly project: string;
  readonly pipeline: string;
  readonly destination: string;
}

/** Which part of the way an event failed on. */
export type Stage = 'transform' | 'delivery';

export type UndeliveredState = 'retrying' | 'dead' | 'parked';

/** Why an event was not delivered. `code` groups dead letters, so nothing in it differs from event to event. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** The output number of an event that failed before it had outputs. */
export const NO_OUTPUT = -1;

/** What is kept of a delivery that did not succeed at once: enough to try it again, or for a person to see what happened. */
export interface Undelivered {
  readonly event: Event;
  /** The source instance that it came through: where it enters the pipeline when it is carried again. */
  readonly source: string;
  /** The transformed event as it is sent; null when the transforms failed. */
  readonly payload: Event | null;
  readonly output: number;
  readonly offset: number;
  readonly stage: Stage;
  readonly state: UndeliveredState;
  /** Set for ordered destinations: later events of this key wait behind this one. */
  readonly orderKey: string | null;
  /** It was not tried, because an earlier one of its key waits. */
  readonly held: boolean;
  readonly attempts: number;
  /** How much of the retry schedule is used up. Attempts that were no fault of the event use none. */
  readonly retries: number;
  /** Epoch milliseconds; null when nothing will happen by itself. */
  readonly nextAt: number | null;
  readonly failure: Failure;
  readonly version: number;
}

/** One call of a destination, for one event. */
export interface Attempt {
  readonly eventId: string;
  readonly output: number;
  readonly attempt: number;
  readonly startedAt: number;
  readonly durationMs: number;
  readonly failure: Failure | null;
  readonly exchange: Exchange | undefined;
  readonly version: number;
}

/** What became of a stretch of a partition. Recorded in one transaction: the cursor is never ahead of an outcome, nor behind it. */
export interface Progress {
  readonly subscription: SubscriptionKey;
  readonly partition: string;
  /** Where the cursor moves to. */
  readonly next: number;
  /** Events of the subscription's sources in the stretch. */
  readonly processed: number;
  readonly delivered: number;
  /** How many were filtered, by reason. */
  readonly filtered: ReadonlyMap<string, number>;
  readonly undelivered: readonly Undelivered[];
  readonly attempts: readonly Attempt[];
}

/** A row of the retry table, as the retry runner takes it. */
export interface RetryRow {
  readonly id: string;
  readonly subscription: string;
  readonly eventId: string;
  readonly output: number;
  readonly partition: string;
  readonly offset: number;
  readonly orderKey: string | null;
  readonly source: string;
  readonly event: Event;
  readonly payload: Event | null;
  readonly attempts: number;
  readonly retries: number;
  /** Of the last failure. */
  readonly code: string;
  readonly version: number;
}

export type RetryOutcome =
  | { readonly state: 'delivered' }
  | { readonly state: 'filtered'; readonly reason: string }
  | {
      readonly state: UndeliveredState;
      readonly stage: Stage;
      readonly payload: Event | null;
      readonly attempts: number;
      readonly retries: number;
      readonly nextAt: number | null;
      readonly failure: Failure;
      readonly version: number;
    };

/** What became of a retry. */
export interface RetryResult {
  readonly subscription: SubscriptionKey;
  readonly row: RetryRow;
  readonly outcome: RetryOutcome;
  readonly attempts: readonly Attempt[];
}
