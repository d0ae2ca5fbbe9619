import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import type { Logger } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../../errors.ts';
import { ReadCache, type CachedEntry } from '../read-cache.ts';
import type { EventLog, LogEvent, LogRead, LogRecord, Partition } from '../event-log.ts';
import { decodeEvents, decodeHeader, encodeEntry, type EntryHeader } from './entry.ts';

/** [project, partition, offset of the entry's first event] */
type EntryKey = [string, number, number];

interface Stores {
  readonly root: RootDatabase<Buffer, string>;
  readonly entries: Database<Buffer, EntryKey>;
  /** Ids that clients named: what makes a repeat harmless. The value is not used. */
  readonly named: Database<Buffer, [string, string]>;
}

/** The end of a partition, as far as stable storage has it. */
interface Head {
  next: number;
  totals: Map<string, number>;
}

interface Waiting {
  readonly partition: Partition;
  readonly records: readonly LogRecord[];
  readonly bytes: number;
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export interface EmbeddedLogOptions {
  readonly directory: string;
  readonly logger: Logger;
  /** Told how long a group commit took, flush included, and how many events it held. */
  readonly onCommit?: (seconds: number, events: number) => void;
  /** Told of an entry that could not be read. */
  readonly onDamage?: () => void;
}

/** Bodies waiting for a commit. Beyond it a request is refused: memory is not a queue. */
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** An entry is read and parsed as a whole, so it stays of a size that does not stall the loop. */
const MAX_ENTRY_EVENTS = 1000;
const MAX_ENTRY_BYTES = 1024 * 1024;
/** A write takes milliseconds; a disk that hangs is told from one that is slow by this. */
const WRITE_MS = 30_000;
const CLOSE_MS = 5_000;
const TRIM_STEP = 500;
const TRIM_BYTES = 4 * 1024 * 1024;
const EMPTY = Buffer.alloc(0);

const keyOf = ({ project, index }: Partition): string => `${project}/${index}`;

/**
 * The log of one machine, in LMDB. Requests that arrive while a commit is under way wait for it and share the next: one write, one fsync.
 *
 * LMDB commits on a thread of its own by copy-on-write, so a kill at any moment leaves the last commit whole; `flushed` resolves after the fsync.
 */
export class EmbeddedLog implements EventLog {
  readonly incarnation: string;
  private readonly stores: Stores;
  private readonly heads = new Map<string, Head>();
  private readonly watchers = new Map<string, Set<() => void>>();
  private readonly cache = new ReadCache();
  private waiting: Waiting[] = [];
  private waitingBytes = 0;
  private committing: Promise<void> | null = null;
  private closed = false;
  /** A write is later than it may be. */
  private hanging = false;
  /** Why the last commit failed; null when it did not. */
  private failure: string | null = null;

  private constructor(
    private readonly options: EmbeddedLogOptions,
    stores: Stores,
    incarnation: string,
  ) {
    this.stores = stores;
    this.incarnation = incarnation;
  }

  static async open(options: EmbeddedLogOptions): Promise<EmbeddedLog> {
    const stores = openStores(options.directory);
    let incarnation = stores.root.get('incarnation')?.toString('utf8');
    if (incarnation === undefined) {
      incarnation = randomUUID();
      await stores.root.put('incarnation', Buffer.from(incarnation));
      await stores.root.flushed;
    }
    return new EmbeddedLog(options, stores, incarnation);
  }

  append(partition: Partition, records: readonly LogRecord[]): Promise<void> {
    if (this.closed)
      return Promise.reject(new SwitchyardError('STOPPING', 'This process is shutting down: send the events again.'));
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

  private async commitAll(): Promise<void> {
    // One turn of the loop, so that the requests of this turn share the commit.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.waiting.length > 0) {
      const group = this.waiting;
      this.waiting = [];
      try {
        const touched = await this.commit(group);
        this.failure = null;
        for (const { resolve } of group) resolve();
        for (const key of touched) this.tell(key);
      } catch (error) {
        await this.recover(error);
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
  private async commit(group: readonly Waiting[]): Promise<Iterable<string>> {
    const started = performance.now();
    if (this.hanging) throw new Error('The disk has not confirmed yet that it stored what was written before.');
    const { root, entries, named } = this.stores;
    const byPartition = new Map<string, { partition: Partition; records: LogRecord[] }>();
    const seen = new Set<string>();
    let events = 0;
    for (const { partition, records } of group) {
      const key = keyOf(partition);
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
        const head = this.head(partition);
        const next: Head = { next: head.next, totals: new Map(head.totals) };
        for (const part of split(records)) {
          const entry = encodeEntry(part, at, next.totals);
          unwatched(entries.put([partition.project, partition.index, next.next], entry));
          for (const record of part)
            if (record.named) unwatched(named.put([partition.project, record.event.id], EMPTY));
          written.push({ key, first: next.next, records: part, bytes: entry.length });
          next.next += part.length;
        }
        moved.set(key, next);
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
    return moved.keys();
  }

  /**
   * After a failed write LMDB stands where it stood before: the heads are read from it anew. Nothing of the failed group was acknowledged; what of it did reach
   * the disk is delivered as well.
   */
  private async recover(error: unknown): Promise<void> {
    this.heads.clear();
    this.cache.clear();
    this.options.logger.error('The event log could not write. Requests are answered 503 until a write succeeds.', {
      error: String(await reasonOf(error)),
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
      this.heads.clear();
      this.cache.clear();
      this.options.logger.info('The disk has answered: the event log takes events again.');
    };
    write.then(ended, ended);
    throw new Error(`The disk did not confirm within ${WRITE_MS / 1000} seconds that it stored what was written.`);
  }

  async read(partition: Partition, from: number, maxEvents: number): Promise<LogRead> {
    const key = keyOf(partition);
    const end = this.head(partition).next;
    this.cache.reading(key, from);
    const events: LogEvent[] = [];
    let next = from;
    while (next < end && events.length < maxEvents) {
      const entry = this.cache.get(key, next) ?? this.load(partition, key, next);
      if (entry === null) break;
      for (const event of entry.events) {
        if (event.offset < next) continue;
        if (events.length === maxEvents) return { events, next };
        events.push(event);
        next = event.offset + 1;
      }
      next = Math.max(next, entry.end);
    }
    return { events, next };
  }

  /** The entry that holds `offset`, or the first one behind it; a damaged one comes back empty. */
  private load(partition: Partition, key: string, offset: number): CachedEntry | null {
    const first = this.firstKeyAround(partition, offset);
    if (first === null) return null;
    const cached = this.cache.get(key, first);
    if (cached !== undefined && cached.end > offset) return cached;
    const entry = this.stores.entries.get([partition.project, partition.index, first]);
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
    const after = this.firstKeyFrom(partition, Math.max(offset, first) + 1);
    return { events: [], end: after ?? this.head(partition).next };
  }

  /** The key of the entry that begins at or before `offset`, else of the first one behind it. */
  private firstKeyAround(partition: Partition, offset: number): number | null {
    const { project, index } = partition;
    for (const key of this.stores.entries.getKeys({
      start: [project, index, offset],
      end: [project, index, -1],
      reverse: true,
      limit: 1,
    }))
      return key[2];
    return this.firstKeyFrom(partition, offset);
  }

  private firstKeyFrom({ project, index }: Partition, offset: number): number | null {
    for (const key of this.stores.entries.getKeys({
      start: [project, index, offset],
      end: [project, index, Number.MAX_SAFE_INTEGER],
      limit: 1,
    }))
      return key[2];
    return null;
  }

  next(partition: Partition): number {
    return this.head(partition).next;
  }

  count(partition: Partition, from: number, sources: ReadonlySet<string>): number {
    const head = this.head(partition);
    if (from >= head.next) return 0;
    const sum = (totals: Iterable<[string, number]>): number => {
      let total = 0;
      for (const [source, count] of totals) if (sources.has(source)) total += count;
      return total;
    };
    const first = this.firstKeyAround(partition, from);
    if (first === null) return 0;
    let header: EntryHeader;
    try {
      header = decodeHeader(this.stores.entries.get([partition.project, partition.index, first]) ?? EMPTY);
    } catch {
      const after = this.firstKeyFrom(partition, Math.max(from, first) + 1);
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
    const key = keyOf(partition);
    let listeners = this.watchers.get(key);
    if (listeners === undefined) this.watchers.set(key, (listeners = new Set()));
    listeners.add(listener);
    return () => listeners.delete(listener);
  }

  async trim(partition: Partition, before: number, writtenBefore: number): Promise<number> {
    const { project, index } = partition;
    const { root, entries, named } = this.stores;
    const keep = this.firstToKeep(partition);
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
    for (const { key } of doomed) this.cache.drop(keyOf(partition), key[2]);
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

  async close(): Promise<void> {
    if (this.closed) return;
    this.closed = true;
    await this.committing;
    // After a write that failed LMDB waits for a flush that never comes. All that was acknowledged is on the disk.
    const timer = Promise.withResolvers<void>();
    const giveUp = setTimeout(timer.resolve, CLOSE_MS);
    await Promise.race([this.stores.root.close(), timer.promise]).finally(() => clearTimeout(giveUp));
  }

  /** The key of the last entry that can be read: it carries the partition's offset and totals over a restart, with what is damaged behind it. */
  private firstToKeep({ project, index }: Partition): number {
    let last: number | null = null;
    for (const { key, value } of this.stores.entries.getRange({
      start: [project, index, Number.MAX_SAFE_INTEGER],
      end: [project, index, -1],
      reverse: true,
    })) {
      last ??= key[2];
      if (isReadable(value)) return key[2];
    }
    return last ?? 0;
  }

  private head(partition: Partition): Head {
    const key = keyOf(partition);
    let head = this.heads.get(key);
    if (head === undefined) this.heads.set(key, (head = this.readHead(partition)));
    return head;
  }

  /** From the last entry that can be read. Offsets of a damaged one behind it are passed over, never used again. */
  private readHead({ project, index }: Partition): Head {
    let skip: number | null = null;
    for (const { key, value } of this.stores.entries.getRange({
      start: [project, index, Number.MAX_SAFE_INTEGER],
      end: [project, index, -1],
      reverse: true,
    })) {
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

/**
 * A write within a batch, whose promise is the one to wait for. When a commit fails, each of its writes rejects as well, with an error that holds the reason as
 * one more promise that rejects; a rejection that nobody waits for would end the process.
 */
function unwatched(write: Promise<boolean>): void {
  write.catch((error: unknown) => void reasonOf(error));
}

/** Why a commit failed, as far as LMDB says it. */
async function reasonOf(error: unknown): Promise<unknown> {
  if (typeof error !== 'object' || error === null || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
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

function openStores(directory: string): Stores {
  // Its batch of a turn is a promise that nobody gets: when the disk is full it rejects, and that would end the process. Our own batches need none.
  const root = open<Buffer, string>({
    path: join(directory, 'log'),
    noSubdir: false,
    encoding: 'binary',
    maxDbs: 4,
    eventTurnBatching: false,
  });
  return {
    root,
    entries: root.openDB<Buffer, EntryKey>({ name: 'entries', encoding: 'binary' }),
    named: root.openDB<Buffer, [string, string]>({ name: 'named', encoding: 'binary' }),
  };
}

function* split(records: readonly LogRecord[]): Generator<readonly LogRecord[]> {
  let from = 0;
  let bytes = 0;
  for (const [index, record] of records.entries()) {
    if (index > from && (index - from === MAX_ENTRY_EVENTS || bytes + record.text.length > MAX_ENTRY_BYTES)) {
      yield records.slice(from, index);
      from = index;
      bytes = 0;
    }
    bytes += record.text.length;
  }
  if (from < records.length) yield records.slice(from);
}
