import { LRUCache } from 'lru-cache';
import { deepFreeze } from '../event/freeze.ts';
import type { LogEvent } from './event-log.ts';

export interface CachedEntry {
  readonly events: readonly LogEvent[];
  /** The offset behind the last event. */
  readonly end: number;
  /** Of its text. */
  readonly bytes: number;
}

/** Text bytes of the entries that are kept parsed. */
const MAX_BYTES = 32 * 1024 * 1024;
/** A reader that is further behind than this does not get here before what is appended now was dropped again. */
const NEAR_EVENTS = 20_000;

/**
 * Parsed entries, shared by all the cursors that stand at the same place: ten destinations at the head cost one parse, and right after an
 * append none. Events are frozen when they are first read, not in the way of the 202.
 */
export class ReadCache {
  private readonly entries = new LRUCache<string, { readonly entry: CachedEntry; frozen: boolean }>({
    maxSize: MAX_BYTES,
  });

  /** How far the furthest reader of each partition has come. */
  private readonly readers = new Map<string, number>();

  get(partition: string, first: number): CachedEntry | undefined {
    const cached = this.entries.get(`${partition}/${first}`);
    if (cached === undefined) return undefined;
    if (!cached.frozen) {
      freezeEvents(cached.entry.events);
      cached.frozen = true;
    }
    return cached.entry;
  }

  /** Where a cursor reads. */
  reading(partition: string, from: number): void {
    const furthest = this.readers.get(partition);
    if (furthest === undefined || from > furthest) this.readers.set(partition, from);
  }

  /**
   * Whether what is appended at `first` is worth keeping: some reader is about to come for it. Kept for nobody, events only grow old: they would be moved through the
   * generations of the heap, and that costs more than parsing them.
   */
  wants(partition: string, first: number): boolean {
    const furthest = this.readers.get(partition);
    return furthest !== undefined && first - furthest <= NEAR_EVENTS;
  }

  /** Keeps what was just appended; `bytes` is the size of its text. */
  keep(partition: string, first: number, events: readonly LogEvent[], bytes: number): void {
    this.entries.set(
      `${partition}/${first}`,
      { entry: { events, end: first + events.length, bytes }, frozen: false },
      { size: bytes },
    );
  }

  /** Keeps what was just read, and gives it back as a reader may have it. */
  keepRead(partition: string, first: number, events: readonly LogEvent[], bytes: number): CachedEntry {
    freezeEvents(events);
    const entry = { events, end: first + events.length, bytes };
    this.entries.set(`${partition}/${first}`, { entry, frozen: true }, { size: bytes });
    return entry;
  }

  drop(partition: string, first: number): void {
    this.entries.delete(`${partition}/${first}`);
  }

  clear(): void {
    this.entries.clear();
  }
}

function freezeEvents(events: readonly LogEvent[]): void {
  for (const { event } of events) deepFreeze(event);
}
