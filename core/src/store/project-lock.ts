import type { Kysely, Transaction } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import type { Database } from './schema.ts';

/**
 * Runs `work` in a transaction that no other change of the same project's configuration runs beside. Names stay unique, and a destination is not deleted
 * while a pipeline that needs it is being published. Events are not held up: inserts that only refer to the project do not wait.
 */
export async function changeProject<T>(
  db: Kysely<Database>,
  project: string,
  work: (transaction: Transaction<Database>) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (transaction) => {
    const found = await transaction
      .selectFrom('projects')
      .select('id')
      .where('id', '=', project)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (found === undefined)
      throw new SwitchyardError('NOT_FOUND', 'There is no such project, or it is not yours to see.');
    return work(transaction);
  });
}
