import { SwitchyardError } from '../errors.ts';

/** Which part of a list is wanted. `cursor` is the `next_cursor` of the page before. */
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string | undefined;
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** Whether the database would take the text as a uuid; anything else in a query would be an error of the database, not an empty answer. */
export const isUuid = (text: string): boolean => UUID.test(text);

/** The place of a row that is listed by time and id. `at` has microseconds, which a `Date` has not. */
export interface Place {
  readonly at: string;
  readonly id: string;
}

const TIME = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$/;
const encode = (parts: readonly string[]): string => Buffer.from(parts.join(' '), 'utf8').toString('base64url');

function decode(cursor: string): readonly string[] {
  return Buffer.from(cursor, 'base64url').toString('utf8').split(' ');
}

const unusable = (): SwitchyardError =>
  new SwitchyardError(
    'REQUEST_INVALID',
    'The cursor is not one that this list gave out: take `next_cursor` as it came, or start without one.',
    { place: 'query', field: 'cursor' },
  );

/** The id that a cursor of a list by id stands at, or null at the beginning. */
export function idOf(cursor: string | undefined): string | null {
  if (cursor === undefined) return null;
  const [id, ...rest] = decode(cursor);
  if (id === undefined || rest.length > 0 || !isUuid(id)) throw unusable();
  return id;
}

/** The number that a cursor of a numbered list stands at, or null at the beginning. */
export function numberOf(cursor: string | undefined): number | null {
  if (cursor === undefined) return null;
  const [text = '', ...rest] = decode(cursor);
  if (rest.length > 0 || !/^[1-9]\d{0,8}$/.test(text)) throw unusable();
  return Number(text);
}

/** The place that a cursor of a list by time stands at, or null at the beginning. */
export function placeOf(cursor: string | undefined, isId: (text: string) => boolean): Place | null {
  if (cursor === undefined) return null;
  const [at, id, ...rest] = decode(cursor);
  if (at === undefined || id === undefined || rest.length > 0 || !TIME.test(at) || !isId(id)) throw unusable();
  return { at, id };
}

/** Makes a page of `limit + 1` rows: the extra one only says that there are more. */
export function pageOf<Row, Item>(
  rows: readonly Row[],
  limit: number,
  item: (row: Row) => Item,
  place: (row: Row) => readonly string[],
): { items: Item[]; next_cursor: string | null } {
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  return {
    items: shown.map(item),
    next_cursor: rows.length > limit && last !== undefined ? encode(place(last)) : null,
  };
}
