import type { Event } from '@switchyard/plugin-sdk';

/** A project's events are spread over `0 … partitions - 1` by key. */
export interface Partition {
  readonly project: string;
  readonly index: number;
}

/** One event on its way into the log. */
export interface LogRecord {
  readonly event: Event;
  /** The source instance that it came through. */
  readonly source: string;
  /** The event as it will be stored: `JSON.stringify(event)`. */
  readonly text: string;
  /** The client named the event, so the log drops it when it already holds that id. */
  readonly named: boolean;
}

/** One event as the log gives it back. `event` is deeply frozen and shared between readers. */
export interface LogEvent {
  readonly offset: number;
  readonly source: string;
  readonly event: Event;
}

export interface LogRead {
  readonly events: readonly LogEvent[];
  /** Where the next read begins. It is beyond `from` whenever something was there, also when all of it was damaged. */
  readonly next: number;
}

/**
 * The only queue: an append-only log a partition, read by any number of cursors that the log does not know. Offsets count events from 0 and are
 * never reused within one incarnation.
 */
export interface EventLog {
  /** Changes when the log is created anew, so that offsets kept elsewhere are never taken for this log's. */
  readonly incarnation: string;

  /**
   * Resolves once every record is on stable storage (fsynced, or acknowledged under the durability that the operator chose), also for a
   * named record that the log already holds. Rejects with `LOG_UNAVAILABLE` or `OVERLOADED`; then nothing of the call may be acknowledged, though
   * some of it may have been written.
   */
  append(partition: Partition, records: readonly LogRecord[]): Promise<void>;

  /**
   * The events at and after `from`, at most `maxEvents` and some megabytes, in order of offset. Only what is on stable storage is ever given. A damaged entry is skipped and
   * reported; the events behind it are still read.
   */
  read(partition: Partition, from: number, maxEvents: number): Promise<LogRead>;

  /** The offset that the next event will get, as far as stable storage has it. */
  next(partition: Partition): number;

  /** How many events at or after `from` came through one of `sources`. */
  count(partition: Partition, from: number, sources: ReadonlySet<string>): number;

  /** Calls `listener` after each append that became durable, until the returned function is called. */
  watch(partition: Partition, listener: () => void): () => void;

  /** Removes entries that lie wholly before `before` and were written before `writtenBefore` (epoch ms). */
  trim(partition: Partition, before: number, writtenBefore: number): Promise<number>;

  /** Rejects, with what is wrong, when the log cannot take events. */
  probe(): Promise<void>;

  close(): Promise<void>;
}
