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

/** A shorter run of digits and points is a number that a double writes back in the same way; a longer one is parsed with care. */
const MANY_DIGITS = 16;

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
    exact: hasManyDigits(body),
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

/** A run of that length covers one place in so many, so the others are not looked at: this stands before every 202. */
function hasManyDigits(text: string): boolean {
  for (let at = MANY_DIGITS - 1; at < text.length; at += MANY_DIGITS) {
    if (!isDigitOrPoint(text, at)) continue;
    let from = at;
    let to = at + 1;
    while (from > 0 && isDigitOrPoint(text, from - 1)) from -= 1;
    while (to < text.length && isDigitOrPoint(text, to)) to += 1;
    if (to - from >= MANY_DIGITS) return true;
  }
  return false;
}

/** "." is 46 and "0" to "9" are 48 to 57. */
function isDigitOrPoint(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code <= 57 && code >= 46 && code !== 47;
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
export function placeEvents(
  events: readonly Event[],
  runs: readonly (string | number)[],
  first: number,
): readonly LogEvent[] {
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
