import { sql, type RawBuilder } from 'kysely';

/** A timestamp as RFC 3339 in UTC with microseconds: a cursor that went through a `Date` would skip or repeat rows. */
export const utcText = (column: string): RawBuilder<string> =>
  sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
