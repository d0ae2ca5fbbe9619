import type { CheckResult, Destination } from '@switchyard/plugin-sdk';

/** What became of the events of one subscription, in accepted events. `accepted` is the sum of the others: a page and a test hold it to that. */
export interface SubscriptionAccount {
  readonly pipeline: string;
  readonly destination: string;
  readonly accepted: number;
  readonly delivered: number;
  readonly waiting: number;
  readonly filtered: number;
  /** By the node and the reason that it gave. */
  readonly filtered_by: Readonly<Record<string, number>>;
  readonly dead: number;
  readonly parked: number;
}

/** Why a destination gets no events at the moment, or that it does. */
export type DestinationStatus =
  | { readonly state: 'active' }
  | { readonly state: 'idle'; readonly reason: string }
  | { readonly state: 'disabled' }
  | { readonly state: 'opening'; readonly reason: string }
  | { readonly state: 'paused'; readonly code: string; readonly reason: string; readonly next_attempt_at: string };

/** What the control plane asks of the part that moves events. */
export interface Engine {
  start(): Promise<void>;
  /** Brings what runs in line with what is stored for a project: call it after every change of its pipelines or destinations. */
  reload(project: string): Promise<void>;
  accounting(project: string): Promise<readonly SubscriptionAccount[]>;
  status(destination: string): DestinationStatus;
  /** Wakes the retries of a project: call it after a replay. */
  wakeRetries(project: string): void;
  /** "Test connection" with the stored configuration, whatever state the destination is in. */
  check(project: string, destination: string, signal: AbortSignal): Promise<CheckResult>;
  /** The list of events that a running destination of the project keeps; null when none does. */
  query(project: string): Promise<NonNullable<Destination['query']> | null>;
  /** The counts that a running destination of the project keeps; null when none does. */
  series(project: string): Promise<NonNullable<Destination['series']> | null>;
  /** Stops reading, waits for what is under way until `signal` aborts, commits, closes the plugins. */
  stop(signal: AbortSignal): Promise<void>;
}
