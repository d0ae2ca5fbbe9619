import { sql, type Kysely } from 'kysely';
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
    if (user === undefined) return this.requireDrained(db, id);
    throw new SwitchyardError(
      'DESTINATION_IN_USE',
      `The published pipeline "${user.name}" delivers to this destination: unpublish the pipeline, or publish it without the destination.`,
      { pipeline: user.id },
    );
  }

  /** Events that a pipeline took before it was unpublished are still on their way here. */
  private async requireDrained(db: Kysely<Database>, id: string): Promise<void> {
    const { rows } = await sql<{ readonly waiting: boolean }>`
      select exists (
        select 1 from subscriptions s join cursors c on c.subscription_id = s.id where s.destination_id = ${id} and c.next_offset < c.end_offset
      ) or exists (
        select 1 from deliveries where destination_id = ${id} and state = 'retrying'
      ) as waiting`.execute(db);
    if (rows[0]?.waiting !== true) return;
    throw new SwitchyardError(
      'DESTINATION_IN_USE',
      'Events are still on their way to this destination, though no pipeline is published that delivers to it: delete it when they have arrived.',
    );
  }
}
