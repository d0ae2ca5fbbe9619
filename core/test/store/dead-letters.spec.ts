import { randomUUIDv7 } from 'node:crypto';
import { jest } from '@jest/globals';
import type { Kysely } from 'kysely';
import { DeadLetterRepository, type DeadLetterFilter } from '../../src/store/dead-letters.ts';
import { DestinationRepository } from '../../src/store/destinations.ts';
import type { Database } from '../../src/store/schema.ts';
import { Databases } from './databases.ts';
import { insertDelivery, migrated, newProject } from './stored-project.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
afterAll(() => databases.clean());

describe.each(['embedded', 'postgres'] as const)('dead letters on %s', (kind) => {
  let db: Kysely<Database>;
  let letters: DeadLetterRepository;

  beforeAll(async () => {
    db = await migrated(databases, kind);
    letters = new DeadLetterRepository(db);
  });

  async function projectWithDestination() {
    const { project } = await newProject(db);
    const { id } = await new DestinationRepository(db).create(project, {
      id: randomUUIDv7(),
      name: 'out',
      type: 'hook',
      config: {},
      enabled: true,
    });
    return { project, destination: id };
  }

  const idsOf = async (project: string, filter: DeadLetterFilter) =>
    (await letters.list(project, filter, { limit: 100 })).items.map(({ id }) => id);

  it('are listed newest first, dead and parked together, page by page', async () => {
    const { project, destination } = await projectWithDestination();
    const expected: string[] = [];
    for (let i = 0; i < 9; i += 1) {
      // Three at a time share their moment: the id decides between them.
      const at = new Date(Date.UTC(2026, 0, 1, 0, 0, Math.floor(i / 3)));
      expected.push(await insertDelivery(db, { project, destination, state: i % 2 === 0 ? 'dead' : 'parked', at }));
    }
    await insertDelivery(db, { project, destination, state: 'retrying' });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<DeadLetterRepository['list']>> = await letters.list(
        project,
        {},
        { limit: 2, cursor: cursor ?? undefined },
      );
      expect(page.items.length).toBeLessThanOrEqual(2);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next_cursor;
    } while (cursor !== null);
    // Ids of one millisecond are in no order of their own.
    const groups = [expected.slice(6), expected.slice(3, 6), expected.slice(0, 3)];
    expect(seen).toEqual(groups.flatMap((group) => group.sort()));
  });

  it('say what a person needs to know', async () => {
    const { project, destination } = await projectWithDestination();
    await insertDelivery(db, {
      project,
      destination,
      event: '{"event_name":"big","metadata":{"n":12345678901234567890}}',
    });
    expect((await letters.list(project, {}, { limit: 1 })).items).toMatchObject([
      {
        state: 'dead',
        destination,
        stage: 'deliver',
        error: { code: 'HTTP_500', message: 'The endpoint answered 500.' },
        attempts: 3,
        pipelineVersion: 1,
        event: '{"event_name":"big","metadata":{"n":12345678901234567890}}',
      },
    ]);
  });

  it('are filtered by destination, code and event name, and stay in their project', async () => {
    const { project, destination } = await projectWithDestination();
    const other = await projectWithDestination();
    const a = await insertDelivery(db, { project, destination, code: 'HTTP_500', name: 'signup' });
    const b = await insertDelivery(db, { project, destination, code: 'TIMED_OUT', name: 'login' });
    const theirs = await insertDelivery(db, { project: other.project, destination: other.destination });
    expect(await idsOf(project, { errorCode: 'TIMED_OUT' })).toEqual([b]);
    expect(await idsOf(project, { eventName: 'signup' })).toEqual([a]);
    expect(await idsOf(project, { destination: other.destination })).toEqual([]);
    expect(await idsOf(project, { eventName: "x' or '1'='1" })).toEqual([]);
    expect(await letters.replay(project, { ids: [theirs] }, false)).toEqual({ matched: 0, replayed: 0 });
    expect(await idsOf(other.project, {})).toEqual([theirs]);
  });

  it('are put on their way again by filter, once, and a dry run only counts', async () => {
    const { project, destination } = await projectWithDestination();
    const dead = await insertDelivery(db, { project, destination, code: 'HTTP_500' });
    const parked = await insertDelivery(db, { project, destination, code: 'HTTP_500', state: 'parked' });
    const other = await insertDelivery(db, { project, destination, code: 'HTTP_400' });
    const filter = { errorCode: 'HTTP_500' };
    expect(await letters.replay(project, filter, true)).toEqual({ matched: 2, replayed: 0 });
    expect((await idsOf(project, {})).sort()).toEqual([dead, parked, other].sort());
    const both = await Promise.all([letters.replay(project, filter, false), letters.replay(project, filter, false)]);
    expect(both.reduce((sum, { replayed }) => sum + replayed, 0)).toBe(2);
    expect(await idsOf(project, {})).toEqual([other]);
    const rows = await db
      .selectFrom('deliveries')
      .select(['state', 'next_at', 'attempts'])
      .where('id', 'in', [dead, parked])
      .execute();
    for (const row of rows) expect(row).toMatchObject({ state: 'retrying', attempts: 3, next_at: expect.any(Date) });
    expect(Math.abs(Date.now() - Number(rows[0]?.next_at))).toBeLessThan(10_000);
  });

  it('stay where they are when their destination is gone', async () => {
    const { project, destination } = await projectWithDestination();
    const here = await insertDelivery(db, { project, destination });
    const gone = await insertDelivery(db, { project, destination: randomUUIDv7() });
    expect(await letters.replay(project, { ids: [here, gone] }, false)).toEqual({ matched: 2, replayed: 1 });
    expect(await idsOf(project, {})).toEqual([gone]);
  });
});
