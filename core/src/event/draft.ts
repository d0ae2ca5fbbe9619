import { isIP } from 'node:net';
import type { Event, EventContext, Json, JsonObject } from '@switchyard/plugin-sdk';
import { NotStorable, storableCopy } from './storable.ts';
import { isTimestamp } from './timestamp.ts';

/** What an event may hold, in characters. */
const EVENT_LIMITS = { name: 200, userId: 200, clientId: 100, userAgent: 1000 } as const;

/** A field that is wrong, and a sentence that says how. */
export interface DraftProblem {
  readonly field: string;
  readonly message: string;
}

/** A draft that was looked at: every field is of its shape, absent ones are undefined. */
export interface CheckedDraft {
  readonly event_id: string | undefined;
  readonly event_name: string;
  readonly user_id: string | null;
  readonly timestamp: string | undefined;
  readonly metadata: JsonObject;
  readonly context: JsonObject;
}

const FIELDS: ReadonlySet<string> = new Set(['event_id', 'event_name', 'user_id', 'timestamp', 'metadata', 'context']);
const EMPTY: JsonObject = Object.freeze({});

const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !JSON.isRawJSON(value);

/** A problem of the whole event, or of something deep in it that the message names. */
const wholly = (message: string): DraftProblem => ({ field: '', message });

/**
 * Checks what a source or a transform made, and copies it: nothing that the plugin still holds gets into the event. Written by hand: it stands before every
 * 202, and its messages are for people. `known` holds what needs no copy: a whole draft that core parsed itself, or parts that were copied before.
 */
export function checkDraft(made: unknown, known?: ReadonlySet<unknown>): CheckedDraft | DraftProblem {
  let draft: JsonObject;
  try {
    if (!isObject(made)) return wholly('An event is a JSON object.');
    draft = known?.has(made) === true ? made : storableCopy(made, known);
  } catch (error) {
    return wholly(error instanceof NotStorable ? `${error.message}.` : 'It throws when it is read.');
  }
  for (const field in draft) {
    if (!FIELDS.has(field))
      return { field, message: `Unknown field "${field.slice(0, 80)}": put data of your own under "metadata".` };
  }
  const { event_id, event_name, user_id, timestamp, metadata, context } = draft as Readonly<
    Record<string, Json | undefined>
  >;
  if (!isText(event_name, EVENT_LIMITS.name)) {
    return { field: 'event_name', message: `"event_name" must be a string of 1 to ${EVENT_LIMITS.name} characters.` };
  }
  if (event_id !== undefined && !isText(event_id, EVENT_LIMITS.clientId)) {
    return { field: 'event_id', message: `"event_id" must be a string of 1 to ${EVENT_LIMITS.clientId} characters.` };
  }
  if (user_id !== undefined && user_id !== null && !isText(user_id, EVENT_LIMITS.userId)) {
    return {
      field: 'user_id',
      message: `"user_id" must be null or a string of 1 to ${EVENT_LIMITS.userId} characters.`,
    };
  }
  if (timestamp !== undefined && (typeof timestamp !== 'string' || !isTimestamp(timestamp))) {
    return {
      field: 'timestamp',
      message: '"timestamp" must be a date and time with its offset, such as "2024-01-30T10:00:00Z" (RFC 3339).',
    };
  }
  if (metadata !== undefined && !isObject(metadata))
    return { field: 'metadata', message: '"metadata" must be an object.' };
  if (context !== undefined) {
    if (!isObject(context)) return { field: 'context', message: '"context" must be an object.' };
    const { ip_address, user_agent } = context as Readonly<Record<string, Json | undefined>>;
    if (
      ip_address !== undefined &&
      ip_address !== null &&
      (typeof ip_address !== 'string' || isIP(ip_address) === 0 || ip_address.includes('%'))
    ) {
      return { field: 'context.ip_address', message: '"context.ip_address" must be null or an IPv4 or IPv6 address.' };
    }
    if (
      user_agent !== undefined &&
      user_agent !== null &&
      user_agent !== '' &&
      !isText(user_agent, EVENT_LIMITS.userAgent)
    ) {
      return {
        field: 'context.user_agent',
        message: `"context.user_agent" must be null or a string of at most ${EVENT_LIMITS.userAgent} characters.`,
      };
    }
  }
  return {
    event_id,
    event_name,
    user_id: user_id ?? null,
    timestamp,
    metadata: metadata ?? EMPTY,
    context: context ?? EMPTY,
  };
}

/** Whether a value is a string of 1 to `most` characters; a character beyond the basic plane (an emoji) is one. */
function isText(value: unknown, most: number): value is string {
  if (typeof value !== 'string' || value === '' || value.length > 2 * most) return false;
  return value.length <= most || Array.from(value).length <= most;
}

export const isProblem = (checked: CheckedDraft | DraftProblem): checked is DraftProblem => 'field' in checked;

/** Makes the event: what the client said of the end user's address and agent goes before what the connection says. */
export function stampEvent(draft: CheckedDraft, id: string, receivedAt: string, seen: EventContext): Event {
  return {
    id,
    event_name: draft.event_name,
    user_id: draft.user_id,
    timestamp: draft.timestamp ?? receivedAt,
    metadata: draft.metadata,
    received_at: receivedAt,
    context: draft.context === EMPTY ? seen : { ...seen, ...draft.context },
  };
}
