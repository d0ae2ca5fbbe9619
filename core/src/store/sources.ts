import type { Kysely } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import { InstanceRepository, type StoredInstance } from './instances.ts';
import { publishedUsers } from './pipelines.ts';
import type { Database } from './schema.ts';

export class SourceRepository extends InstanceRepository {
  constructor(db: Kysely<Database>) {
    super(db, 'sources', 'source');
  }

  /** The source that a key gets when none is named: the project's oldest. */
  async first(project: string): Promise<StoredInstance | null> {
    const { items } = await this.list(project, { limit: 1 });
    return items[0] ?? null;
  }

  protected override async requireUnused(db: Kysely<Database>, project: string, id: string): Promise<void> {
    const [user] = await publishedUsers(db, project, { kind: 'source', source: id });
    if (user === undefined) return;
    throw new SwitchyardError(
      'SOURCE_IN_USE',
      `The published pipeline "${user.name}" reads from this source: unpublish the pipeline, or publish it without the source.`,
      {
        pipeline: user.id,
      },
    );
  }
}
