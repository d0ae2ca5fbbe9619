import { randomUUIDv7 } from 'node:crypto';
import type { Page } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import { idOf, pageOf, type PageRequest } from './page.ts';
import type { Database, MemberRole } from './schema.ts';
import { insertInstance, type NewInstance } from './instances.ts';

/** Over how many partitions a project's events are spread. Fixed for the life of a project: its log is laid out by it. */
export const PARTITIONS = 4;

export interface Project {
  readonly id: string;
  readonly name: string;
  readonly partitions: number;
}

/** A project as one of its members sees it. */
export interface Membership {
  readonly id: string;
  readonly name: string;
  readonly role: MemberRole;
}

export class ProjectRepository {
  constructor(private readonly db: Kysely<Database>) {}

  /** Makes a project with its maker as admin and, unless null, a first source: a project without one can receive nothing. */
  async create(project: {
    readonly name: string;
    readonly owner: string;
    readonly source: NewInstance | null;
  }): Promise<Membership> {
    const { name, owner, source } = project;
    const id = randomUUIDv7();
    await this.db.transaction().execute(async (transaction) => {
      await transaction.insertInto('projects').values({ id, name, partitions: PARTITIONS }).execute();
      await transaction.insertInto('members').values({ project_id: id, user_id: owner, role: 'admin' }).execute();
      if (source !== null) await insertInstance(transaction, 'sources', id, source);
    });
    return { id, name, role: 'admin' };
  }

  async find(project: string): Promise<Project | null> {
    const row = await this.db
      .selectFrom('projects')
      .select(['id', 'name', 'partitions'])
      .where('id', '=', project)
      .executeTakeFirst();
    return row ?? null;
  }

  /** The projects that a user is a member of, oldest first. */
  async listOf(user: string, page: PageRequest): Promise<Page<Membership>> {
    const after = idOf(page.cursor);
    const rows = await this.db
      .selectFrom('members')
      .innerJoin('projects', 'projects.id', 'members.project_id')
      .select(['projects.id', 'projects.name', 'members.role'])
      .where('members.user_id', '=', user)
      .$if(after !== null, (query) => query.where('projects.id', '>', after))
      .orderBy('projects.id')
      .limit(page.limit + 1)
      .execute();
    return pageOf(
      rows,
      page.limit,
      ({ id, name, role }) => ({ id, name, role }),
      ({ id }) => [id],
    );
  }

  /** Null when the user is no member, or there is no such project: nobody outside can tell the two apart. */
  async roleOf(project: string, user: string): Promise<MemberRole | null> {
    const row = await this.db
      .selectFrom('members')
      .select('role')
      .where('project_id', '=', project)
      .where('user_id', '=', user)
      .executeTakeFirst();
    return row?.role ?? null;
  }
}
