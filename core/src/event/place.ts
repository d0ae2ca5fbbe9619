/** The keys under which clients send several events in one object. */
const BATCH_KEYS: ReadonlySet<string> = new Set(['events', 'batch']);

/**
 * Which event of a batch, counted from 0, holds a position of a body: the body is an array of events, or an object with one under a key of its own.
 * Undefined when the body is no batch or the position lies outside of its events. It runs only for an error message, and judges no syntax.
 */
function eventIndexAt(text: string, position: number): number | undefined {
  /** The brackets that are open at the moment, and under which key of the body the second one stands. */
  let depth = 0;
  let topIsArray = false;
  let inBatch = false;
  let key = '';
  let commas = 0;
  for (let at = 0; at < position; at += 1) {
    switch (text.charAt(at)) {
      case '"': {
        const end = endOfString(text, at);
        if (end > position) at = position;
        else {
          if (depth === 1) key = text.slice(at + 1, end - 1);
          at = end - 1;
        }
        break;
      }
      case '[':
      case '{':
        depth += 1;
        if (depth === 1) topIsArray = text[at] === '[';
        if (depth === 2 && !topIsArray) {
          inBatch = text[at] === '[' && BATCH_KEYS.has(key);
          commas = 0;
        }
        break;
      case ']':
      case '}':
        depth -= 1;
        if (depth === 1 && !topIsArray) inBatch = false;
        break;
      case ',':
        if (depth === (topIsArray ? 1 : 2)) commas += 1;
        break;
    }
  }
  return depth > 0 && (topIsArray || inBatch) ? commas : undefined;
}

/** The position behind the string that begins at `start`. */
export function endOfString(text: string, start: number): number {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, text.length);
}

/** The same, as details of an error and as words. */
export function placeOf(
  text: string,
  position: number,
  byte: number,
): { readonly details: { readonly byte: number; readonly event?: number }; readonly words: string } {
  const event = eventIndexAt(text, position);
  if (event === undefined) return { details: { byte }, words: `at byte ${byte}` };
  return { details: { byte, event }, words: `at byte ${byte}, in the event with index ${event}` };
}
