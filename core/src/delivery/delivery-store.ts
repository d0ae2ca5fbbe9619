import { randomUUIDv7 } from 'node:crypto';
import type { Logger } from '@switchyard/plugin-sdk';
import { sql, type Kysely } from 'kysely';
import type { EventLog } from '../log/event-log.ts';
import { changeProject } from '../store/project-lock.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { Database } from '../store/schema.ts';
import type { SubscriptionKey } from './records.ts';

export interface StoredDestination {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** As stored: its secrets are sealed. */
  readonly config: unknown;
  readonly enabled: boolean;
  readonly updatedAt: Date;
}

export interface StoredVersion {
  readonly pipeline: string;
  readonly version: number;
  readonly definition: PipelineDefinition;
}

export interface StoredCursor {
  /** Names the partition and the log's incarnation. */
  readonly partition: string;
  readonly next: number;
  readonly end: number | null;
}

export interface StoredSubscription {
  readonly key: SubscriptionKey;
  /** Still wanted by a published version; else it only finishes what it has. */
  readonly living: boolean;
  readonly version: StoredVersion;
  /** Of the log's present incarnation. */
  readonly cursors: readonly StoredCursor[];
  /** Ordered keys with events in the retry table, and how many. */
  readonly blockedKeys: readonly { readonly key: string; readonly count: number }[];
}

export interface ProjectState {
  readonly partitions: number;
  readonly destinations: readonly StoredDestination[];
  readonly subscriptions: readonly StoredSubscription[];
}

export const partitionName = (log: EventLog, index: number): string => `${log.incarnation}/${index}`;

/** What the engine reads and writes of subscriptions and cursors. */
export class DeliveryStore {
  constructor(
    private readonly db: Kysely<Database>,
    private readonly log: EventLog,
    private readonly logger: Logger,
  ) {}

  async projects(): Promise<readonly string[]> {
    const rows = await this.db.selectFrom('projects').select('id').orderBy('id').execute();
    return rows.map(({ id }) => id);
  }

  /**
   * Makes subscriptions fit what is published, in one transaction: a new one begins at the end of the log as it is now, one that is no longer wanted ends
   * there. Gives back what is to run. Throws `NOT_FOUND` when there is no such project.
   */
  async sync(project: string): Promise<ProjectState> {
    return changeProject(this.db, project, async (tx) => {
      const { partitions } = await tx
        .selectFrom('projects')
        .select('partitions')
        .where('id', '=', project)
        .executeTakeFirstOrThrow();
      const versions = await this.versions(tx, project);
      const published = versions.filter(({ live }) => live);
      const wanted = published.flatMap(({ pipeline, definition }) =>
        destinationsOf(definition).map((destination) => ({ pipeline, destination })),
      );
      const living = await tx
        .selectFrom('subscriptions')
        .select(['id', 'pipeline_id', 'destination_id'])
        .where('project_id', '=', project)
        .where('ended_at', 'is', null)
        .execute();
      for (const { id, pipeline_id, destination_id } of living) {
        if (!wanted.some(({ pipeline, destination }) => pipeline === pipeline_id && destination === destination_id))
          await this.end(tx, project, id, partitions);
      }
      for (const { pipeline, destination } of wanted) {
        const known = living.find(
          ({ pipeline_id, destination_id }) => pipeline === pipeline_id && destination === destination_id,
        );
        const id = known?.id ?? randomUUIDv7();
        if (known === undefined)
          await tx
            .insertInto('subscriptions')
            .values({ id, project_id: project, pipeline_id: pipeline, destination_id: destination })
            .execute();
        await this.ensureCursors(tx, project, id, partitions, known === undefined);
      }
      await this.pullBackCursors(tx, project, partitions);
      return {
        partitions,
        destinations: await this.destinations(tx, project),
        subscriptions: await this.subscriptions(tx, project, versions),
      };
    });
  }

  /** Where the subscription stands now: it moved while its pumps finished what was under way. */
  async refresh(stored: StoredSubscription): Promise<StoredSubscription> {
    const { id } = stored.key;
    return { ...stored, cursors: await this.cursors(this.db, id), blockedKeys: await this.blockedKeys(this.db, id) };
  }

  /** The stored cursor of one partition: where a pump that broke off begins again. */
  async cursor(subscription: string, partition: string): Promise<StoredCursor | null> {
    const row = await this.db
      .selectFrom('cursors')
      .select(['partition', 'next_offset', 'end_offset'])
      .where('subscription_id', '=', subscription)
      .where('partition', '=', partition)
      .executeTakeFirst();
    return row === undefined ? null : { partition: row.partition, next: row.next_offset, end: row.end_offset };
  }

  /** The offset of a partition that every subscription has passed. */
  async passed(project: string, index: number): Promise<number> {
    const row = await this.db
      .selectFrom('cursors')
      .innerJoin('subscriptions', 'subscriptions.id', 'cursors.subscription_id')
      .select((eb) => eb.fn.min<number | null>('cursors.next_offset').as('passed'))
      .where('subscriptions.project_id', '=', project)
      .where('cursors.partition', '=', partitionName(this.log, index))
      .where((eb) =>
        eb.or([eb('cursors.end_offset', 'is', null), eb('cursors.next_offset', '<', eb.ref('cursors.end_offset'))]),
      )
      .executeTakeFirst();
    return row?.passed ?? this.log.next({ project, index });
  }

  private async end(tx: Kysely<Database>, project: string, subscription: string, partitions: number): Promise<void> {
    await tx.updateTable('subscriptions').set({ ended_at: new Date() }).where('id', '=', subscription).execute();
    for (let index = 0; index < partitions; index += 1) {
      await tx
        .updateTable('cursors')
        .set({ end_offset: this.log.next({ project, index }) })
        .where('subscription_id', '=', subscription)
        .where('partition', '=', partitionName(this.log, index))
        .execute();
    }
  }

  /** A new subscription begins at the end of the log. One that meets a new log begins at its beginning: all of it came after the subscription. */
  private async ensureCursors(
    tx: Kysely<Database>,
    project: string,
    subscription: string,
    partitions: number,
    isNew: boolean,
  ): Promise<void> {
    for (let index = 0; index < partitions; index += 1) {
      const start = isNew ? this.log.next({ project, index }) : 0;
      await tx
        .insertInto('cursors')
        .values({
          subscription_id: subscription,
          partition: partitionName(this.log, index),
          start_offset: start,
          next_offset: start,
          end_offset: null,
        })
        .onConflict((conflict) => conflict.columns(['subscription_id', 'partition']).doNothing())
        .execute();
    }
  }

  /**
   * A cursor beyond the end of the log means that the log lost its tail: an older copy of it was put back beside a newer database. Left where it is, the cursor
   * would pass over as many new events without a word.
   */
  private async pullBackCursors(tx: Kysely<Database>, project: string, partitions: number): Promise<void> {
    for (let index = 0; index < partitions; index += 1) {
      const end = this.log.next({ project, index });
      const { numUpdatedRows } = await tx
        .updateTable('cursors')
        .set({ next_offset: end })
        .where('partition', '=', partitionName(this.log, index))
        .where('next_offset', '>', end)
        .where('subscription_id', 'in', tx.selectFrom('subscriptions').select('id').where('project_id', '=', project))
        .executeTakeFirst();
      if (numUpdatedRows === 0n) continue;
      this.logger.error(
        'The event log ends before what was already delivered: an older copy of it stands beside a newer database. Delivery goes on with the next event.',
        { project, partition: index, end },
      );
    }
  }

  private async destinations(tx: Kysely<Database>, project: string): Promise<readonly StoredDestination[]> {
    const rows = await tx.selectFrom('destinations').selectAll().where('project_id', '=', project).execute();
    return rows.map(({ id, name, type, config, enabled, updated_at }) => ({
      id,
      name,
      type,
      config,
      enabled,
      updatedAt: updated_at,
    }));
  }

  /** Every version of the project's pipelines, newest first; `live` is the one that is published. */
  private async versions(
    tx: Kysely<Database>,
    project: string,
  ): Promise<readonly (StoredVersion & { readonly live: boolean })[]> {
    const rows = await tx
      .selectFrom('pipeline_versions')
      .innerJoin('pipelines', 'pipelines.id', 'pipeline_versions.pipeline_id')
      .select([
        'pipelines.id',
        'pipelines.published_version',
        'pipeline_versions.version',
        'pipeline_versions.definition',
      ])
      .where('pipelines.project_id', '=', project)
      .orderBy('pipeline_versions.version', 'desc')
      .execute();
    return rows.map((row) => ({
      pipeline: row.id,
      version: row.version,
      definition: row.definition as PipelineDefinition,
      live: row.version === row.published_version,
    }));
  }

  /** Living subscriptions, and ended ones that still have something to do. */
  private async subscriptions(
    tx: Kysely<Database>,
    project: string,
    versions: readonly (StoredVersion & { readonly live: boolean })[],
  ): Promise<readonly StoredSubscription[]> {
    const rows = await tx
      .selectFrom('subscriptions as s')
      .select(['s.id', 's.pipeline_id', 's.destination_id', 's.ended_at'])
      .where('s.project_id', '=', project)
      .where((eb) =>
        eb.or([
          eb('s.ended_at', 'is', null),
          eb.exists(
            eb
              .selectFrom('cursors as c')
              .select(sql.lit(1).as('one'))
              .whereRef('c.subscription_id', '=', 's.id')
              .whereRef('c.next_offset', '<', 'c.end_offset'),
          ),
          eb.exists(
            eb
              .selectFrom('deliveries as d')
              .select(sql.lit(1).as('one'))
              .whereRef('d.subscription_id', '=', 's.id')
              .where('d.state', '=', 'retrying'),
          ),
        ]),
      )
      .execute();
    const found: StoredSubscription[] = [];
    for (const { id, pipeline_id, destination_id, ended_at } of rows) {
      const living = ended_at === null;
      const version = versions.find(
        ({ pipeline, live, definition }) =>
          pipeline === pipeline_id && (living ? live : destinationsOf(definition).includes(destination_id)),
      );
      if (version === undefined) continue;
      const key: SubscriptionKey = { id, project, pipeline: pipeline_id, destination: destination_id };
      found.push({
        key,
        living,
        version,
        cursors: await this.cursors(tx, id),
        blockedKeys: await this.blockedKeys(tx, id),
      });
    }
    return found;
  }

  private async cursors(tx: Kysely<Database>, subscription: string): Promise<readonly StoredCursor[]> {
    const rows = await tx
      .selectFrom('cursors')
      .select(['partition', 'next_offset', 'end_offset'])
      .where('subscription_id', '=', subscription)
      .where('partition', 'like', `${this.log.incarnation}/%`)
      .execute();
    return rows.map(({ partition, next_offset, end_offset }) => ({ partition, next: next_offset, end: end_offset }));
  }

  private async blockedKeys(tx: Kysely<Database>, subscription: string): Promise<StoredSubscription['blockedKeys']> {
    const rows = await tx
      .selectFrom('deliveries')
      .select((eb) => ['order_key', eb.fn.countAll<number>().as('count')])
      .where('subscription_id', '=', subscription)
      .where('state', '=', 'retrying')
      .where('order_key', 'is not', null)
      .groupBy('order_key')
      .execute();
    return rows.flatMap(({ order_key, count }) => (order_key === null ? [] : [{ key: order_key, count }]));
  }
}

function destinationsOf(definition: PipelineDefinition): readonly string[] {
  return definition.nodes.flatMap((node) => (node.kind === 'destination' ? [node.destination] : []));
}
