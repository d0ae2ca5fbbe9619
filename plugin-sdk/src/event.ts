/** Any value that JSON can hold. */
export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** A UUID: version 5 when the client named the event (`event_id`), version 7 when ingress did. */
export type EventId = string;

/** Where an event came from. Sources may add keys; the two named ones are always there. */
export interface EventContext extends JsonObject {
  readonly ip_address: string | null;
  readonly user_agent: string | null;
}

/**
 * An event as every stage sees it: rules, user code, webhooks and tables use these same names.
 *
 * Events are shared between the subscriptions that stand at the same place of the log, so they are
 * deeply frozen: a plugin that wants another event makes one.
 *
 * A number that a double cannot hold (12345678901234567890) is kept as `JSON.rawJSON`: it is written out with
 * the digits that were posted.
 */
export interface Event {
  readonly id: EventId;
  readonly event_name: string;
  readonly user_id: string | null;
  /** RFC 3339, as posted; when it was not posted, `received_at`. */
  readonly timestamp: string;
  readonly metadata: JsonObject;
  /** RFC 3339 in UTC: when ingress stamped the event. */
  readonly received_at: string;
  readonly context: EventContext;
}

/**
 * What a source hands to ingress, before it is an event: ingress validates it, gives it its id and stamps it.
 * `event_id` (at most 100 characters) makes a repeat harmless: the same project and `event_id` is the same event.
 */
export interface EventDraft {
  readonly event_id?: string;
  readonly event_name: string;
  readonly user_id?: string | null;
  readonly timestamp?: string;
  readonly metadata?: JsonObject;
  readonly context?: JsonObject;
}

/**
 * What a transform emits. Core sets `id` and `received_at` itself, whatever stands there: one output keeps its
 * input's id, several get ids derived from it, the same at every redelivery.
 */
export type EventOutput = Omit<EventDraft, 'event_id'>;
