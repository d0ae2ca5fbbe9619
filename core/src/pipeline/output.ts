import type { Event, EventId } from '@switchyard/plugin-sdk';
import { checkDraft, isProblem, stampEvent } from '../event/draft.ts';
import { JSON_LIMITS } from '../event/scan.ts';

const MAX_KEYS = 10_000;

/**
 * Makes an event of what a transform emitted, or says what is wrong with it. Identity, reception and (unless it says otherwise) time and context are
 * its parent's. The same rules hold as at the edge: what a transform makes must not be poison for what comes after it.
 */
export function outputEvent(output: unknown, parent: Event, id: EventId): Event | string {
  if (typeof output !== 'object' || output === null) return 'it is not an object';
  const { id: _id, received_at: _receivedAt, ...fields } = output as Readonly<Record<string, unknown>>;
  const checked = checkDraft(fields);
  if (isProblem(checked)) return checked.message;
  if (checked.event_id !== undefined) return '"event_id" is only for events that come in: the id follows from the event before';
  const problem = storable(checked.metadata) ?? storable(checked.context) ?? text(checked.event_name) ?? text(checked.user_id ?? '');
  if (problem !== null) return problem;
  const timed = checked.timestamp === undefined ? { ...checked, timestamp: parent.timestamp } : checked;
  return stampEvent(timed, id, parent.received_at, parent.context);
}

function text(value: string): string | null {
  if (value.includes('\u0000')) return 'a string holds a NUL character, which cannot be stored';
  return value.isWellFormed() ? null : 'a string holds half of a surrogate pair, which cannot be stored';
}

/** What is wrong with a value that is to be stored as JSON, or null. Walks without recursion, since the value may be of any depth. */
function storable(root: unknown): string | null {
  const stack: [value: unknown, depth: number][] = [[root, 2]];
  let keys = 0;
  for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
    const [value, depth] = top;
    if (typeof value === 'string') {
      const problem = text(value);
      if (problem !== null) return problem;
    } else if (typeof value === 'number') {
      if (!Number.isFinite(value)) return `a number is ${value}, which JSON cannot hold`;
    } else if (typeof value === 'object' && value !== null && !JSON.isRawJSON(value)) {
      if (depth > JSON_LIMITS.maxDepth) return `it nests deeper than ${JSON_LIMITS.maxDepth} levels`;
      for (const [key, child] of Object.entries(value)) {
        if (key === '__proto__') return 'it has a key __proto__, which is refused';
        if (key.length > JSON_LIMITS.maxKeyBytes) return `a key is longer than ${JSON_LIMITS.maxKeyBytes} characters`;
        const problem = text(key);
        if (problem !== null) return problem;
        keys += 1;
        if (keys > MAX_KEYS) return `it has more than ${MAX_KEYS} keys`;
        stack.push([child, depth + 1]);
      }
    } else if (value !== null && typeof value !== 'boolean') return `it holds a ${typeof value}, which JSON cannot hold`;
  }
  return null;
}
