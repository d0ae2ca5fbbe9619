import { randomUUID } from 'node:crypto';
import { sql, type Kysely } from 'kysely';
import type { Destination, Event } from '@switchyard/plugin-sdk';
import { testContext } from '@switchyard/plugin-sdk/testing';
import { databases } from '@switchyard/test-support/databases';
import { Line, anEvent, anId, replayOf, verdicts } from '@switchyard/test-support/events';
import { connectionLost, losingAnswers, refusing, watching } from '@switchyard/test-support/faults';
import timescale from '../src/index.ts';

const never = new AbortController().signal;

describe.each(databases)('the archive on $name', ({ open }) => {
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

  const archive = (database = db): Destination =>
    timescale.create(
      {},
      testContext({ database, project: { id: project }, instance: { id: randomUUID(), name: 'archive' } }),
    );

  /** What is stored: `id@timestamp`, sorted. */
  const stored = async (): Promise<string[]> => {
    const { rows } = await sql<{ row: string }>`
      select id || '@' || to_char(timestamp at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as row from events where project_id = ${project}
    `.execute(db);
    return rows.map(({ row }) => row).sort();
  };
  const rowsOf = (...events: readonly Event[]): string[] =>
    events.map(({ id, timestamp }) => `${id}@${timestamp}`).sort();
  const positionOf = async ({ subscription }: Line): Promise<number | undefined> => {
    const { rows } = await sql<{ last: number }>`
      select last_offset::int as last from store_positions where subscription_id = ${subscription}
    `.execute(db);
    return rows[0]?.last;
  };

  it('stores a batch and its position', async () => {
    const line = new Line([anEvent(), anEvent({ id: anId(5) }), anEvent({ user_id: null })]);
    const outcomes = await archive().deliver(line.all(), never);
    expect(verdicts(outcomes)).toEqual(Object.fromEntries(line.events.map(({ id }) => [id, 'delivered'])));
    expect(await stored()).toEqual(rowsOf(...line.events));
    expect(await positionOf(line)).toBe(2);
  });

  it('needs one statement for a batch that is next in line', async () => {
    let statements = 0;
    const counted = archive(watching(db, () => (statements += 1)));
    await counted.deliver(new Line([anEvent(), anEvent({ id: anId(5) })]).all(), never);
    expect(statements).toBe(1);
  });

  it('changes nothing when the answer to the commit was lost and the batch comes again', async () => {
    const line = new Line([anEvent(), anEvent({ id: anId(5) })]);
    await expect(archive(losingAnswers(db)).deliver(line.all(), never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'DATABASE_UNAVAILABLE',
    });
    expect(await stored()).toHaveLength(2);
    expect(verdicts(await archive().deliver(line.all(), never))).toEqual(
      Object.fromEntries(line.events.map(({ id }) => [id, 'delivered'])),
    );
    expect(await stored()).toEqual(rowsOf(...line.events));
  });

  it('does not store an event again that is redelivered with another timestamp, as after a new version of its pipeline', async () => {
    const line = new Line([anEvent(), anEvent({ id: anId(5) })]);
    await expect(archive(losingAnswers(db)).deliver(line.all(), never)).rejects.toMatchObject({ kind: 'retryable' });
    const { position, items } = line.all();
    const changed = items.map((item) => ({ ...item, event: { ...item.event, timestamp: '2024-06-06T06:06:06.000Z' } }));
    await archive().deliver({ position, items: changed }, never);
    expect(await stored()).toEqual(rowsOf(...line.events));
  });

  it('stores the rest of a batch that begins before the position', async () => {
    const line = new Line([1, 2, 3, 4, 5].map(() => anEvent()));
    await archive().deliver(line.batch(0, 3), never);
    await archive().deliver(line.batch(1, 4), never);
    expect(await stored()).toEqual(rowsOf(...line.events));
    expect(await positionOf(line)).toBe(4);
  });

  it('never moves the position back', async () => {
    const line = new Line([1, 2, 3, 4].map(() => anEvent()));
    await archive().deliver(line.all(), never);
    await archive().deliver(line.batch(0, 2), never);
    expect(await positionOf(line)).toBe(3);
    expect(await stored()).toHaveLength(4);
  });

  it('keeps the first of a client-named event, whenever and with whatever timestamp it is repeated', async () => {
    const first = anEvent({ id: anId(5) });
    const again = { ...first, timestamp: '2025-06-01T00:00:00.000Z', metadata: { plan: 'free' } };
    const line = new Line([first, again, anEvent(), { ...again, timestamp: '2023-01-01T00:00:00.000Z' }]);
    await archive().deliver(line.batch(0, 2), never);
    await archive().deliver(line.batch(2, 2), never);
    await archive().deliver(replayOf({ ...again, timestamp: '2022-01-01T00:00:00.000Z' }), never);
    expect(await stored()).toEqual(rowsOf(first, line.events[2] as Event));
  });

  it('does not store an event again that is replayed with another timestamp', async () => {
    const line = new Line([anEvent(), anEvent()]);
    await archive().deliver(line.all(), never);
    const replayed = line.events.map((event) => ({ ...event, timestamp: '2024-06-06T06:06:06.000Z' }));
    expect(verdicts(await archive().deliver(replayOf(...replayed), never))).toEqual(
      Object.fromEntries(line.events.map(({ id }) => [id, 'delivered'])),
    );
    expect(await stored()).toEqual(rowsOf(...line.events));
  });

  it('stores a replayed event that was never stored, once', async () => {
    const event = anEvent();
    await Promise.all([archive().deliver(replayOf(event), never), archive().deliver(replayOf(event), never)]);
    await archive().deliver(new Line([event]).all(), never);
    expect(await stored()).toEqual(rowsOf(event));
  });

  it('stores an event once that two archives of one project get', async () => {
    const event = anEvent({ id: anId(5) });
    await archive().deliver(new Line([event]).all(), never);
    await archive().deliver(new Line([{ ...event, timestamp: '2024-07-01T00:00:00.000Z' }]).all(), never);
    expect(await stored()).toEqual(rowsOf(event));
  });

  it('stores a batch once that two workers deliver at the same time', async () => {
    const line = new Line(Array.from({ length: 50 }, (_, at) => anEvent({ id: anId(at % 2 === 0 ? 5 : 7) })));
    await Promise.all([
      archive().deliver(line.all(), never),
      archive().deliver(line.all(), never),
      archive().deliver(line.batch(20, 30), never),
    ]);
    expect(await stored()).toEqual(rowsOf(...line.events));
  });

  describe('an event that the database refuses', () => {
    const bad: readonly [string, Partial<Event>][] = [
      ['a timestamp of the year 0', { timestamp: '0000-01-01T00:00:00Z' }],
      ['a day that does not exist', { timestamp: '2024-02-31T00:00:00Z' }],
      ['a NUL in metadata', { metadata: { text: 'a\u0000b' } }],
      ['half of a surrogate pair in metadata', { metadata: { text: '\ud800' } }],
      ['a NUL in its name', { event_name: 'a\u0000b' }],
      ['an address that is none', { context: { ip_address: 'localhost', user_agent: null } }],
      ['a user too long for the index', { user_id: Array.from({ length: 3000 }, () => randomUUID()).join('') }],
    ];

    it.each(bad)('fails alone: %s', async (_what, overrides) => {
      const good = [1, 2, 3, 4, 5].map(() => anEvent());
      const wrong = anEvent(overrides);
      const line = new Line([...good.slice(0, 3), wrong, ...good.slice(3)]);
      const outcomes = await archive().deliver(line.all(), never);
      expect(verdicts(outcomes)).toEqual({
        ...Object.fromEntries(good.map(({ id }) => [id, 'delivered'])),
        [wrong.id]: 'ARCHIVE_ROW_REFUSED',
      });
      expect(outcomes.get(wrong.id)).toMatchObject({
        error: { kind: 'permanent', message: expect.stringMatching(/SQLSTATE (?:22|54)/) },
      });
      expect(await stored()).toEqual(rowsOf(...good));
      expect(await positionOf(line)).toBe(5);
    });

    it('is refused again, not called delivered, when the first answer was lost', async () => {
      const wrong = anEvent({ id: anId(5), timestamp: '0000-01-01T00:00:00Z' });
      const line = new Line([anEvent(), wrong]);
      await archive().deliver(line.all(), never);
      expect(verdicts(await archive().deliver(line.all(), never))[wrong.id]).toBe('ARCHIVE_ROW_REFUSED');
    });

    it('is stored once a person has mended it', async () => {
      const wrong = anEvent({ id: anId(5), context: { ip_address: 'nowhere', user_agent: null } });
      const mended = { ...wrong, context: { ip_address: '198.51.100.1', user_agent: null } };
      await archive().deliver(new Line([wrong]).all(), never);
      expect(verdicts(await archive().deliver(replayOf(mended), never))).toEqual({ [wrong.id]: 'delivered' });
      expect(await stored()).toEqual(rowsOf(mended));
    });

    it('does not stop a batch in which every event is bad', async () => {
      const line = new Line(Array.from({ length: 20 }, () => anEvent({ metadata: { text: '\u0000' } })));
      expect(new Set(Object.values(verdicts(await archive().deliver(line.all(), never))))).toEqual(
        new Set(['ARCHIVE_ROW_REFUSED']),
      );
      expect(await stored()).toEqual([]);
    });
  });

  describe('an outage', () => {
    it.each([
      ['ECONNREFUSED', 'connect ECONNREFUSED'],
      ['57P01', 'terminating connection due to administrator command'],
      ['53100', 'could not extend file: No space left on device'],
      ['53300', 'sorry, too many clients already'],
      ['40001', 'could not serialize access'],
      ['40P01', 'deadlock detected'],
      ['25006', 'cannot execute INSERT in a read-only transaction'],
      ['08006', 'connection failure'],
    ])('%s is told as retryable, and no event is blamed', async (code, message) => {
      const delivery = archive(refusing(db, code, message)).deliver(new Line([anEvent()]).all(), never);
      await expect(delivery).rejects.toMatchObject({
        kind: 'retryable',
        code: 'DATABASE_UNAVAILABLE',
        message: expect.stringContaining(message),
      });
    });

    it('is waited out by the same instance', async () => {
      const line = new Line([anEvent(), anEvent()]);
      await sql`alter table events rename to events_away`.execute(db);
      const instance = archive();
      try {
        await expect(instance.deliver(line.all(), never)).rejects.toMatchObject({ kind: 'retryable' });
        expect(await instance.check(never)).toMatchObject({ ok: false, message: expect.stringContaining('events') });
      } finally {
        await sql`alter table events_away rename to events`.execute(db);
      }
      await instance.deliver(line.all(), never);
      expect(await stored()).toEqual(rowsOf(...line.events));
      expect(await instance.check(never)).toMatchObject({ ok: true });
    });

    it('in the middle of a search for a bad event loses nothing and stores nothing twice', async () => {
      const events = Array.from({ length: 16 }, (_, at) =>
        anEvent(at === 9 ? { timestamp: '0000-01-01T00:00:00Z' } : {}),
      );
      const line = new Line(events);
      // Five statements succeed: four parts of the batch, and the position at the end.
      for (let statements = 1; statements <= 5; statements += 1) {
        let left = statements;
        const failing = watching(db, () => {
          left -= 1;
          if (left === 0) connectionLost();
        });
        await expect(archive(failing).deliver(line.all(), never)).rejects.toMatchObject({ kind: 'retryable' });
      }
      const outcomes = verdicts(await archive().deliver(line.all(), never));
      expect(outcomes[events[9]?.id ?? '']).toBe('ARCHIVE_ROW_REFUSED');
      expect(await stored()).toEqual(rowsOf(...events.filter((_, at) => at !== 9)));
    });
  });

  it('stops waiting when it is aborted, with the reason, and what was written meanwhile is found again', async () => {
    const line = new Line(Array.from({ length: 200 }, () => anEvent()));
    const reason = new Error('the lease is lost');
    const controller = new AbortController();
    const delivery = archive().deliver(line.all(), controller.signal);
    controller.abort(reason);
    await expect(delivery).rejects.toBe(reason);
    await archive().deliver(line.all(), never);
    expect(await stored()).toEqual(rowsOf(...line.events));
  });

  it('stores one row for each event through any mixture of crashes, overlaps, repeats and replays', async () => {
    const random = seeded(20240501);
    const events: Event[] = [];
    for (let at = 0; at < 400; at += 1) {
      const repeated = random() < 0.15 ? events[Math.floor(random() * events.length)] : undefined;
      events.push(
        repeated?.id[14] === '5'
          ? { ...repeated, timestamp: new Date(1.7e12 + at * 1000).toISOString() }
          : anEvent({ id: anId(random() < 0.5 ? 5 : 7), timestamp: new Date(1.7e12 + at * 1000).toISOString() }),
      );
    }
    const line = new Line(events);
    let faults = 0;
    for (let done = 0; done < events.length;) {
      const first = Math.max(0, done - Math.floor(random() * 12));
      const count = 1 + Math.floor(random() * 40);
      const batch = line.batch(first, count);
      const fate = random();
      if (fate < 0.25) {
        await archive(losingAnswers(db))
          .deliver(batch, never)
          .catch(() => (faults += 1));
      } else if (fate < 0.4) {
        const known = events.slice(0, done).filter(() => random() < 0.1);
        await archive().deliver(
          replayOf(...known.map((event) => ({ ...event, timestamp: '2020-02-02T02:02:02.000Z' }))),
          never,
        );
        faults += 1;
      } else {
        await archive().deliver(batch, never);
        done = Math.max(done, first + batch.items.length);
      }
    }
    expect(faults).toBeGreaterThan(5);
    const firsts = new Map<string, Event>();
    for (const event of events) if (!firsts.has(event.id)) firsts.set(event.id, event);
    expect(firsts.size).toBeLessThan(events.length);
    expect(await stored()).toEqual(rowsOf(...firsts.values()));
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
