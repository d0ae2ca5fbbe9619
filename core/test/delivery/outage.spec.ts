import { delivered, type DeliveryBatch, type DeliveryOutcomes } from '@switchyard/plugin-sdk';
import pg from 'pg';
import { Databases } from '../store/databases.ts';
import { eventually } from '../support/eventually.ts';
import { Harness, aDestination } from './harness.ts';

describe('while PostgreSQL is away', () => {
  const databases = new Databases();
  const destination = aDestination('free');
  const seen: string[] = [];
  let harness: Harness;
  let url: string;

  beforeAll(async () => {
    url = await databases.postgresUrl();
    harness = await Harness.open([destination], [20], url);
    destination.deliver = async (batch: DeliveryBatch): Promise<DeliveryOutcomes> => {
      seen.push(...batch.items.map(({ id }) => id));
      return new Map(batch.items.map(({ id }) => [id, delivered()]));
    };
  }, 60_000);
  afterAll(async () => {
    await harness.close();
    await databases.clean();
  });

  /** Refuses connections to the test's database and ends those that are there. */
  const setAway = async (away: boolean): Promise<void> => {
    const client = new pg.Client({ connectionString: process.env['TEST_DATABASE_URL'] });
    await client.connect();
    const name = new URL(url).pathname.slice(1);
    await client.query(`alter database ${name} with allow_connections ${String(!away)}`);
    if (away) await client.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [name]);
    await client.end();
  };

  test('events are accepted, consumption waits, nothing is dead-lettered, and everything arrives when it is back', async () => {
    const { destination: id } = await harness.connect('free');
    await harness.accept(Array.from({ length: 50 }, (_, index) => ({ event_name: `before${index}` })));
    await harness.settled(id);
    await setAway(true);
    const during = await harness.accept(
      Array.from({ length: 2_000 }, (_, index) => ({ event_name: `during${index}` })),
    );
    expect(during.every((one) => one !== '')).toBe(true);
    // What may be under way fills up, then reading stops: the rest stays in the log.
    const underWay = await eventually(async () => seen.length > 50 && seen.length);
    expect(underWay).toBeLessThan(2_050);
    const [lag] = harness.engine.lags();
    expect(lag?.lag).toBeGreaterThan(0);
    await setAway(false);
    expect(await harness.settled(id, 20_000)).toMatchObject({ accepted: 2_050, delivered: 2_050, dead: 0, parked: 0 });
    expect(new Set(seen).size).toBe(2_050);
    // Nothing was sent twice either: the outcomes waited in memory.
    expect(seen).toHaveLength(2_050);
  }, 60_000);
});
