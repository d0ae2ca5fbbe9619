import { sql, type Kysely } from 'kysely';
import type { SubscriptionAccount } from '../engine.ts';
import type { EventLog } from '../log/event-log.ts';
import { compilePlans } from '../pipeline/compile.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Database } from '../store/schema.ts';
import { partitionName } from './delivery-store.ts';

interface Row {
  readonly id: string;
  readonly pipeline_id: string;
  readonly destination_id: string;
  readonly definition: PipelineDefinition;
  readonly processed: number;
  readonly delivered: number;
  readonly filtered: number;
  readonly filtered_by: Readonly<Record<string, number>> | null;
  readonly retrying: number;
  readonly dead: number;
  readonly parked: number;
  readonly next: Readonly<Record<string, number>>;
}

/**
 * What became of the project's events, for each subscription of a published version, read in one snapshot.
 *
 * The columns come from independent counts: `accepted` and the unread part of `waiting` from the log, `delivered` and `filtered` from counters that move with
 * the cursor, the rest from the retry table. That they add up is not built in; it shows that no event was lost between them.
 */
export async function accountFor(
  db: Kysely<Database>,
  log: EventLog,
  project: string,
): Promise<readonly SubscriptionAccount[]> {
  const { rows } = await sql<Row>`
    select s.id, s.pipeline_id, s.destination_id, v.definition, c.processed, c.delivered, c.filtered, c.next,
      (select jsonb_object_agg(reason, count) from filtered_by where subscription_id = s.id) as filtered_by,
      coalesce(d.retrying, 0)::bigint as retrying, coalesce(d.dead, 0)::bigint as dead, coalesce(d.parked, 0)::bigint as parked
    from subscriptions s
    join pipelines p on p.id = s.pipeline_id
    join pipeline_versions v on v.pipeline_id = p.id and v.version = p.published_version
    cross join lateral (
      select sum(processed)::bigint as processed, sum(delivered)::bigint as delivered, sum(filtered)::bigint as filtered, jsonb_object_agg(partition, next_offset) as next
      from cursors where subscription_id = s.id
    ) c
    left join lateral (
      select count(*) filter (where state = 'retrying') as retrying, count(*) filter (where state = 'dead') as dead, count(*) filter (where state = 'parked') as parked
      from (
        -- An event of several outputs is counted once: it waits while one of them does.
        select case when bool_or(state = 'retrying') then 'retrying' when bool_or(state = 'dead') then 'dead' else 'parked' end as state
        from deliveries where subscription_id = s.id group by partition, log_offset
      ) e
    ) d on true
    where s.project_id = ${project} and s.ended_at is null
    order by s.pipeline_id, s.destination_id`.execute(db);
  const partitions = await db.selectFrom('projects').select('partitions').where('id', '=', project).executeTakeFirst();
  const indexes = Array.from({ length: partitions?.partitions ?? 0 }, (_, index) => index);
  return rows.map((row) => account(row, log, project, indexes));
}

/** Every event that the log ever took for the project. */
export async function acceptedBy(db: Kysely<Database>, log: EventLog, project: string): Promise<number> {
  const row = await db.selectFrom('projects').select('partitions').where('id', '=', project).executeTakeFirst();
  let accepted = 0;
  for (let index = 0; index < (row?.partitions ?? 0); index += 1) accepted += log.next({ project, index });
  return accepted;
}

function account(row: Row, log: EventLog, project: string, indexes: readonly number[]): SubscriptionAccount {
  const plan = compilePlans(row.definition).find(({ destination }) => destination === row.destination_id);
  const sources = new Set(plan?.entries.keys());
  let unread = 0;
  for (const index of indexes)
    unread += log.count({ project, index }, row.next[partitionName(log, index)] ?? 0, sources);
  const { delivered, filtered, dead, parked } = row;
  return {
    pipeline: row.pipeline_id,
    destination: row.destination_id,
    accepted: row.processed + unread,
    delivered,
    waiting: unread + row.retrying,
    filtered,
    filtered_by: row.filtered_by ?? {},
    dead,
    parked,
  };
}
