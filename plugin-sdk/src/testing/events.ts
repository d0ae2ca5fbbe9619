import { randomBytes } from 'node:crypto';
import type { BatchPosition, DeliveryBatch, DeliveryItem } from '../destination.ts';
import type { Event, Json, JsonObject } from '../event.ts';
import { isRawNumber } from '../raw-json.ts';
import type { SourceRequest } from '../source.ts';

// TypeScript's libraries do not know it yet.
const rawJson = JSON as unknown as { rawJSON(text: string): JsonObject };

/** An id as ingress makes them: a UUID of version 7. */
export function anEventId(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x70, 6);
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8);
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** As `anEvent`, but not frozen: the kit's own cases freeze where freezing is what they try. */
export function looseEvent(overrides: Partial<Event> = {}): Event {
  const now = new Date().toISOString();
  return {
    id: anEventId(),
    event_name: 'signup',
    user_id: 'user-1',
    timestamp: now,
    metadata: { plan: 'pro', seats: 3, tags: ['a', 'b'], address: { city: 'Zürich' } },
    received_at: now,
    context: { ip_address: '203.0.113.7', user_agent: 'kit/1.0' },
    ...overrides,
  };
}

/** An event as core hands it out, with an id of its own: deeply frozen. */
export function anEvent(overrides: Partial<Event> = {}): Event {
  return deepFreeze(looseEvent(overrides));
}

/** Events as a batch for a destination, as a first attempt at a place of its own in the log. */
export function aBatch(
  events: readonly Event[],
  overrides: { readonly position?: BatchPosition | null; readonly attempt?: number } = {},
): DeliveryBatch {
  const items = events.map((event, offset): DeliveryItem => ({
    id: event.id,
    event,
    offset,
    attempt: overrides.attempt ?? 1,
  }));
  const own = { subscription: anEventId(), partition: 'kit-0', first: 0, last: Math.max(0, events.length - 1) };
  return { position: overrides.position === undefined ? own : overrides.position, items };
}

/** A request as the edge hands it to a source. */
export function aRequest(overrides: Partial<SourceRequest> = {}): SourceRequest {
  return { route: 'events', headers: {}, query: {}, body: undefined, ip: '203.0.113.7', ...overrides };
}

export function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const part of Object.values(value)) deepFreeze(part);
  }
  return value;
}

/** A copy that shares no object with its original. Own `__proto__` keys stay own keys, raw numbers stay raw. */
export function copyOf<T>(value: T): T {
  if (typeof value !== 'object' || value === null || isRawNumber(value)) return value;
  if (Array.isArray(value)) return value.map(copyOf) as T;
  const copy = {};
  for (const [key, part] of Object.entries(value)) {
    Object.defineProperty(copy, key, { value: copyOf(part), enumerable: true, writable: true, configurable: true });
  }
  return copy as T;
}

/**
 * Events that are allowed and unusual, by what is unusual in them. Each has passed the edge in production: at most 64 levels, valid UTF-8, no `\u0000`.
 * (The edge refuses `__proto__`; a plugin may still meet it in what was stored or made otherwise.)
 */
export function hostileEvents(): ReadonlyMap<string, Event> {
  return new Map([
    ['metadata nested 64 levels', looseEvent({ metadata: nested(64) })],
    [
      '__proto__ as a key of its own',
      looseEvent({
        metadata: JSON.parse(
          '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
        ) as JsonObject,
      }),
    ],
    ['empty metadata', looseEvent({ metadata: {} })],
    ['no user and no client', looseEvent({ user_id: null, context: { ip_address: null, user_agent: null } })],
    [
      'names of object members',
      looseEvent({
        event_name: 'toString',
        user_id: '__proto__',
        metadata: { hasOwnProperty: 1, toString: 'x', valueOf: null, length: -1 },
      }),
    ],
    [
      'unicode',
      looseEvent({
        event_name: 'paid 💶',
        user_id: 'Ünï-\u202e-\u{1F468}\u200d\u{1F469}',
        metadata: { 'ключ\u2028': '值\r\n\t"\\', '': 'empty key', 'a.b': 'dot' },
      }),
    ],
    [
      'numbers that a double cannot hold',
      looseEvent({
        metadata: {
          big: rawJson.rawJSON('12345678901234567890'),
          list: [rawJson.rawJSON('0.12345678901234567890'), 1e308, -0],
        },
      }),
    ],
    ['arrays where objects are usual', looseEvent({ metadata: { address: [], tags: [[[]]], plan: { pro: null } } })],
  ]);
}

function nested(levels: number): JsonObject {
  let value: Json = 'the bottom';
  for (let level = 1; level < levels; level += 1) value = level % 2 === 0 ? { down: value } : [value];
  return { down: value };
}
