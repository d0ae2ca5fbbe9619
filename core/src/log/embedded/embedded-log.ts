import { randomUUID } from 'node:crypto';
import type { Logger } from '@switchyard/plugin-sdk';
import { ReadCache, type CachedEntry } from '../read-cache.ts';
import type { EventLog, LogEvent, LogRead, LogRecord, Partition } from '../event-log.ts';
import { decodeEvents, decodeHeader, encodeEntry, splitRecords, type EntryHeader } from './entry.ts';
import { GroupCommit, type Wanted } from './group-commit.ts';
import { Heads, partitionKey, type Head } from './heads.ts';
import { LmdbStores, reasonOf, unwatched, type EntryKey } from './lmdb-stores.ts';

export interface EmbeddedLogOptions {
  readonly directory: string;
  readonly logger: Logger;
  /** Told how long a group commit took, flush included, and how many events it held. */
  readonly onCommit?: (seconds: number, events: number) => void;
  /** Told of an entry that could not be read. */
  readonly onDamage?: () => void;
}

/** A write takes milliseconds; a disk that hangs is told from one that is slow by this. */
const WRITE_MS = 30_000;
const CLOSE_MS = 5_000;
/** A read ends behind the entry that reaches this: large events do not fill the memory of their readers. */
const MAX_READ_BYTES = 8 * 1024 * 1024;
const TRIM_STEP = 500;
const TRIM_BYTES = 4 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

/**
 * The log of one machine, in LMDB.
 *
 * LMDB commits on a thread of its own by copy-on-write, so a kill at any moment leaves the last commit whole; `flushed` resolves after the fsync.
 */
export class EmbeddedLog implements EventLog {
  private readonly heads: Heads;
  private readonly appends: GroupCommit;
  private readonly watchers = new Map<string, Set<() => void>>();
  private readonly cache = new ReadCache();
  private closing: Promise<void> | null = null;
  /** A write is later than it may be. */
  private hanging = false;
  /** Why the last commit failed; null when it did not. */
  private failure: string | null = null;

  private constructor(
    private readonly options: EmbeddedLogOptions,
    private readonly stores: LmdbStores,
    readonly incarnation: string,
  ) {
    this.heads = new Heads(stores);
    this.appends = new GroupCommit(
      (group) => this.commit(group),
      (error) => this.recover(error),
    );
  }

  static async open(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
    const stores = new LmdbStores(options.directory);
    let incarnation = stores.root.get('incarnation')?.toString('utf8');
    if (incarnation === undefined) {
      incarnation = randomUUID();
      await stores.root.put('incarnation', Buffer.from(incarnation));
      await stores.root.flushed;
    }
    return new EmbeddedLog(options, stores, incarnation);
  }

  append(partition: Partition, records: readonly LogRecord[]): Promise<void> {
    return this.appends.add(partition, records);
  }

  /** The events are durable whatever a listener does. */
  private tell(key: string): void {
    for (const listener of this.watchers.get(key) ?? []) {
      try {
        listener();
      } catch (error) {
        this.options.logger.error('A listener of the event log threw. It is a bug of ours; the events are stored.', {
          error: String(error),
        });
      }
    }
  }

  /** Writes a group and waits for the fsync; heads move only then, so that nothing is read or counted before it is durable. */
  private async commit(group: readonly Wanted[]): Promise<void> {
    const started = performance.now();
    if (this.hanging) throw new Error('The disk has not confirmed yet that it stored what was written before.');
    const { root, entries, named } = this.stores;
    const byPartition = new Map<string, { partition: Partition; records: LogRecord[] }>();
    const seen = new Set<string>();
    let events = 0;
    for (const { partition, records } of group) {
      const key = partitionKey(partition);
      let batch = byPartition.get(key);
      if (batch === undefined) byPartition.set(key, (batch = { partition, records: [] }));
      for (const record of records) {
        if (record.named) {
          const { id } = record.event;
          if (seen.has(id) || named.doesExist([partition.project, id])) continue;
          seen.add(id);
        }
        batch.records.push(record);
        events += 1;
      }
    }
    const moved = new Map<string, Head>();
    const written: { key: string; first: number; records: readonly LogRecord[]; bytes: number }[] = [];
    const at = Date.now();
    const write = root.batch(() => {
      for (const [key, { partition, records }] of byPartition) {
        const head = this.heads.get(partition);
        const totals = new Map(head.totals);
        let next = head.next;
        for (const part of splitRecords(records)) {
          const entry = encodeEntry(part, at, totals);
          unwatched(entries.put([partition.project, partition.index, next], entry));
          for (const record of part)
            if (record.named) unwatched(named.put([partition.project, record.event.id], EMPTY));
          written.push({ key, first: next, records: part, bytes: entry.length });
          next += part.length;
        }
        moved.set(key, { next, totals });
      }
    });
    await this.inTime(write.then(() => root.flushed));
    for (const [key, head] of moved) this.heads.set(key, head);
    for (const { key, first, records, bytes } of written) {
      if (!this.cache.wants(key, first)) continue;
      this.cache.keep(
        key,
        first,
        records.map(({ event, source }, index) => ({ offset: first + index, source, event })),
        bytes,
      );
    }
    this.options.onCommit?.((performance.now() - started) / 1000, events);
    this.failure = null;
    for (const key of moved.keys()) this.tell(key);
  }

  /**
   * After a failed write LMDB stands where it stood before: the heads are read from it anew. Nothing of the failed group was acknowledged; what of it did reach
   * the disk is delivered as well.
   */
  private async recover(error: unknown): Promise<void> {
    this.failure = String(await reasonOf(error));
    this.heads.forget();
    this.cache.clear();
    this.options.logger.error('The event log could not write. Requests are answered 503 until a write succeeds.', {
      error: this.failure,
    });
  }

  /**
   * Waits for a write and its fsync, but not for ever: a disk that hangs is answered 503. Until it does say what became of the write, nobody knows what the file
   * holds, and nothing more is written.
   */
  private async inTime(write: Promise<unknown>): Promise<void> {
    const deadline = Promise.withResolvers<'late'>();
    const timer = setTimeout(deadline.resolve, WRITE_MS, 'late' as const);
    if ((await Promise.race([write, deadline.promise]).finally(() => clearTimeout(timer))) !== 'late') return;
    this.hanging = true;
    const ended = (): void => {
      this.hanging = false;
      this.heads.forget();
      this.cache.clear();
      this.options.logger.info('The disk has answered: the event log takes events again.');
    };
    write.then(ended, ended);
    throw new Error(`The disk did not confirm within ${WRITE_MS / 1000} seconds that it stored what was written.`);
  }

  async read(partition: Partition, from: number, maxEvents: number): Promise<LogRead> {
    const key = partitionKey(partition);
    const end = this.heads.get(partition).next;
    this.cache.reading(key, from);
    const events: LogEvent[] = [];
    let next = from;
    let bytes = 0;
    while (next < end && events.length < maxEvents && bytes < MAX_READ_BYTES) {
      const entry = this.cache.get(key, next) ?? this.load(partition, key, next);
      if (entry === null) break;
      for (const event of entry.events) {
        if (event.offset < next) continue;
        if (events.length === maxEvents) return { events, next };
        events.push(event);
        next = event.offset + 1;
      }
      next = Math.max(next, entry.end);
      bytes += entry.bytes;
    }
    return { events, next };
  }

  /** The entry that holds `offset`, or the first one behind it; a damaged one comes back empty. */
  private load(partition: Partition, key: string, offset: number): CachedEntry | null {
    const first = this.stores.firstAround(partition, offset);
    if (first === null) return null;
    const cached = this.cache.get(key, first);
    if (cached !== undefined && cached.end > offset) return cached;
    const entry = this.stores.entry(partition, first);
    try {
      const header = decodeHeader(entry ?? EMPTY);
      if (entry !== undefined && first + header.count > offset)
        return this.cache.keepRead(key, first, decodeEvents(entry, header, first), entry.length);
    } catch (error) {
      this.options.onDamage?.();
      this.options.logger.error(
        'An entry of the event log is damaged. Its events are skipped; those behind it are read.',
        {
          project: partition.project,
          partition: partition.index,
          offset: first,
          error: String(error),
        },
      );
    }
    const after = this.stores.firstFrom(partition, Math.max(offset, first) + 1);
    return { events: [], bytes: 0, end: after ?? this.heads.get(partition).next };
  }

  next(partition: Partition): number {
    return this.heads.get(partition).next;
  }

  count(partition: Partition, from: number, sources: ReadonlySet<string>): number {
    const head = this.heads.get(partition);
    if (from >= head.next) return 0;
    const sum = (totals: Iterable<[string, number]>): number => {
      let total = 0;
      for (const [source, count] of totals) if (sources.has(source)) total += count;
      return total;
    };
    const first = this.stores.firstAround(partition, from);
    if (first === null) return 0;
    let header: EntryHeader;
    try {
      header = decodeHeader(this.stores.entry(partition, first) ?? EMPTY);
    } catch {
      const after = this.stores.firstFrom(partition, Math.max(from, first) + 1);
      return after === null ? 0 : this.count(partition, after, sources);
    }
    let count = sum(head.totals) - sum(Object.entries(header.totals));
    let at = first;
    for (let run = 0; run < header.runs.length; run += 2) {
      const length = header.runs[run + 1] as number;
      if (sources.has(header.runs[run] as string)) count += Math.max(0, at + length - Math.max(at, from));
      at += length;
    }
    return count;
  }

  watch(partition: Partition, listener: () => void): () => void {
    const key = partitionKey(partition);
    let listeners = this.watchers.get(key);
    if (listeners === undefined) this.watchers.set(key, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async trim(partition: Partition, before: number, writtenBefore: number): Promise<number> {
    const { project, index } = partition;
    const { root, entries, named } = this.stores;
    const keep = this.heads.firstToKeep(partition);
    let removed = 0;
    let bytes = 0;
    const doomed: { key: EntryKey; names: readonly string[] }[] = [];
    for (const { key, value } of entries.getRange({
      start: [project, index, 0],
      end: [project, index, Math.min(before, keep)],
      limit: TRIM_STEP,
    })) {
      // The loop is not held up for longer than reading some entries takes; the next call goes on.
      bytes += value.length;
      if (removed > 0 && bytes > TRIM_BYTES) break;
      let header: EntryHeader;
      let names: readonly string[] = [];
      try {
        header = decodeHeader(value);
        names = decodeEvents(value, header, key[2])
          .map(({ event }) => event.id)
          .filter((id) => id[14] === '5');
      } catch {
        // A damaged entry goes with its neighbours; the ids that it held stay known, which costs a few bytes and hurts nobody.
        doomed.push({ key, names });
        continue;
      }
      if (key[2] + header.count > before || header.at >= writtenBefore) break;
      doomed.push({ key, names });
      removed += header.count;
    }
    if (doomed.length === 0) return 0;
    for (const { key } of doomed) this.cache.drop(partitionKey(partition), key[2]);
    await root.batch(() => {
      for (const { key, names } of doomed) {
        unwatched(entries.remove(key));
        for (const id of names) unwatched(named.remove([project, id]));
      }
    });
    return removed;
  }

  async probe(): Promise<void> {
    if (this.failure !== null) throw new Error(`the last write failed: ${this.failure}`);
    await Promise.resolve(this.stores.root.get('incarnation'));
  }

  close(): Promise<void> {
    this.closing ??= this.closeStores();
    return this.closing;
  }

  private async closeStores(): Promise<void> {
    await this.appends.close();
    // After a write that failed LMDB waits for a flush that never comes. All that was acknowledged is on the disk.
    const timer = Promise.withResolvers<void>();
    const giveUp = setTimeout(timer.resolve, CLOSE_MS);
    await Promise.race([this.stores.root.close(), timer.promise]).finally(() => clearTimeout(giveUp));
  }
}
