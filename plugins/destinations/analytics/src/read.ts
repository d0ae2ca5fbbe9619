import { readStore, type SeriesPoint, type SeriesQuery } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';

/** Buckets that begin within [from, to), newest first, and within one bucket by name. */
export async function readSeries(
  database: Kysely<unknown>,
  project: string,
  query: SeriesQuery,
  signal: AbortSignal,
): Promise<readonly SeriesPoint[]> {
  const where = [
    sql`project_id = ${project}::uuid`,
    ...(query.event_name === undefined ? [] : [sql`event_name = ${query.event_name}`]),
    ...(query.from === undefined ? [] : [sql`time_bucket >= ${query.from}::timestamptz`]),
    ...(query.to === undefined ? [] : [sql`time_bucket < ${query.to}::timestamptz`]),
  ];
  const { rows } = await readStore(
    () =>
      sql<{ event_name: string; at: string; count: string }>`
      select event_name, to_char(time_bucket at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as at, count::text as count
      from aggregates
      where ${sql.join(where, sql` and `)}
      order by time_bucket desc, event_name
      limit ${query.limit}
    `.execute(database),
    signal,
  );
  return rows.map(({ event_name, at, count }) => ({ event_name, time_bucket: at, count: Number(count) }));
}
