import { type Kysely, sql } from 'kysely';
import { type Migration, Migrator } from 'kysely/migration';
import { controlPlane } from './0001-control-plane.ts';
import { delivery } from './0002-delivery.ts';
import { eventStore } from './0003-event-store.ts';

/** In the order of their names. A migration that has been released is never edited: add one. */
export const migrations: Record<string, Migration> = {
  '0001-control-plane': controlPlane,
  '0002-delivery': delivery,
  '0003-event-store': eventStore,
};

/**
 * Brings the database to the newest schema and returns the names of the migrations that it applied.
 * All of them apply in one transaction or none does, and of several processes that start at once one migrates while
 * the others wait (kysely's advisory lock). Throws when it fails: kysely's own result must be looked at to see that.
 */
export async function migrateToLatest<Schema>(db: Kysely<Schema>): Promise<string[]> {
  return await db.connection().execute(async (connection) => {
    // A pool's statement_timeout is meant for queries: it must cut neither a long migration nor the wait for another's.
    const timeout = await sql<{ value: string }>`select current_setting('statement_timeout') as value`.execute(
      connection,
    );
    await sql`set statement_timeout = 0`.execute(connection);
    try {
      const migrator = new Migrator({ db: connection, provider: { getMigrations: async () => migrations } });
      const { error, results = [] } = await migrator.migrateToLatest();
      if (error !== undefined) {
        const failed = results.find(({ status }) => status === 'Error');
        throw new Error(`database migration failed${failed ? ` in ${failed.migrationName}` : ''}: ${reason(error)}`, {
          cause: error,
        });
      }
      return results.map(({ migrationName }) => migrationName);
    } finally {
      // Fails only when the connection is lost: there is then nothing to restore, and the first error is the one to see.
      await sql`select set_config('statement_timeout', ${timeout.rows[0]?.value}, false)`
        .execute(connection)
        .catch(() => undefined);
    }
  });
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
