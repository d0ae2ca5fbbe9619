import { randomUUIDv7 } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { Page } from '@switchyard/plugin-sdk';
import { sql, type Kysely, type Selectable } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import { idOf, numberOf, pageOf, type PageRequest } from './page.ts';
import { changeProject } from './project-lock.ts';
import type { Database, PipelinesTable } from './schema.ts';

export interface StoredPipeline {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  /** As it was saved: it may not run. Only publishing asks for that. */
  readonly draft: unknown;
  readonly publishedVersion: number | null;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** A version never changes once it is made. */
export interface PipelineVersion {
  readonly version: number;
  readonly definition: unknown;
  readonly publishedAt: Date;
  /** The user's id; null for the default pipeline, which nobody published. */
  readonly publishedBy: string | null;
}

/** A published pipeline that a node occurs in. */
interface Published {
  readonly id: string;
  readonly name: string;
}

const fromRow = (row: Selectable<PipelinesTable>): StoredPipeline => ({
  id: row.id,
  project: row.project_id,
  name: row.name,
  draft: row.draft,
  publishedVersion: row.published_version,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

/** The project's published pipelines with a node like this one. */
export async function publishedUsers(
  db: Kysely<Database>,
  project: string,
  node:
    | { readonly kind: 'source'; readonly source: string }
    | { readonly kind: 'destination'; readonly destination: string },
): Promise<readonly Published[]> {
  return db
    .selectFrom('pipelines')
    .innerJoin('pipeline_versions', (join) =>
      join
        .onRef('pipeline_versions.pipeline_id', '=', 'pipelines.id')
        .onRef('pipeline_versions.version', '=', 'pipelines.published_version'),
    )
    .select(['pipelines.id', 'pipelines.name'])
    .where('pipelines.project_id', '=', project)
    .where(sql<boolean>`pipeline_versions.definition @> ${JSON.stringify({ nodes: [node] })}::jsonb`)
    .orderBy('pipelines.id')
    .execute();
}

/** Makes the next version of a pipeline and the one that runs. */
export async function insertVersion(
  db: Kysely<Database>,
  pipeline: string,
  definition: unknown,
  publishedBy: string | null,
): Promise<number> {
  const { last } = await db
    .selectFrom('pipeline_versions')
    .select(sql<number>`coalesce(max(version), 0)`.as('last'))
    .where('pipeline_id', '=', pipeline)
    .executeTakeFirstOrThrow();
  const version = last + 1;
  await db
    .insertInto('pipeline_versions')
    .values({ pipeline_id: pipeline, version, definition: JSON.stringify(definition), published_by: publishedBy })
    .execute();
  await db
    .updateTable('pipelines')
    .set({ published_version: version, updated_at: new Date() })
    .where('id', '=', pipeline)
    .execute();
  return version;
}

export async function insertPipeline(
  db: Kysely<Database>,
  project: string,
  name: string,
  draft: unknown,
): Promise<StoredPipeline> {
  const row = await db
    .insertInto('pipelines')
    .values({ id: randomUUIDv7(), project_id: project, name, draft: JSON.stringify(draft), published_version: null })
    .returningAll()
    .executeTakeFirstOrThrow();
  return fromRow(row);
}

export class PipelineRepository {
  constructor(private readonly db: Kysely<Database>) {}

  /** Oldest first. */
  async list(project: string, page: PageRequest): Promise<Page<StoredPipeline>> {
    const after = idOf(page.cursor);
    const rows = await this.db
      .selectFrom('pipelines')
      .selectAll()
      .where('project_id', '=', project)
      .where('deleted_at', 'is', null)
      .$if(after !== null, (query) => query.where('id', '>', after))
      .orderBy('id')
      .limit(page.limit + 1)
      .execute();
    return pageOf(rows, page.limit, fromRow, ({ id }) => [id]);
  }

  async get(project: string, id: string): Promise<StoredPipeline> {
    return this.require(this.db, project, id);
  }

  async create(project: string, name: string, draft: unknown): Promise<StoredPipeline> {
    return changeProject(this.db, project, async (transaction) => {
      const taken = await transaction
        .selectFrom('pipelines')
        .select('id')
        .where('project_id', '=', project)
        .where('name', '=', name)
        .where('deleted_at', 'is', null)
        .executeTakeFirst();
      if (taken !== undefined)
        throw new SwitchyardError('NAME_TAKEN', `There is a pipeline named "${name}" already: choose another name.`, {
          id: taken.id,
        });
      return insertPipeline(transaction, project, name, draft);
    });
  }

  /** Changes nothing that runs. */
  async saveDraft(project: string, id: string, draft: unknown): Promise<StoredPipeline> {
    return changeProject(this.db, project, async (transaction) => {
      await this.require(transaction, project, id);
      const row = await transaction
        .updateTable('pipelines')
        .set({ draft: JSON.stringify(draft), updated_at: new Date() })
        .where('project_id', '=', project)
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      return fromRow(row);
    });
  }

  /**
   * Makes `definition` the version that runs, and answers its number. Publishing what is published already changes nothing, so a repeat after a lost answer is
   * harmless. `feeds` are the destinations that it delivers to.
   */
  async publish(
    project: string,
    id: string,
    publication: {
      readonly definition: unknown;
      readonly feeds: readonly string[];
      readonly by: string;
    },
  ): Promise<number> {
    const { definition, feeds, by } = publication;
    return changeProject(this.db, project, async (transaction) => {
      const pipeline = await this.require(transaction, project, id);
      if (pipeline.publishedVersion !== null) {
        const running = await this.definitionOf(transaction, id, pipeline.publishedVersion);
        if (isDeepStrictEqual(running, JSON.parse(JSON.stringify(definition)))) return pipeline.publishedVersion;
      }
      for (const destination of feeds) await this.requireDestination(transaction, project, destination);
      return insertVersion(transaction, id, definition, by);
    });
  }

  async unpublish(project: string, id: string): Promise<StoredPipeline> {
    return changeProject(this.db, project, async (transaction) => {
      const pipeline = await this.require(transaction, project, id);
      if (pipeline.publishedVersion === null)
        throw new SwitchyardError('PIPELINE_NOT_PUBLISHED', `The pipeline "${pipeline.name}" is not published.`);
      const row = await transaction
        .updateTable('pipelines')
        .set({ published_version: null, updated_at: new Date() })
        .where('project_id', '=', project)
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      return fromRow(row);
    });
  }

  /** Newest first. */
  async versions(project: string, id: string, page: PageRequest): Promise<Page<PipelineVersion>> {
    await this.require(this.db, project, id);
    const before = numberOf(page.cursor);
    const rows = await this.db
      .selectFrom('pipeline_versions')
      .select(['version', 'definition', 'published_at', 'published_by'])
      .where('pipeline_id', '=', id)
      .$if(before !== null, (query) => query.where('version', '<', before))
      .orderBy('version', 'desc')
      .limit(page.limit + 1)
      .execute();
    return pageOf(
      rows,
      page.limit,
      (row) => ({
        version: row.version,
        definition: row.definition,
        publishedAt: row.published_at,
        publishedBy: row.published_by,
      }),
      ({ version }) => [String(version)],
    );
  }

  /** Nothing shows it any more. What it took before is still delivered, and its dead letters can still be replayed. */
  async delete(project: string, id: string): Promise<void> {
    await changeProject(this.db, project, async (transaction) => {
      await this.require(transaction, project, id);
      await transaction
        .updateTable('pipelines')
        .set({ published_version: null, deleted_at: new Date() })
        .where('project_id', '=', project)
        .where('id', '=', id)
        .execute();
    });
  }

  private async require(db: Kysely<Database>, project: string, id: string): Promise<StoredPipeline> {
    const row = await db
      .selectFrom('pipelines')
      .selectAll()
      .where('project_id', '=', project)
      .where('id', '=', id)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (row === undefined) throw new SwitchyardError('NOT_FOUND', 'There is no such pipeline in this project.');
    return fromRow(row);
  }

  private async definitionOf(db: Kysely<Database>, pipeline: string, version: number): Promise<unknown> {
    const row = await db
      .selectFrom('pipeline_versions')
      .select('definition')
      .where('pipeline_id', '=', pipeline)
      .where('version', '=', version)
      .executeTakeFirst();
    return row?.definition;
  }

  private async requireDestination(db: Kysely<Database>, project: string, destination: string): Promise<void> {
    const found = await db
      .selectFrom('destinations')
      .select('id')
      .where('project_id', '=', project)
      .where('id', '=', destination)
      .executeTakeFirst();
    if (found !== undefined) return;
    throw new SwitchyardError(
      'PIPELINE_INVALID',
      `There is no destination ${destination} in this project: it may just have been deleted.`,
      { destination },
    );
  }
}
