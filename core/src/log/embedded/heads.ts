import type { Partition } from '../event-log.ts';
import { decodeHeader, MAX_ENTRY_EVENTS } from './entry.ts';
import type { LmdbStores } from './lmdb-stores.ts';

/** The end of a partition, as far as stable storage has it. */
export interface Head {
  readonly next: number;
  /** Events per source since the partition began. */
  readonly totals: ReadonlyMap<string, number>;
}

/** Names a partition in maps. */
export const partitionKey = ({ project, index }: Partition): string => `${project}/${index}`;

/** The ends of the partitions, in memory. The last entry that can be read carries them over a restart. */
export class Heads {
  private readonly known = new Map<string, Head>();

  constructor(private readonly stores: LmdbStores) {}

  get(partition: Partition): Head {
    const key = partitionKey(partition);
    let head = this.known.get(key);
    if (head === undefined) this.known.set(key, (head = this.read(partition)));
    return head;
  }

  set(key: string, head: Head): void {
    this.known.set(key, head);
  }

  /** Reads them anew: what is in memory may not be what is on the disk. */
  forget(): void {
    this.known.clear();
  }

  /** Where the entry begins that carries the head, with what is damaged behind it: it must stay. */
  firstToKeep(partition: Partition): number {
    let last: number | null = null;
    for (const { key, value } of this.stores.backwards(partition)) {
      last ??= key[2];
      if (isReadable(value)) return key[2];
    }
    return last ?? 0;
  }

  /** Offsets of a damaged entry at the end are passed over, never used again. */
  private read(partition: Partition): Head {
    let skip: number | null = null;
    for (const { key, value } of this.stores.backwards(partition)) {
      try {
        const header = decodeHeader(value);
        return { next: skip ?? key[2] + header.count, totals: new Map(Object.entries(header.totals)) };
      } catch {
        skip ??= key[2] + MAX_ENTRY_EVENTS;
      }
    }
    return { next: skip ?? 0, totals: new Map() };
  }
}

function isReadable(entry: Buffer): boolean {
  try {
    decodeHeader(entry);
    return true;
  } catch {
    return false;
  }
}
