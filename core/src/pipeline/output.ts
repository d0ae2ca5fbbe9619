import type { Event, EventId } from '@switchyard/plugin-sdk';
import { checkDraft, isProblem, stampEvent } from '../event/draft.ts';

/**
 * Makes an event of what a transform emitted, or says what is wrong with it. Identity, reception and (unless it says otherwise) time and context are
 * its parent's. The same rules hold as at the edge: what a transform makes must not be poison for what comes after it.
 */
export function outputEvent(output: unknown, parent: Event, id: EventId): Event | string {
  let fields: Readonly<Record<string, unknown>>;
  try {
    if (typeof output !== 'object' || output === null || Array.isArray(output)) return 'It is not an object.';
    const { id: _id, received_at: _receivedAt, ...rest } = output as Readonly<Record<string, unknown>>;
    fields = rest;
  } catch {
    return 'It throws when it is read.';
  }
  const checked = checkDraft(fields, new Set<unknown>([parent.metadata, parent.context]));
  if (isProblem(checked)) return checked.message;
  if (checked.event_id !== undefined)
    return '"event_id" is only for events that come in: the id follows from the event before.';
  const timed = checked.timestamp === undefined ? { ...checked, timestamp: parent.timestamp } : checked;
  return stampEvent(timed, id, parent.received_at, parent.context);
}
