import { migrateToLatest } from '@switchyard/migrations';
import { sql } from 'kysely';
import { CHORES, keepHouse } from '../../src/store/embedded/housekeeping.ts';
import { eventually } from '../support/eventually.ts';
import { recordingLogger } from '../support/logger.ts';
import { Databases } from './databases.ts';

describe('the embedded database', () => {
  const databases = new Databases();
  afterAll(() => databases.clean());

  test('is tidied up by statements that all work, one after the other, until it is told to stop', async () => {
    const { db } = await databases.embedded();
    await migrateToLatest(db);
    const logger = recordingLogger();
    const stop = keepHouse(
      db,
      logger,
      CHORES.map(({ statements }) => ({ everyMs: 5, statements })),
    );
    const tidied = async (): Promise<boolean> => {
      const { rows } = await sql<{
        relname: string;
      }>`select relname from pg_class where relname in ('cursors', 'events') and reltuples >= 0`.execute(db);
      return rows.length === 2;
    };
    expect(await eventually(tidied)).toBe(true);
    await stop();
    expect(logger.lines).toEqual([]);
  }, 30_000);
});
