import { readStore, type Event, type EventQuery, type JsonObject, type Page } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { parseExact } from './exact-json.ts';

interface Row {
  id: string;
  event_name: string;
  user_id: string | null;
  at: string;
  metadata: string;
  received_at: string;
  ip_address: string | null;
  user_agent: string | null;
  context: string | null;
}

/** RFC 3339 in UTC with microseconds, whatever the session's time zone and date style are. */
const utc = (column: string) =>
  sql<string>`to_char(${sql.ref(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;

/**
 * A page of a project's events, newest first; events of one timestamp in descending order of id, so that the order is total. Pages are cut by
 * key, not by count: what is stored meanwhile neither repeats nor hides an event of a later page.
 */
export async function readEvents(
  database: Kysely<unknown>,
  project: string,
  query: EventQuery,
  signal: AbortSignal,
): Promise<Page<Event>> {
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor);
  if (query.id !== undefined && !UUID.test(query.id)) return { items: [], next_cursor: null };
  const where = [
    sql`project_id = ${project}::uuid`,
    ...(query.id === undefined ? [] : [sql`id = ${query.id}::uuid`]),
    ...(query.event_name === undefined ? [] : [sql`event_name = ${query.event_name}`]),
    ...(query.user_id === undefined ? [] : [sql`user_id = ${query.user_id}`]),
    ...(query.from === undefined ? [] : [sql`timestamp >= ${query.from}::timestamptz`]),
    ...(query.to === undefined ? [] : [sql`timestamp < ${query.to}::timestamptz`]),
    ...(after === undefined ? [] : [sql`(timestamp, id) < (${after.at}::timestamptz, ${after.id}::uuid)`]),
  ];
  // One more than asked for: whether there is a next page.
  const { rows } = await readStore(
    () =>
      sql<Row>`
      select id, event_name, user_id, ${utc('timestamp')} as at, metadata::text as metadata, ${utc('received_at')} as received_at,
        host(ip_address) as ip_address, user_agent, context::text as context
      from events
      where ${sql.join(where, sql` and `)}
      order by timestamp desc, id desc
      limit ${query.limit + 1}
    `.execute(database),
    signal,
  );
  const page = rows.slice(0, query.limit);
  const last = page.at(-1);
  return {
    items: page.map(toEvent),
    next_cursor: last === undefined || rows.length <= query.limit ? null : encodeCursor(last),
  };
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function toEvent(row: Row): Event {
  return {
    id: row.id,
    event_name: row.event_name,
    user_id: row.user_id,
    timestamp: toMillis(row.at),
    metadata: parseExact(row.metadata) as JsonObject,
    received_at: toMillis(row.received_at),
    context: {
      ip_address: row.ip_address,
      user_agent: row.user_agent,
      ...(row.context === null ? {} : (parseExact(row.context) as JsonObject)),
    },
  };
}

/** Milliseconds as `Date` writes them; microseconds only where there are some. */
function toMillis(at: string): string {
  return at.endsWith('000Z') ? `${at.slice(0, -4)}Z` : at;
}
