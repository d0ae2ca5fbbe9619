import { crc32 } from 'node:zlib';
import type { Event } from '@switchyard/plugin-sdk';
import { parseExact } from '../../event/json.ts';
import type { LogEvent, LogRecord } from '../event-log.ts';

/**
 * An entry of the log is a record batch: many events, one write.
 *
 *     byte 0      format, 1
 *     bytes 1-4   CRC-32 of all that follows
 *     bytes 5-8   length of the header
 *     header      JSON, EntryHeader
 *     body        JSON, an array of events
 *
 * The store beneath checks nothing, so the CRC is what tells a flipped bit from an event.
 */
const FORMAT = 1;
const FIXED = 9;

/** An entry is read and parsed as a whole, so it stays of a size that does not stall the loop. */
export const MAX_ENTRY_EVENTS = 1000;
const MAX_ENTRY_BYTES = 1024 * 1024;

export interface EntryHeader {
  readonly count: number;
  /** Epoch milliseconds. */
  readonly at: number;
  /** Which source each event came through, as runs: [source, how many, source, how many, …]. */
  readonly runs: readonly (string | number)[];
  /** Events per source from the beginning of the partition to the end of this entry. */
  readonly totals: Readonly<Record<string, number>>;
  /** Some event holds a number with more digits than a double keeps. */
  readonly exact: boolean;
}

/**
 * Digits and points in a shorter run are a number that a double writes back in the same way. Written out sixteen times and not as `{16}`: in this form the engine skips
 * through a text, which makes it ten times faster, and it stands before every 202.
 */
const MANY_DIGITS = /[\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.]/;

/** Encodes a batch; `totals` are those before it and are advanced. */
export function encodeEntry(records: readonly LogRecord[], at: number, totals: Map<string, number>): Buffer {
  const runs: (string | number)[] = [];
  let body = '[';
  for (const [index, { source, text }] of records.entries()) {
    body += index === 0 ? text : `,${text}`;
    totals.set(source, (totals.get(source) ?? 0) + 1);
    if (runs.at(-2) === source) runs[runs.length - 1] = (runs.at(-1) as number) + 1;
    else runs.push(source, 1);
  }
  body += ']';
  const header: EntryHeader = {
    count: records.length,
    at,
    runs,
    totals: Object.fromEntries(totals),
    exact: MANY_DIGITS.test(body),
  };
  const head = JSON.stringify(header);
  const entry = Buffer.allocUnsafe(FIXED + Buffer.byteLength(head) + Buffer.byteLength(body));
  entry[0] = FORMAT;
  const headLength = entry.write(head, FIXED);
  entry.writeUInt32LE(headLength, 5);
  entry.write(body, FIXED + headLength);
  entry.writeUInt32LE(crc32(entry.subarray(5)), 1);
  return entry;
}

/** Throws when the entry is damaged or of a later format. */
export function decodeHeader(entry: Buffer): EntryHeader {
  if (entry.length < FIXED) throw new Error('The entry is cut off.');
  if (entry[0] !== FORMAT) throw new Error(`The entry has format ${entry[0]}, this version reads format ${FORMAT}.`);
  if (crc32(entry.subarray(5)) !== entry.readUInt32LE(1)) throw new Error('The checksum does not match.');
  return JSON.parse(entry.toString('utf8', FIXED, FIXED + entry.readUInt32LE(5))) as EntryHeader;
}

export function decodeEvents(entry: Buffer, header: EntryHeader, first: number): readonly LogEvent[] {
  const body = entry.toString('utf8', FIXED + entry.readUInt32LE(5));
  return placeEvents((header.exact ? parseExact(body) : JSON.parse(body)) as readonly Event[], header.runs, first);
}

/** Puts offsets and sources to the events of one entry. */
function placeEvents(events: readonly Event[], runs: readonly (string | number)[], first: number): readonly LogEvent[] {
  let run = 0;
  let left = runs[1] as number;
  return events.map((event, index) => {
    if (left === 0) {
      run += 2;
      left = runs[run + 1] as number;
    }
    left -= 1;
    return { offset: first + index, source: runs[run] as string, event };
  });
}

/** Cuts a batch into what one entry holds. */
export function* splitRecords(records: readonly LogRecord[]): Generator<readonly LogRecord[]> {
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
