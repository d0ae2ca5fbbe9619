import {
  claimIds,
  movePosition,
  storeScope,
  type BatchStore,
  type Event,
  type EventContext,
  type EventId,
} from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';

/**
 * Why an event is in the archive once, whatever happens. "Once" means one row for one event id.
 *
 * Next in line (the position moved in this very statement):
 * - It has not been stored through this line: rows and position commit together, so either the position tells of it or neither exists. A lost answer to the
 *   commit changes nothing: the batch comes again, does not move the position, and is decided by id.
 * - Ids of version 5 can be anywhere in the past: a client may repeat its `event_id` a year later, with another timestamp, and the
 *   primary key (id, timestamp) would take that for another event. So each is claimed in the ledger, in this statement: the first claim stores, others store nothing.
 * - Ids of version 7 are made once, by ingress. One that is here already came another way (a replay before a rewind of the line, another
 *   pipeline) with the timestamp that ingress fixed, and meets its own primary key. No ledger row is needed, which is worth a quarter of the write.
 *
 * By id (retries, replays, redeliveries, and the halves of a batch with a bad event in it): the timestamp may differ from the first time, as the
 * pipeline may have changed, or a person the event. So every id is claimed, and an event is stored only if its id has no row under ANY timestamp: that finds those
 * which came in line and left no claim. A claim without a row cannot be, as both commit together or not at all.
 *
 * Twice in one batch: `storeBatch` keeps the first of an id.
 *
 * What is left: a version 7 id that comes in line through two subscriptions whose pipelines give it two timestamps has a row for each. Core refuses to let two published
 * pipelines feed one store; a pipeline that was replaced AND reads the log again from before its replacement AND sets another timestamp would do it.
 */
export function archiveStore(database: Kysely<unknown>, project: string): BatchStore {
  const scope = storeScope(project, 'events');
  return {
    refusedCode: 'ARCHIVE_ROW_REFUSED',

    move: async (position) => {
      await movePosition(database, position, position.last).execute();
    },

    write: async (events, position) => {
      const insert = sql`insert into events (id, project_id, event_name, user_id, timestamp, metadata, received_at, ip_address, user_agent, context)`;
      const row = sql`id, ${project}::uuid, event_name, user_id, timestamp, metadata::jsonb, received_at, ip_address, user_agent, context::jsonb`;
      const rows = unnestRows(events);
      const claimed = sql`claimed as (${claimIds(database, scope)})`;
      if (position === null) {
        await sql`
          with batch as (select u.*, true as claim from ${rows}), ${claimed}
          ${insert}
          select ${row} from batch
          where id in (select event_id from claimed) and not exists (select from events as held where held.id = batch.id)
          on conflict do nothing
        `.execute(database);
        return true;
      }
      const named = events.some(({ id }) => isNamed(id));
      const { rows: moved } = await sql`
        with moved as (${movePosition(database, position, position.first)}),
        batch as (select u.*, substr(u.id::text, 15, 1) = '5' as claim from moved, ${rows}),
        ${named ? sql`${claimed},` : sql``}
        stored as (
          ${insert}
          select ${row} from batch
          ${named ? sql`where not claim or id in (select event_id from claimed)` : sql``}
          on conflict do nothing
        )
        select from moved
      `.execute(database);
      return moved.length === 1;
    },
  };
}

/** Whether an id is of version 5: made of a name, and so possibly made before. */
function isNamed(id: EventId): boolean {
  return id[14] === '5';
}

/** One array a column: the statement is the same for every size of batch. JSON travels as text, which keeps the digits of its numbers. */
function unnestRows(events: readonly Event[]) {
  const column = (value: (event: Event) => string | null) => events.map(value);
  return sql`unnest(
    ${column((event) => event.id)}::uuid[],
    ${column((event) => event.event_name)}::text[],
    ${column((event) => event.user_id)}::text[],
    ${column((event) => event.timestamp)}::timestamptz[],
    ${column((event) => JSON.stringify(event.metadata))}::text[],
    ${column((event) => event.received_at)}::timestamptz[],
    ${column((event) => event.context.ip_address)}::inet[],
    ${column((event) => event.context.user_agent)}::text[],
    ${column((event) => otherContext(event.context))}::text[]
  ) as u (id, event_name, user_id, timestamp, metadata, received_at, ip_address, user_agent, context)`;
}

/** What has no column of its own. */
function otherContext({ ip_address: _ip, user_agent: _agent, ...others }: EventContext): string | null {
  return Object.keys(others).length === 0 ? null : JSON.stringify(others);
}
