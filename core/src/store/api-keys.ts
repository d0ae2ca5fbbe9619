import { sql, type Kysely } from 'kysely';
import type { Page } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import { formatApiKey, hashSecret, isKeyId, newApiKey, type ApiKey } from './api-key-format.ts';
import { pageOf, placeOf, type PageRequest } from './page.ts';
import type { Database } from './schema.ts';
import { utcText } from './sql.ts';

/** A key as people may see it: without its secret, of which only a hash exists. */
export interface ListedKey {
  readonly id: string;
  readonly name: string;
  /** The source that it lets events in through. */
  readonly source: string;
  readonly createdAt: Date;
  readonly lastUsedAt: Date | null;
  readonly revokedAt: Date | null;
}

/** Everything that ingestion needs to know of a key, in one row. */
export interface KeyGrant {
  readonly id: string;
  readonly secretHash: Buffer;
  readonly project: string;
  readonly partitions: number;
  readonly source: {
    readonly id: string;
    readonly name: string;
    readonly type: string;
    /** As it is stored: its secrets are sealed. */
    readonly config: unknown;
    readonly enabled: boolean;
    /** Changes with every change of the source. */
    readonly revision: number;
  };
}

export async function insertKey(
  db: Kysely<Database>,
  project: string,
  source: string,
  name: string,
  key: ApiKey,
): Promise<void> {
  await db
    .insertInto('api_keys')
    .values({ id: key.id, project_id: project, source_id: source, name, secret_hash: hashSecret(key.secret) })
    .execute();
}

export class ApiKeyRepository {
  constructor(private readonly db: Kysely<Database>) {}

  /** Newest first, revoked ones included: they explain a 401. */
  async list(project: string, page: PageRequest): Promise<Page<ListedKey>> {
    const after = placeOf(page.cursor, isKeyId);
    const rows = await this.db
      .selectFrom('api_keys')
      .select(['id', 'name', 'source_id', 'created_at', 'last_used_at', 'revoked_at', utcText('created_at').as('at')])
      .where('project_id', '=', project)
      .$if(after !== null, (query) =>
        query.where(sql<boolean>`(created_at, id) < (${after?.at}::timestamptz, ${after?.id})`),
      )
      .orderBy('created_at', 'desc')
      .orderBy('id', 'desc')
      .limit(page.limit + 1)
      .execute();
    return pageOf(
      rows,
      page.limit,
      (row) => ({
        id: row.id,
        name: row.name,
        source: row.source_id,
        createdAt: row.created_at,
        lastUsedAt: row.last_used_at,
        revokedAt: row.revoked_at,
      }),
      ({ at, id }) => [at, id],
    );
  }

  /** Answers the whole key; nobody can read it again. */
  async create(project: string, source: string, name: string): Promise<{ readonly id: string; readonly key: string }> {
    const key = newApiKey();
    await insertKey(this.db, project, source, name, key);
    return { id: key.id, key: formatApiKey(key) };
  }

  /** Revoking twice is harmless; the first time stands. */
  async revoke(project: string, id: string): Promise<void> {
    const result = await this.db
      .updateTable('api_keys')
      .set({ revoked_at: sql<Date>`coalesce(revoked_at, now())` })
      .where('project_id', '=', project)
      .where('id', '=', id)
      .executeTakeFirst();
    if (result.numUpdatedRows === 0n)
      throw new SwitchyardError('NOT_FOUND', 'There is no such API key in this project.');
  }

  /**
   * The keys with these ids that are not revoked. The one query without a project: the key is what names the project.
   */
  async grants(ids: readonly string[]): Promise<readonly KeyGrant[]> {
    const rows = await this.db
      .selectFrom('api_keys')
      .innerJoin('sources', (join) =>
        join.onRef('sources.id', '=', 'api_keys.source_id').onRef('sources.project_id', '=', 'api_keys.project_id'),
      )
      .innerJoin('projects', 'projects.id', 'api_keys.project_id')
      .select([
        'api_keys.id',
        'api_keys.secret_hash',
        'projects.id as project',
        'projects.partitions',
        'sources.id as source_id',
        'sources.name as source_name',
        'sources.type as source_type',
        'sources.config',
        'sources.enabled',
        'sources.updated_at',
      ])
      .where('api_keys.id', 'in', [...ids])
      .where('api_keys.revoked_at', 'is', null)
      .execute();
    return rows.map((row) => ({
      id: row.id,
      secretHash: row.secret_hash,
      project: row.project,
      partitions: row.partitions,
      source: {
        id: row.source_id,
        name: row.source_name,
        type: row.source_type,
        config: row.config,
        enabled: row.enabled,
        revision: row.updated_at.getTime(),
      },
    }));
  }

  /** Notes that keys are in use. Not for every request: a row written a million times says no more than one written each minute. */
  async touch(ids: readonly string[]): Promise<void> {
    await this.db
      .updateTable('api_keys')
      .set({ last_used_at: new Date() })
      .where('id', 'in', [...ids])
      .execute();
  }
}
