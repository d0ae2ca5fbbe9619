import pg from 'pg';

/**
 * What a column's text becomes, for PGlite and PostgreSQL alike (both are read through `pg`):
 *   bigint, count(*) → number when it is safe, else bigint, which throws at the first arithmetic instead of being wrong
 *   timestamptz → Date    json, jsonb → parsed    bytea → Buffer
 *   numeric → string      uuid, text, inet → string
 */
export const columnTypes: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (format !== 'binary') {
      if (oid === INT8) return parseInt8;
      if (oid === INT8_ARRAY) return parseInt8Array;
    }
    return pg.types.getTypeParser(oid, format);
  }) as typeof pg.types.getTypeParser,
};

const INT8: number = 20;
const INT8_ARRAY: number = 1016;

function parseInt8(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text);
}

type Nested = string | null | readonly Nested[];
type NestedInt8 = number | bigint | null | readonly NestedInt8[];

const readArray: (text: string) => Nested = pg.types.getTypeParser(INT8_ARRAY, 'text');

function parseInt8Array(text: string): NestedInt8 {
  return convert(readArray(text));
}

function convert(value: Nested): NestedInt8 {
  if (value === null) return null;
  return typeof value === 'string' ? parseInt8(value) : value.map(convert);
}
