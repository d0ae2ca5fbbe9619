import type { Page } from '@switchyard/plugin-sdk';
import type { Kysely, Selectable } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import { idOf, pageOf, type PageRequest } from './page.ts';
import { changeProject } from './project-lock.ts';
import type { Database, DestinationsTable, SourcesTable } from './schema.ts';

/** A configured plugin of a project: a source or a destination. */
export interface StoredInstance {
  readonly id: string;
  readonly project: string;
  readonly name: string;
  readonly type: string;
  /** As it is stored: its secrets are sealed. */
  readonly config: unknown;
  readonly enabled: boolean;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}

/** `config` has its secrets sealed already, for this id: what is stored can be read by whoever can read the database. */
export interface NewInstance {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  readonly config: unknown;
  readonly enabled: boolean;
}

export interface InstanceChange {
  readonly name?: string | undefined;
  readonly config?: unknown;
  readonly enabled?: boolean | undefined;
}

type Table = 'sources' | 'destinations';
type Row = Selectable<SourcesTable> | Selectable<DestinationsTable>;

const fromRow = (row: Row): StoredInstance => ({
  id: row.id,
  project: row.project_id,
  name: row.name,
  type: row.type,
  config: row.config,
  enabled: row.enabled,
  createdAt: row.created_at,
  updatedAt: row.updated_at,
});

export async function insertInstance(
  db: Kysely<Database>,
  table: Table,
  project: string,
  instance: NewInstance,
): Promise<StoredInstance> {
  const { id, name, type, config, enabled } = instance;
  const row = await db
    .insertInto(table)
    .values({ id, project_id: project, name, type, config: JSON.stringify(config), enabled })
    .returningAll()
    .executeTakeFirstOrThrow();
  return fromRow(row);
}

/** What sources and destinations have in common: they are stored alike, in a table each. */
export abstract class InstanceRepository {
  protected constructor(
    protected readonly db: Kysely<Database>,
    private readonly table: Table,
    protected readonly noun: string,
  ) {}

  /** Oldest first. */
  async list(project: string, page: PageRequest): Promise<Page<StoredInstance>> {
    const after = idOf(page.cursor);
    const rows = await this.db
      .selectFrom(this.table)
      .selectAll()
      .where('project_id', '=', project)
      .$if(after !== null, (query) => query.where('id', '>', after))
      .orderBy('id')
      .limit(page.limit + 1)
      .execute();
    return pageOf(rows, page.limit, fromRow, ({ id }) => [id]);
  }

  async find(project: string, id: string): Promise<StoredInstance | null> {
    const row = await this.db
      .selectFrom(this.table)
      .selectAll()
      .where('project_id', '=', project)
      .where('id', '=', id)
      .executeTakeFirst();
    return row === undefined ? null : fromRow(row);
  }

  /** As `find`, but what is missing is a `NOT_FOUND`. */
  async get(project: string, id: string): Promise<StoredInstance> {
    return (await this.find(project, id)) ?? this.missing();
  }

  async create(project: string, instance: NewInstance): Promise<StoredInstance> {
    return changeProject(this.db, project, async (transaction) => {
      await this.requireFreeName(transaction, project, instance.name, null);
      return insertInstance(transaction, this.table, project, instance);
    });
  }

  /**
   * `change` gets the row as it is at that moment, so that of two changes made at once neither undoes the other.
   */
  async update(
    project: string,
    id: string,
    change: (stored: StoredInstance) => InstanceChange,
  ): Promise<StoredInstance> {
    return changeProject(this.db, project, async (transaction) => {
      const row = await transaction
        .selectFrom(this.table)
        .selectAll()
        .where('project_id', '=', project)
        .where('id', '=', id)
        .executeTakeFirst();
      if (row === undefined) return this.missing();
      const { name = row.name, config = row.config, enabled = row.enabled } = change(fromRow(row));
      if (name !== row.name) await this.requireFreeName(transaction, project, name, id);
      const updated = await transaction
        .updateTable(this.table)
        .set({ name, config: JSON.stringify(config), enabled, updated_at: new Date() })
        .where('project_id', '=', project)
        .where('id', '=', id)
        .returningAll()
        .executeTakeFirstOrThrow();
      return fromRow(updated);
    });
  }

  async delete(project: string, id: string): Promise<void> {
    await changeProject(this.db, project, async (transaction) => {
      await this.requireUnused(transaction, project, id);
      const gone = await transaction
        .deleteFrom(this.table)
        .where('project_id', '=', project)
        .where('id', '=', id)
        .executeTakeFirst();
      if (gone.numDeletedRows === 0n) this.missing();
    });
  }

  /** Throws when something that runs needs the instance. */
  protected abstract requireUnused(db: Kysely<Database>, project: string, id: string): Promise<void>;

  private async requireFreeName(
    db: Kysely<Database>,
    project: string,
    name: string,
    except: string | null,
  ): Promise<void> {
    const taken = await db
      .selectFrom(this.table)
      .select('id')
      .where('project_id', '=', project)
      .where('name', '=', name)
      .$if(except !== null, (query) => query.where('id', '!=', except))
      .executeTakeFirst();
    if (taken !== undefined)
      throw new SwitchyardError('NAME_TAKEN', `There is a ${this.noun} named "${name}" already: choose another name.`, {
        id: taken.id,
      });
  }

  private missing(): never {
    throw new SwitchyardError('NOT_FOUND', `There is no such ${this.noun} in this project.`);
  }
}
