import { LRUCache } from 'lru-cache';
import { deepFreeze } from '../event/freeze.ts';
import type { LogEvent } from './event-log.ts';

export interface CachedEntry {
  readonly events: readonly LogEvent[];
  /** The offset behind the last event. */
  readonly end: number;
}

/** Text bytes of the entries that are kept parsed. */
const MAX_BYTES = 32 * 1024 * 1024;

/**
 * Parsed entries, shared by all the cursors that stand at the same place: ten destinations at the head cost one parse, and right after an
 * append none. Events are frozen when they are first read, not in the way of the 202.
 */
export class ReadCache {
  private readonly entries = new LRUCache<string, { readonly entry: CachedEntry; frozen: boolean }>({
    maxSize: MAX_BYTES,
  });

  get(partition: string, first: number): CachedEntry | undefined {
    const cached = this.entries.get(`${partition}/${first}`);
    if (cached === undefined) return undefined;
    if (!cached.frozen) {
      freezeEvents(cached.entry.events);
      cached.frozen = true;
    }
    return cached.entry;
  }

  /** Keeps what was just appended; `bytes` is the size of its text. */
  keep(partition: string, first: number, events: readonly LogEvent[], bytes: number): void {
    this.entries.set(
      `${partition}/${first}`,
      { entry: { events, end: first + events.length }, frozen: false },
      { size: bytes },
    );
  }

  /** Keeps what was just read, and gives it back as a reader may have it. */
  keepRead(partition: string, first: number, events: readonly LogEvent[], bytes: number): CachedEntry {
    freezeEvents(events);
    const entry = { events, end: first + events.length };
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
