import { claimIds, movePosition, storeScope, type BatchStore } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';

/**
 * Why an event is counted once, whatever happens. A count cannot be asked what it is made of, as the archive's rows can: so EVERY id is claimed in the ledger, in the
 * statement that counts, and only ids that nobody had claimed are counted.
 *
 * The position alone would not do: it knows a redelivery of the same line, but an event that was counted there may come back on another way (a person replays it, a
 * new pipeline reads the log from its beginning, the client sends its `event_id` again), and version 7 ids are no exception. It is kept all the same, in
 * the same statement: a batch that is not next in line is then decided by id, and the store itself can say up to where it has taken each line.
 *
 * Buckets are upserted in one order (time, then name), and after all claims: statements that meet wait for each other in a line, never in a circle.
 */
export function countStore(database: Kysely<unknown>, project: string): BatchStore {
  const scope = storeScope(project, 'aggregates');
  return {
    refusedCode: 'ANALYTICS_EVENT_REFUSED',

    move: async (position) => {
      await movePosition(database, position, position.last).execute();
    },

    write: async (events, position) => {
      const inLine = position !== null;
      const { rows } = await sql<{ written: boolean }>`
        with ${inLine ? sql`moved as (${movePosition(database, position, position.first)}),` : sql``}
        batch as (
          select u.*, true as claim
          from ${inLine ? sql`moved,` : sql``} unnest(
            ${events.map(({ id }) => id)}::uuid[],
            ${events.map(({ event_name }) => event_name)}::text[],
            ${events.map(({ timestamp }) => timestamp)}::timestamptz[]
          ) as u (id, event_name, timestamp)
        ),
        claimed as (${claimIds(database, scope)}),
        counted as (
          insert into aggregates (project_id, event_name, time_bucket, count)
          select ${project}::uuid, event_name, date_bin('1 minute', timestamp, '2000-01-01T00:00:00Z') as bucket, count(*)
          from batch
          where id in (select event_id from claimed)
          group by event_name, bucket
          order by bucket, event_name
          on conflict (project_id, time_bucket, event_name) do update set count = aggregates.count + excluded.count
        )
        select ${inLine ? sql`exists (select from moved)` : sql`true`} as written
      `.execute(database);
      return rows[0]?.written === true;
    },
  };
}
