import { SwitchyardError } from '../../errors.ts';
import type { LogRecord, Partition } from '../event-log.ts';

/** What one call of `append` wants to have written. */
export interface Wanted {
  readonly partition: Partition;
  readonly records: readonly LogRecord[];
}

interface Waiting extends Wanted {
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

/** Bodies waiting for a commit. Beyond it a request is refused: memory is not a queue. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;

/**
 * Requests that arrive while a commit is under way wait for it and share the next: one write, one fsync. There is never more than one commit
 * under way.
 */
export class GroupCommit {
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private committing: Promise<void> | null = null;
  private closed = false;

  constructor(
    /** Resolves when the group is on stable storage; rejects when nobody can say what of it is. */
    private readonly commit: (group: readonly Wanted[]) => Promise<void>,
    private readonly onFailure: (error: unknown) => Promise<void>,
  ) {}

  /** Resolves once the records are on stable storage. Rejects with `OVERLOADED`, `LOG_UNAVAILABLE` or `STOPPING`. */
  add(partition: Partition, records: readonly LogRecord[]): Promise<void> {
    if (this.closed) {
      return Promise.reject(new SwitchyardError('STOPPING', 'This process is shutting down: send the events again.'));
    }
    let bytes = 0;
    for (const record of records) bytes += record.text.length;
    if (this.waitingBytes + bytes > MAX_WAITING_BYTES) {
      return Promise.reject(
        new SwitchyardError(
          'OVERLOADED',
          'More events are waiting to be written than may be held in memory: send them again in a moment.',
        ),
      );
    }
    this.waitingBytes += bytes;
    return new Promise((resolve, reject) => {
      this.waiting.push({ partition, records, bytes, resolve, reject });
      this.committing ??= this.commitAll();
    });
  }

  /** Takes nothing more; resolves when what was taken has its answer. */
  async close(): Promise<void> {
    this.closed = true;
    await this.committing;
  }

  private async commitAll(): Promise<void> {
    // One turn of the loop, so that the requests of this turn share the commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) {
      const group = this.waiting;
      this.waiting = [];
      try {
        await this.commit(group);
        for (const { resolve } of group) resolve();
      } catch (error) {
        await this.onFailure(error);
        const refusal = new SwitchyardError(
          'LOG_UNAVAILABLE',
          'The event log could not write to its disk: send the events again. The log of this process says why.',
          undefined,
          { cause: error },
        );
        for (const { reject } of group) reject(refusal);
      }
      for (const { bytes } of group) this.waitingBytes -= bytes;
    }
    this.committing = null;
  }
}
