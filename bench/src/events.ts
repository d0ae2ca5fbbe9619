import { randomUUIDv7 } from 'node:crypto';
import type { Event, JsonObject } from '@switchyard/plugin-sdk';

const USERS = 200;
const NAMES = ['user_signed_up', 'order_completed', 'page_viewed', 'plan_changed'];
const FILLER = 'the quick brown fox jumps over the lazy dog, again and again; ';

/** Metadata of about so many bytes of JSON, of a few types as real ones are. */
export function metadataOf(bytes: number): JsonObject {
  const base = { plan: 'pro', source: 'landing_page', total: 129.5, trial: false };
  const missing = bytes - JSON.stringify({ ...base, note: '' }).length;
  return missing > 0 ? { ...base, note: FILLER.repeat(Math.ceil(missing / FILLER.length)).slice(0, missing) } : base;
}

/** What a client posts: 190 to 200 bytes of JSON. Users differ, so that events spread over the partitions. */
export function draftOf(index: number): JsonObject {
  return {
    event_name: NAMES[index % NAMES.length] ?? '',
    user_id: `user-${index % USERS}`,
    timestamp: '2024-01-30T10:00:00Z',
    metadata: { ...metadataOf(60), path: `/pages/${index}` },
  };
}

/** An event as ingress makes it. */
export function eventOf(index: number, metadata: JsonObject = metadataOf(190)): Event {
  const now = new Date().toISOString();
  return {
    id: randomUUIDv7(),
    event_name: NAMES[index % NAMES.length] ?? '',
    user_id: `user-${index % USERS}`,
    timestamp: now,
    metadata,
    received_at: now,
    context: { ip_address: '127.0.0.1', user_agent: 'bench/1' },
  };
}
