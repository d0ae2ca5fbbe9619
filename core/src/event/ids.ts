import { hash, randomUUID } from 'node:crypto';
import type { EventId } from '@switchyard/plugin-sdk';

const hexOf = (uuid: string): string => uuid.replaceAll('-', '');

/** UUID version 5 (RFC 9562, section 5.5): the same namespace and name always give the same id. */
export function uuidV5(namespace: string, name: string): EventId {
  const input = Buffer.concat([Buffer.from(hexOf(namespace), 'hex'), Buffer.from(name, 'utf8')]);
  const digest = hash('sha1', input, 'hex');
  const variant = ((Number.parseInt(digest.slice(16, 18), 16) & 0x3f) | 0x80).toString(16);
  return `${digest.slice(0, 8)}-${digest.slice(8, 12)}-5${digest.slice(13, 16)}-${variant}${digest.slice(18, 20)}-${digest.slice(20, 32)}`;
}

/** The id of an event that its client named. */
export function namedEventId(project: string, clientId: string): EventId {
  return uuidV5(project, clientId);
}

let lastMs = 0;
let sequence = 0;
/** The first fields of the id, the same for a whole millisecond. */
let prefix = '';
/** A counter's three hex digits, made once: ids are made before every 202. */
const HEX3 = Array.from({ length: 0x1000 }, (_, value) => value.toString(16).padStart(3, '0'));

/**
 * The id of an event that nobody named: UUID version 7, with a counter behind the milliseconds (RFC 9562, section 6.2). Ids of one process always grow, also
 * within a millisecond and when the clock is set back.
 */
export function newEventId(): EventId {
  const now = Date.now();
  if (now > lastMs) startMs(now);
  else if (sequence === 0xfff) startMs(lastMs + 1);
  else sequence += 1;
  return prefix + HEX3[sequence] + randomUUID().slice(18);
}

function startMs(ms: number): void {
  lastMs = ms;
  sequence = 0;
  const time = ms.toString(16).padStart(12, '0');
  prefix = `${time.slice(0, 8)}-${time.slice(8)}-7`;
}

/** The id of one of several outputs of an event: the same at every redelivery, so receivers can remove duplicates. */
export function derivedEventId(parent: EventId, path: string): EventId {
  return uuidV5(parent, path);
}
