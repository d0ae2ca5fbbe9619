import type { Kysely } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import { InstanceRepository } from './instances.ts';
import { publishedUsers } from './pipelines.ts';
import type { Database } from './schema.ts';

export class DestinationRepository extends InstanceRepository {
  constructor(db: Kysely<Database>) {
    super(db, 'destinations', 'destination');
  }

  protected override async requireUnused(db: Kysely<Database>, project: string, id: string): Promise<void> {
    const [user] = await publishedUsers(db, project, { kind: 'destination', destination: id });
    if (user === undefined) return;
    throw new SwitchyardError(
      'DESTINATION_IN_USE',
      `The published pipeline "${user.name}" delivers to this destination: unpublish the pipeline, or publish it without the destination.`,
      { pipeline: user.id },
    );
  }
}
