/** A number that a double cannot hold, as `JSON.rawJSON` keeps it: the digits that were posted. */
export interface RawNumber {
  readonly rawJSON: string;
}

// TypeScript's libraries do not know these two functions yet.
const raw = JSON as unknown as { isRawJSON(value: unknown): boolean };

/** Whether a value inside an event is such a number. It looks like an object with one key, but it is a leaf. */
export function isRawNumber(value: unknown): value is RawNumber {
  return raw.isRawJSON(value);
}
