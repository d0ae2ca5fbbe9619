import {
  ConfigError,
  delivered,
  drop,
  emit,
  failed,
  PermanentError,
  RetryableError,
  Type,
  defineTransform,
} from '@switchyard/plugin-sdk';
import { eventually } from '../support/eventually.ts';
import { Harness, aDestination, sameFor, type Deliver } from './harness.ts';

const free = aDestination('free');
const keyed = aDestination('keyed', { ordering: 'key', concurrency: 20 });
const store = aDestination('store', { ordering: 'partition', batch: { maxEvents: 10 }, concurrency: 2 });
const transformed = {
  apply: (name: string): ReturnType<typeof emit> => (name === 'drop' ? drop('not wanted') : emit({ event_name: name })),
};
const transform = defineTransform<never>({
  type: 'test',
  title: 'Test',
  summary: 'A transform of the tests.',
  stability: 'stable',
  configVersion: 1,
  config: Type.Object({}, { additionalProperties: false }),
  examples: [{ title: 'The only one', config: {} as never }],
  batch: { maxEvents: 50 },
  create: () => ({ apply: (batch) => new Map(batch.map((event) => [event.id, transformed.apply(event.event_name)])) }),
});
const plain = { deliver: free.deliver, apply: transformed.apply };

let harness: Harness;

beforeAll(async () => {
  harness = await Harness.open([free, keyed, store, transform]);
}, 60_000);
afterAll(() => harness.close());
afterEach(() => {
  for (const destination of [free, keyed, store]) destination.deliver = plain.deliver;
  transformed.apply = plain.apply;
});

const someEvents = (count: number, fields: object = {}): object[] =>
  Array.from({ length: count }, (_, index) => ({ event_name: `e${index}`, user_id: `u${index % 5}`, ...fields }));

describe('a destination that takes events in any order', () => {
  test('gets every event once, and the accounts add up', async () => {
    const seen: string[] = [];
    free.deliver = async (batch) => {
      seen.push(...batch.items.map(({ id }) => id));
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('free');
    const ids = await harness.accept(someEvents(500));
    const account = await harness.settled(destination);
    expect(account).toMatchObject({ accepted: 500, delivered: 500, filtered: 0, dead: 0, parked: 0 });
    expect(seen.toSorted()).toEqual([...ids].toSorted());
    await harness.setDestination(destination, { enabled: false });
  });

  test('tries again what failed, with attempts that are recorded and numbered, under one id', async () => {
    const tries = new Map<string, number[]>();
    free.deliver = async (batch) => {
      const [item] = batch.items;
      if (item === undefined) return new Map();
      const numbers = tries.get(item.id) ?? [];
      tries.set(item.id, [...numbers, item.attempt]);
      return sameFor(
        batch,
        numbers.length < 2
          ? failed(new RetryableError('The endpoint answered 503.', { code: 'HTTP_503' }), {
              request: 'POST /',
              response: { status: 503, body: '' },
            })
          : delivered({ request: 'POST /' }),
      );
    };
    const { destination } = await harness.connect('free');
    const [id = ''] = await harness.accept(someEvents(1));
    expect(await harness.settled(destination)).toMatchObject({ accepted: 1, delivered: 1 });
    expect(tries.get(id)).toEqual([1, 2, 3]);
    expect(
      (await harness.attempts(id)).map(({ attempt, outcome, error_code, response_status }) => [
        attempt,
        outcome,
        error_code,
        response_status,
      ]),
    ).toEqual([
      [1, 'failed', 'HTTP_503', 503],
      [2, 'failed', 'HTTP_503', 503],
      [3, 'delivered', null, null],
    ]);
    expect(await harness.rows()).toEqual([]);
    await harness.setDestination(destination, { enabled: false });
  });

  test('dead-letters at once what it refuses for good, and what used up its schedule', async () => {
    free.deliver = async (batch) => {
      const [item] = batch.items;
      const error =
        item?.event.event_name === 'bad'
          ? new PermanentError('No.', { code: 'HTTP_400' })
          : new RetryableError('Later.', { code: 'HTTP_500' });
      return sameFor(batch, item?.event.event_name === 'good' ? delivered() : failed(error));
    };
    const { destination } = await harness.connect('free');
    const [bad, late] = await harness.accept([{ event_name: 'bad' }, { event_name: 'late' }, { event_name: 'good' }]);
    expect(await harness.settled(destination, 20_000)).toMatchObject({ accepted: 3, delivered: 1, dead: 2 });
    const rows = await harness.rows();
    expect(rows).toHaveLength(2);
    expect(rows.find(({ event_id }) => event_id === bad)).toMatchObject({
      state: 'dead',
      stage: 'delivery',
      error_code: 'HTTP_400',
      attempts: 1,
    });
    expect(rows.find(({ event_id }) => event_id === late)).toMatchObject({
      state: 'dead',
      stage: 'delivery',
      error_code: 'HTTP_500',
      attempts: 4,
    });
    await harness.database.db.deleteFrom('deliveries').execute();
    await harness.setDestination(destination, { enabled: false });
  });

  test('that forgets an id, or throws a bug, loses nothing: dead-lettered or parked, with the code', async () => {
    free.deliver = async (batch) => {
      if (batch.items[0]?.event.event_name === 'forgotten') return new Map();
      throw new TypeError('undefined is not a function');
    };
    const { destination } = await harness.connect('free');
    const [forgotten, thrown] = await harness.accept([{ event_name: 'forgotten' }, { event_name: 'thrown' }]);
    expect(await harness.settled(destination, 20_000)).toMatchObject({ accepted: 2, dead: 1, parked: 1 });
    const rows = await harness.rows();
    expect(rows.find(({ event_id }) => event_id === forgotten)).toMatchObject({
      state: 'dead',
      error_code: 'PLUGIN_MISSING_OUTCOME',
      attempts: 1,
    });
    expect(rows.find(({ event_id }) => event_id === thrown)).toMatchObject({
      state: 'parked',
      error_code: 'PLUGIN_THREW',
      attempts: 3,
    });
    await harness.database.db.deleteFrom('deliveries').execute();
    await harness.setDestination(destination, { enabled: false });
  });

  test('that is configured wrongly is paused and keeps its events; a change of its configuration resumes it at once', async () => {
    free.deliver = async (batch) =>
      sameFor(
        batch,
        failed(new ConfigError('The endpoint answered 401: check its credentials.', { code: 'HTTP_401' })),
      );
    const { destination } = await harness.connect('free');
    await harness.accept(someEvents(300));
    await eventually(async () => harness.engine.status(destination).state === 'paused');
    expect(harness.engine.status(destination)).toMatchObject({
      state: 'paused',
      code: 'HTTP_401',
      reason: expect.stringContaining('credentials'),
    });
    const paused = await harness.account(destination);
    expect(paused).toMatchObject({ accepted: 300, delivered: 0, waiting: 300, dead: 0, parked: 0 });
    free.deliver = plain.deliver;
    await harness.setDestination(destination, {});
    expect(await harness.settled(destination)).toMatchObject({ accepted: 300, delivered: 300, dead: 0 });
    expect(harness.engine.status(destination).state).toBe('active');
    await harness.setDestination(destination, { enabled: false });
  });

  test('that is away spends attempts of no event that waits, and gets all of them when it is back', async () => {
    let attempts = 0;
    free.deliver = async (batch) => {
      attempts += 1;
      throw new RetryableError(`No connection for ${batch.items.length}.`, { code: 'CONNECTION_REFUSED' });
    };
    const { destination } = await harness.connect('free');
    await harness.accept(someEvents(1_000));
    await eventually(async () => harness.engine.status(destination).state === 'paused');
    // Those under way when the breaker opened, on two partitions, and no more.
    expect(attempts).toBeLessThanOrEqual(25);
    free.deliver = plain.deliver;
    expect(await harness.settled(destination, 20_000)).toMatchObject({ accepted: 1_000, delivered: 1_000, dead: 0 });
    await harness.setDestination(destination, { enabled: false });
  }, 30_000);

  test('hands back what it did not begin when the process stops, and gets it after the start', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => (release = resolve));
    const seen: string[] = [];
    free.deliver = async (batch) => {
      await held;
      seen.push(...batch.items.map(({ id }) => id));
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('free');
    const ids = await harness.accept(someEvents(200));
    await eventually(async () => harness.engine.lags().next().value !== undefined);
    const stopping = harness.stop();
    release();
    await stopping;
    expect(new Set(seen).size).toBe(seen.length);
    await harness.start();
    expect(await harness.settled(destination)).toMatchObject({ accepted: 200, delivered: 200 });
    expect(seen.toSorted()).toEqual([...ids].toSorted());
    await harness.setDestination(destination, { enabled: false });
  }, 20_000);
});

describe('a cursor beyond the end of the log', () => {
  test('is pulled back, so that an older copy of the log costs no new event', async () => {
    const { destination } = await harness.connect('free');
    await harness.accept(someEvents(10));
    await harness.settled(destination);
    await harness.stop();
    await harness.database.db
      .updateTable('cursors')
      .set(({ eb }) => ({ next_offset: eb('next_offset', '+', 1_000) }))
      .execute();
    await harness.start();
    const seen: string[] = [];
    free.deliver = async (batch) => {
      seen.push(...batch.items.map(({ id }) => id));
      return sameFor(batch, delivered());
    };
    const ids = await harness.accept(someEvents(10));
    await eventually(async () => seen.length >= 10);
    expect(seen.toSorted()).toEqual([...ids].toSorted());
    await harness.setDestination(destination, { enabled: false });
  }, 20_000);
});

describe('a destination that keeps order per key', () => {
  test('gets the events of a key in order through failures, while other keys go on', async () => {
    const arrived = new Map<string, number[]>();
    const failedOnce = new Set<string>();
    keyed.deliver = async (batch) => {
      const [item] = batch.items;
      if (item === undefined) return new Map();
      const number = Number(item.event.metadata['n']);
      if (number % 7 === 3 && !failedOnce.has(item.id)) {
        failedOnce.add(item.id);
        return sameFor(batch, failed(new RetryableError('Later.', { code: 'HTTP_500' })));
      }
      const key = item.event.user_id ?? '';
      arrived.set(key, [...(arrived.get(key) ?? []), number]);
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('keyed');
    for (let from = 0; from < 300; from += 50)
      await harness.accept(
        Array.from({ length: 50 }, (_, index) => ({
          event_name: 'e',
          user_id: `u${(from + index) % 4}`,
          metadata: { n: from + index },
        })),
      );
    expect(await harness.settled(destination, 40_000)).toMatchObject({ accepted: 300, delivered: 300 });
    expect(failedOnce.size).toBeGreaterThan(30);
    for (const numbers of arrived.values()) expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    await harness.setDestination(destination, { enabled: false });
  }, 60_000);
});

describe('a store', () => {
  test('gets one batch at a time in each partition, with positions that only grow', async () => {
    const ends = new Map<string, number>();
    const busy = new Set<string>();
    let batches = 0;
    store.deliver = async (batch) => {
      const { position } = batch;
      if (position === null) throw new Error('No retry was expected.');
      expect(busy.has(position.partition)).toBe(false);
      busy.add(position.partition);
      expect(position.first).toBeGreaterThan(ends.get(position.partition) ?? -1);
      expect(batch.items.map(({ offset }) => offset)).toEqual(
        batch.items.map(({ offset }) => offset).toSorted((a, b) => a - b),
      );
      await new Promise((resolve) => setImmediate(resolve));
      ends.set(position.partition, position.last);
      busy.delete(position.partition);
      batches += 1;
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('store');
    await harness.accept(someEvents(200));
    expect(await harness.settled(destination)).toMatchObject({ accepted: 200, delivered: 200 });
    expect(batches).toBeGreaterThanOrEqual(20);
    await harness.setDestination(destination, { enabled: false });
  });

  test('that throws for an outage gets the same batch again, in place, and nothing is dead-lettered', async () => {
    const firsts: number[] = [];
    let outage = 2;
    store.deliver = async (batch) => {
      if (batch.position?.partition.endsWith('/0') === true && outage > 0) {
        outage -= 1;
        firsts.push(batch.position.first);
        throw new RetryableError('The database does not answer.', { code: 'DATABASE_UNAVAILABLE' });
      }
      if (batch.position?.partition.endsWith('/0') === true) firsts.push(batch.position.first);
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('store');
    await harness.accept(someEvents(30));
    expect(await harness.settled(destination)).toMatchObject({ accepted: 30, delivered: 30, dead: 0 });
    expect(firsts[0]).toBe(firsts[1]);
    expect(firsts[1]).toBe(firsts[2]);
    expect(await harness.rows()).toEqual([]);
    await harness.setDestination(destination, { enabled: false });
  });

  test('that throws a bug for one event parks that event alone; its neighbours are stored', async () => {
    const stored = new Set<string>();
    const poison: Deliver = async (batch) => {
      if (batch.items.some(({ event }) => event.event_name === 'poison'))
        throw new RangeError('Maximum call stack size exceeded');
      for (const { id } of batch.items) stored.add(id);
      return sameFor(batch, delivered());
    };
    store.deliver = poison;
    const { destination } = await harness.connect('store');
    const ids = await harness.accept([
      ...someEvents(9, { user_id: 'same' }),
      { event_name: 'poison', user_id: 'same' },
      ...someEvents(9, { user_id: 'same' }),
    ]);
    expect(await harness.settled(destination, 20_000)).toMatchObject({ accepted: 19, delivered: 18, parked: 1 });
    expect(stored).toEqual(new Set(ids.filter((_, index) => index !== 9)));
    await harness.database.db.deleteFrom('deliveries').execute();
    await harness.setDestination(destination, { enabled: false });
  }, 30_000);
});

describe('a destination that hangs', () => {
  test('is disabled at once, and goes on where it stood when it is enabled', async () => {
    const seen: string[] = [];
    let release: () => void = () => undefined;
    const hanging = new Promise<void>((resolve) => (release = resolve));
    free.deliver = async (batch) => {
      await hanging;
      seen.push(...batch.items.map(({ id }) => id));
      return sameFor(batch, delivered());
    };
    const { destination } = await harness.connect('free');
    const ids = await harness.accept(someEvents(100));
    await eventually(async () =>
      [...harness.engine.lags()].some(({ destination: id, lag }) => id === destination && lag < 100),
    );
    await harness.setDestination(destination, { enabled: false });
    expect(harness.engine.status(destination)).toEqual({ state: 'disabled' });
    const enabled = harness.setDestination(destination, { enabled: true });
    release();
    await enabled;
    expect(await harness.settled(destination)).toMatchObject({ accepted: 100, delivered: 100 });
    expect(seen.toSorted()).toEqual([...ids].toSorted());
    await harness.setDestination(destination, { enabled: false });
  }, 20_000);
});

describe('the accounts', () => {
  test('count what is filtered by its reason', async () => {
    const { destination } = await harness.connect('free', [{ type: 'test' }]);
    await harness.accept([{ event_name: 'drop' }, { event_name: 'drop' }, { event_name: 'keep' }]);
    expect(await harness.settled(destination)).toMatchObject({
      accepted: 3,
      delivered: 1,
      filtered: 2,
      filtered_by: { 't0: not wanted': 2 },
    });
    await harness.setDestination(destination, { enabled: false });
  });

  test('count an event of several outputs as delivered when all of them are', async () => {
    let refuse = true;
    transformed.apply = (name) =>
      emit({ event_name: `${name}-1` }, { event_name: `${name}-2` }, { event_name: `${name}-3` });
    const ids = new Map<string, Set<string>>();
    free.deliver = async (batch) => {
      const [item] = batch.items;
      if (item === undefined) return new Map();
      ids.set(item.event.event_name, (ids.get(item.event.event_name) ?? new Set()).add(item.id));
      return sameFor(
        batch,
        refuse && item.event.event_name.endsWith('-2')
          ? failed(new RetryableError('Later.', { code: 'HTTP_503' }))
          : delivered(),
      );
    };
    const { destination } = await harness.connect('free', [{ type: 'test' }]);
    await harness.accept([{ event_name: 'many' }]);
    await eventually(async () => (await harness.rows()).length === 1);
    expect(await harness.account(destination)).toMatchObject({ accepted: 1, delivered: 0, waiting: 1 });
    refuse = false;
    expect(await harness.settled(destination)).toMatchObject({ accepted: 1, delivered: 1 });
    // Three ids, the same at every attempt.
    expect([...ids.values()].map(({ size }) => size)).toEqual([1, 1, 1]);
    expect(new Set([...ids.values()].flatMap((set) => [...set])).size).toBe(3);
    await harness.setDestination(destination, { enabled: false });
  });

  test('keep the events of a destination that is disabled, and of one that is enabled again', async () => {
    const { destination } = await harness.connect('free');
    await harness.setDestination(destination, { enabled: false });
    await harness.accept(someEvents(20));
    expect(await harness.account(destination)).toMatchObject({ accepted: 20, waiting: 20 });
    expect(harness.engine.status(destination)).toEqual({ state: 'disabled' });
    await harness.setDestination(destination, { enabled: true });
    expect(await harness.settled(destination)).toMatchObject({ accepted: 20, delivered: 20 });
    await harness.setDestination(destination, { enabled: false });
  });
});
