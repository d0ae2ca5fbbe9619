import { randomUUID } from 'node:crypto';
import type { Destination, Event } from '@switchyard/plugin-sdk';
import { testContext } from '@switchyard/plugin-sdk/testing';
import { databases } from '@switchyard/test-support/databases';
import { Line, anEvent, anId, replayOf, verdicts } from '@switchyard/test-support/events';
import { losingAnswers, refusing, watching } from '@switchyard/test-support/faults';
import { sql, type Kysely } from 'kysely';
import analytics from '../src/index.ts';

const never = new AbortController().signal;

describe.each(databases)('counts on $name', ({ open }) => {
  let db: Kysely<unknown>;
  let close: () => Promise<void>;
  let project: string;

  beforeAll(async () => {
    ({ db, close } = await open());
  }, 60_000);
  afterAll(() => close());
  beforeEach(() => {
    project = randomUUID();
  });

  const counter = (database = db): Destination =>
    analytics.create(
      {},
      testContext({ database, project: { id: project }, instance: { id: randomUUID(), name: 'counts' } }),
    );

  /** `name minute: count`, sorted. */
  const counted = async (): Promise<string[]> => {
    const { rows } = await sql<{ line: string }>`
      select event_name || ' ' || to_char(time_bucket at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || ': ' || count as line
      from aggregates where project_id = ${project}
    `.execute(db);
    return rows.map(({ line }) => line).sort();
  };
  /** What an archive of these events would be counted as: the first of each id, by name and minute. */
  const expected = (events: readonly Event[]): string[] => {
    const firsts = new Map<string, Event>();
    for (const event of events) if (!firsts.has(event.id)) firsts.set(event.id, event);
    const counts = new Map<string, number>();
    for (const { event_name, timestamp } of firsts.values()) {
      const bucket = `${event_name} ${new Date(timestamp).toISOString().slice(0, 17)}00`;
      counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
    }
    return [...counts].map(([bucket, count]) => `${bucket}: ${count}`).sort();
  };

  it('counts by name and by the minute in which it happened', async () => {
    const line = new Line([
      anEvent({ timestamp: '2024-05-01T10:00:00.000Z' }),
      anEvent({ timestamp: '2024-05-01T10:00:59.999999Z' }),
      anEvent({ timestamp: '2024-05-01T10:01:00.000Z' }),
      anEvent({ timestamp: '2024-05-01T12:01:00.000+02:00', event_name: 'login' }),
    ]);
    await counter().deliver(line.all(), never);
    expect(await counted()).toEqual([
      'login 2024-05-01T10:01:00: 1',
      'signup 2024-05-01T10:00:00: 2',
      'signup 2024-05-01T10:01:00: 1',
    ]);
  });

  it('needs one statement for a batch that is next in line', async () => {
    let statements = 0;
    await counter(watching(db, () => (statements += 1))).deliver(
      new Line([anEvent(), anEvent({ id: anId(5) })]).all(),
      never,
    );
    expect(statements).toBe(1);
  });

  it('counts nothing twice when the answer to the commit was lost and the batch comes again', async () => {
    const line = new Line([anEvent(), anEvent({ id: anId(5) })]);
    await expect(counter(losingAnswers(db)).deliver(line.all(), never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'DATABASE_UNAVAILABLE',
    });
    await counter().deliver(line.all(), never);
    expect(await counted()).toEqual(expected(line.events));
  });

  it('counts the rest of a batch that begins before the position', async () => {
    const line = new Line([1, 2, 3, 4, 5].map(() => anEvent()));
    await counter().deliver(line.batch(0, 3), never);
    await counter().deliver(line.batch(1, 4), never);
    expect(await counted()).toEqual(expected(line.events));
    const { rows } = await sql<{ last: number }>`
      select last_offset::int as last from store_positions where subscription_id = ${line.subscription}
    `.execute(db);
    expect(rows).toEqual([{ last: 4 }]);
  });

  it('counts a client-named event once, in the minute in which it was first told to have happened', async () => {
    const first = anEvent({ id: anId(5) });
    const again = { ...first, timestamp: '2025-06-01T00:00:00.000Z' };
    const line = new Line([first, again, anEvent(), again]);
    await counter().deliver(line.batch(0, 2), never);
    await counter().deliver(line.batch(2, 2), never);
    await counter().deliver(replayOf(again), never);
    expect(await counted()).toEqual(expected([first, line.events[2] as Event]));
  });

  it('does not count an event again that comes back on another way, whoever named it', async () => {
    const line = new Line([anEvent(), anEvent({ id: anId(5) })]);
    await counter().deliver(line.all(), never);
    await counter().deliver(replayOf(...line.events), never);
    await counter().deliver(new Line(line.events).all(), never);
    expect(await counted()).toEqual(expected(line.events));
  });

  it('counts a batch once that several workers deliver at the same time', async () => {
    const line = new Line(Array.from({ length: 60 }, (_, at) => anEvent({ event_name: `name-${at % 7}` })));
    await Promise.all([0, 1, 2, 3].map(() => counter().deliver(line.all(), never)));
    expect(await counted()).toEqual(expected(line.events));
  });

  it('takes partitions at once that meet in the same minutes, names and client-named events', async () => {
    const repeated = Array.from({ length: 20 }, () => anEvent({ id: anId(5) }));
    const lines = [0, 1, 2, 3].map(
      (partition) =>
        new Line([
          ...Array.from({ length: 40 }, (_, at) => anEvent({ event_name: `name-${(at * (partition + 1)) % 11}` })),
          ...(partition % 2 === 0 ? repeated : repeated.toReversed()),
        ]),
    );
    const one = counter();
    await Promise.all(lines.map((line) => one.deliver(line.all(), never)));
    expect(await counted()).toEqual(expected(lines.flatMap(({ events }) => events)));
  });

  it.each([
    ['a timestamp of the year 0', { timestamp: '0000-01-01T00:00:00Z' }],
    ['a day that does not exist', { timestamp: '2024-02-31T00:00:00Z' }],
    ['a NUL in its name', { event_name: 'a\u0000b' }],
  ])(
    'an event that the database refuses fails alone, and again when the answer was lost: %s',
    async (_what, overrides) => {
      const wrong = anEvent(overrides);
      const line = new Line([anEvent(), wrong, anEvent(), anEvent()]);
      const verdict = {
        ...Object.fromEntries(line.events.map(({ id }) => [id, 'delivered'])),
        [wrong.id]: 'ANALYTICS_EVENT_REFUSED',
      };
      for (let attempt = 0; attempt < 2; attempt += 1) {
        expect(verdicts(await counter().deliver(line.all(), never))).toEqual(verdict);
        expect(await counted()).toEqual(expected(line.events.filter((event) => event !== wrong)));
      }
      const mended = { ...wrong, timestamp: '2024-05-01T10:00:00Z', event_name: 'signup' };
      await counter().deliver(replayOf(mended), never);
      expect(await counted()).toEqual(expected([...line.events.filter((event) => event !== wrong), mended]));
    },
  );

  it.each(['ECONNREFUSED', '57P01', '53100', '40001', '40P01', '25006'])(
    'tells %s as an outage, and blames no event',
    async (code) => {
      const delivery = counter(refusing(db, code, 'something is down')).deliver(new Line([anEvent()]).all(), never);
      await expect(delivery).rejects.toMatchObject({ kind: 'retryable', code: 'DATABASE_UNAVAILABLE' });
      expect(await counted()).toEqual([]);
    },
  );

  it('holds the number of distinct events through any mixture of crashes, overlaps, repeats and replays', async () => {
    const random = seeded(7);
    const at = (): string => new Date(1.7e12 + Math.floor(random() * 600_000)).toISOString();
    const events: Event[] = [];
    for (let count = 0; count < 400; count += 1) {
      const repeated = random() < 0.15 ? events[Math.floor(random() * events.length)] : undefined;
      events.push(
        repeated?.id[14] === '5'
          ? { ...repeated, timestamp: at() }
          : anEvent({
              id: anId(random() < 0.5 ? 5 : 7),
              event_name: `name-${Math.floor(random() * 4)}`,
              timestamp: at(),
            }),
      );
    }
    const line = new Line(events);
    let faults = 0;
    for (let done = 0; done < events.length;) {
      const first = Math.max(0, done - Math.floor(random() * 12));
      const batch = line.batch(first, 1 + Math.floor(random() * 40));
      const fate = random();
      if (fate < 0.25) {
        await counter(losingAnswers(db))
          .deliver(batch, never)
          .catch(() => (faults += 1));
      } else if (fate < 0.4) {
        const known = events.slice(0, done).filter(() => random() < 0.1);
        await counter().deliver(replayOf(...known.map((event) => ({ ...event, timestamp: at() }))), never);
        faults += 1;
      } else {
        await counter().deliver(batch, never);
        done = Math.max(done, first + batch.items.length);
      }
    }
    expect(faults).toBeGreaterThan(5);
    expect(new Set(events.map(({ id }) => id)).size).toBeLessThan(events.length);
    expect(await counted()).toEqual(expected(events));
  });

  describe('series', () => {
    const ask = async (query: { event_name?: string; from?: string; to?: string; limit?: number } = {}) =>
      (await counter().series?.({ limit: 100, ...query }, never))?.map(
        ({ event_name, time_bucket, count }) => `${event_name} ${time_bucket} ${count}`,
      );

    beforeEach(async () => {
      const times = ['10:00:01', '10:00:02', '10:01:00', '11:00:00'];
      await counter().deliver(
        replayOf(
          ...times.flatMap((time) =>
            ['a', 'b'].map((name) => anEvent({ event_name: name, timestamp: `2024-05-01T${time}.000Z` })),
          ),
        ),
        never,
      );
    });

    it('gives the newest bucket first, and within one by name', async () => {
      expect(await ask()).toEqual([
        'a 2024-05-01T11:00:00Z 1',
        'b 2024-05-01T11:00:00Z 1',
        'a 2024-05-01T10:01:00Z 1',
        'b 2024-05-01T10:01:00Z 1',
        'a 2024-05-01T10:00:00Z 2',
        'b 2024-05-01T10:00:00Z 2',
      ]);
      expect(await ask({ limit: 1 })).toEqual(['a 2024-05-01T11:00:00Z 1']);
    });

    it('filters by name and time, from inclusive and to exclusive', async () => {
      expect(await ask({ event_name: 'a', from: '2024-05-01T10:00:00Z', to: '2024-05-01T13:00:00+02:00' })).toEqual([
        'a 2024-05-01T10:01:00Z 1',
        'a 2024-05-01T10:00:00Z 2',
      ]);
    });

    it('shows a project nothing of another', async () => {
      project = randomUUID();
      expect(await ask()).toEqual([]);
    });

    it.each([`' or '1'='1`, `'; drop table aggregates; --`, `$1`, `%`])(
      'takes %s for a value, in every filter',
      async (attack) => {
        expect(await ask({ event_name: attack })).toEqual([]);
        await expect(ask({ from: attack })).rejects.toMatchObject({ kind: 'permanent', code: 'QUERY_INVALID' });
        await expect(ask({ to: attack })).rejects.toMatchObject({ kind: 'permanent', code: 'QUERY_INVALID' });
        expect(await ask()).toHaveLength(6);
      },
    );
  });

  it('checks by reading the table', async () => {
    expect(await counter().check(never)).toEqual({ ok: true, message: expect.stringContaining('Nothing') });
    await counter().deliver(replayOf(anEvent()), never);
    expect(await counter().check(never)).toEqual({ ok: true, message: 'The counts answer.' });
    expect(await counter(refusing(db, 'ECONNREFUSED', 'connect ECONNREFUSED')).check(never)).toEqual({
      ok: false,
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });
});

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}
