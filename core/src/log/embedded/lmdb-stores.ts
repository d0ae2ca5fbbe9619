import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import type { Partition } from '../event-log.ts';

/** [project, partition, offset of the entry's first event] */
export type EntryKey = [string, number, number];

/** What is on the disk, and the ways to find an entry in it. Every read is of what LMDB has committed. */
export class LmdbStores {
  readonly root: RootDatabase<Buffer, string>;
  readonly entries: Database<Buffer, EntryKey>;
  /** Ids that clients named: what makes a repeat harmless. The value is not used. */
  readonly named: Database<Buffer, [string, string]>;

  constructor(directory: string) {
    // Its batch of a turn is a promise that nobody gets: when the disk is full it rejects, and that would end the process. Our own batches need none.
    this.root = open<Buffer, string>({
      path: join(directory, 'log'),
      noSubdir: false,
      encoding: 'binary',
      maxDbs: 4,
      eventTurnBatching: false,
    });
    this.entries = this.root.openDB<Buffer, EntryKey>({ name: 'entries', encoding: 'binary' });
    this.named = this.root.openDB<Buffer, [string, string]>({ name: 'named', encoding: 'binary' });
  }

  entry({ project, index }: Partition, first: number): Buffer | undefined {
    return this.entries.get([project, index, first]);
  }

  /** Where the entry begins that begins at or before `offset`; else the first one behind it; null when there is none. */
  firstAround(partition: Partition, offset: number): number | null {
    const { project, index } = partition;
    for (const key of this.entries.getKeys({
      start: [project, index, offset],
      end: [project, index, -1],
      reverse: true,
      limit: 1,
    }))
      return key[2];
    return this.firstFrom(partition, offset);
  }

  /** Where the first entry begins that begins at or behind `offset`. */
  firstFrom({ project, index }: Partition, offset: number): number | null {
    for (const key of this.entries.getKeys({
      start: [project, index, offset],
      end: [project, index, Number.MAX_SAFE_INTEGER],
      limit: 1,
    }))
      return key[2];
    return null;
  }

  /** The entries of a partition from the last one back. */
  backwards({ project, index }: Partition): Iterable<{ readonly key: EntryKey; readonly value: Buffer }> {
    return this.entries.getRange({
      start: [project, index, Number.MAX_SAFE_INTEGER],
      end: [project, index, -1],
      reverse: true,
    });
  }
}

/**
 * A write within a batch, whose promise is the one to wait for. When a commit fails, each of its writes rejects as well, with an error that holds the reason as
 * one more promise that rejects; a rejection that nobody waits for would end the process.
 */
export function unwatched(write: Promise<boolean>): void {
  write.catch((error: unknown) => void reasonOf(error));
}

/** Why a commit failed, as far as LMDB says it. */
export async function reasonOf(error: unknown): Promise<unknown> {
  if (typeof error !== 'object' || error === null || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}
