import type { Page } from '@switchyard/plugin-sdk';
import { sql, type Kysely, type RawBuilder } from 'kysely';
import { isUuid, pageOf, placeOf, type PageRequest } from './page.ts';
import type { Database, DeliveryState } from './schema.ts';
import { utcText } from './sql.ts';

/** An event that a destination did not get and nobody is trying to deliver. */
export interface DeadLetter {
  readonly id: string;
  /** `dead`: its delivery failed for good. `parked`: it was put aside before it was tried. */
  readonly state: 'dead' | 'parked';
  /** The event as it came in, as JSON text: numbers keep the digits that were posted. */
  readonly event: string;
  readonly destination: string;
  readonly stage: string;
  readonly error: { readonly code: string; readonly message: string };
  readonly attempts: number;
  readonly pipelineVersion: number;
  readonly at: Date;
}

export interface DeadLetterFilter {
  readonly ids?: readonly string[] | undefined;
  readonly destination?: string | undefined;
  readonly errorCode?: string | undefined;
  readonly eventName?: string | undefined;
}

export interface ReplayResult {
  /** How many dead letters the filter names. */
  readonly matched: number;
  /** How many of them are on their way again: fewer when a destination is gone. */
  readonly replayed: number;
}

/** States that stand still until a person acts. */
const STILL = ['dead', 'parked'] as const satisfies readonly DeliveryState[];

interface Row {
  readonly id: string;
  readonly state: 'dead' | 'parked';
  readonly event: string;
  readonly destination_id: string;
  readonly stage: string;
  readonly error_code: string;
  readonly error_message: string;
  readonly attempts: number;
  readonly pipeline_version: number;
  readonly updated_at: Date;
  readonly place: string;
}

export class DeadLetterRepository {
  constructor(private readonly db: Kysely<Database>) {}

  /** Newest first. */
  async list(project: string, filter: DeadLetterFilter, page: PageRequest): Promise<Page<DeadLetter>> {
    const after = placeOf(page.cursor, isUuid);
    const limit = page.limit + 1;
    // One scan a state, each along the index, rather than a sort of every dead letter of the project.
    const scan = (state: 'dead' | 'parked'): RawBuilder<Row> => sql<Row>`(
      select id, state, event, destination_id, stage, error_code, error_message, attempts, pipeline_version, updated_at, ${utcText('updated_at')} as place
      from deliveries
      where project_id = ${project} and state = ${state} and ${matches(filter)}
        and ${after === null ? sql`true` : sql`(updated_at < ${after.at}::timestamptz or (updated_at = ${after.at}::timestamptz and id > ${after.id}::uuid))`}
      order by updated_at desc, id
      limit ${limit}
    )`;
    const { rows } = await sql<Row>`
      select * from (${sql.join(STILL.map(scan), sql` union all `)}) as letters order by updated_at desc, id limit ${limit}
    `.execute(this.db);
    return pageOf(rows, page.limit, fromRow, ({ place, id }) => [place, id]);
  }

  /**
   * Puts everything that the filter names back on its way, in one statement: either all of it or, after an error, nothing. A letter whose destination was
   * deleted stays where it is. Answers what would happen when `dryRun`.
   */
  async replay(project: string, filter: DeadLetterFilter, dryRun: boolean): Promise<ReplayResult> {
    const wanted = sql`project_id = ${project} and state in (${sql.join(STILL)}) and ${matches(filter)}`;
    const deliverable = sql`destination_id in (select id from destinations where project_id = ${project})`;
    if (dryRun) {
      const { rows } = await sql<{
        matched: number;
      }>`select count(*) as matched from deliveries where ${wanted}`.execute(this.db);
      return { matched: rows[0]?.matched ?? 0, replayed: 0 };
    }
    const { rows } = await sql<{ matched: number; replayed: number }>`
      with wanted as (
        select id, ${deliverable} as deliverable from deliveries where ${wanted} for update
      ), woken as (
        update deliveries set state = 'retrying', retries = 0, next_at = now(), updated_at = now()
        where id in (select id from wanted where deliverable)
        returning id
      )
      select (select count(*) from wanted) as matched, (select count(*) from woken) as replayed
    `.execute(this.db);
    return { matched: rows[0]?.matched ?? 0, replayed: rows[0]?.replayed ?? 0 };
  }
}

function matches({ ids, destination, errorCode, eventName }: DeadLetterFilter): RawBuilder<boolean> {
  const conditions: RawBuilder<boolean>[] = [sql<boolean>`true`];
  if (ids !== undefined) conditions.push(sql<boolean>`id = any(${[...ids]}::uuid[])`);
  if (destination !== undefined) conditions.push(sql<boolean>`destination_id = ${destination}`);
  if (errorCode !== undefined) conditions.push(sql<boolean>`error_code = ${errorCode}`);
  if (eventName !== undefined) conditions.push(sql<boolean>`event_name = ${eventName}`);
  return sql<boolean>`(${sql.join(conditions, sql` and `)})`;
}

function fromRow(row: Row): DeadLetter {
  return {
    id: row.id,
    state: row.state,
    event: row.event,
    destination: row.destination_id,
    stage: row.stage,
    error: { code: row.error_code, message: row.error_message },
    attempts: row.attempts,
    pipelineVersion: row.pipeline_version,
    at: row.updated_at,
  };
}
