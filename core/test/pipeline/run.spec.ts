import {
  PermanentError,
  RetryableError,
  drop,
  emit,
  fail,
  type Event,
  type EventOutput,
  type TransformOutcome,
} from '@switchyard/plugin-sdk';
import { deepFreeze } from '../../src/event/freeze.ts';
import { parseExact } from '../../src/event/json.ts';
import type { LogEvent } from '../../src/log/event-log.ts';
import { compilePlans } from '../../src/pipeline/compile.ts';
import { runPlan, TransformBug, type PlanResult, type RunningTransform } from '../../src/pipeline/run.ts';
import { SOURCE, anEvent } from '../support/events.ts';

const END = '00000000-0000-4000-8000-00000000000d';
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
type Step = (event: Event) => TransformOutcome | undefined;

const one = (step: Step, maxEvents = 100): RunningTransform => ({
  maxEvents,
  apply: (batch) =>
    Promise.resolve(
      new Map(
        batch.flatMap((event) => {
          const outcome = step(event);
          return outcome === undefined ? [] : [[event.id, outcome] as const];
        }),
      ),
    ),
});
/** From a source `s` to a destination `d`; "s>a>d" is a way through it. */
const planOf = (...ways: string[]) => {
  const edges = new Set(
    ways.flatMap((way) => {
      const nodes = way.split('>');
      return nodes.slice(1).map((to, index) => `${nodes[index]}>${to}`);
    }),
  );
  const ids = [...new Set(ways.flatMap((way) => way.split('>')))];
  const [plan] = compilePlans({
    nodes: ids.map((id) =>
      id === 's'
        ? { id, kind: 'source', source: SOURCE }
        : id === 'd'
          ? { id, kind: 'destination', destination: END }
          : { id, kind: 'transform', type: 't', config: {} },
    ),
    edges: [...edges].map((edge) => edge.split('>') as [string, string]),
  });
  if (plan === undefined) throw new Error('There is no destination.');
  return plan;
};
const logged = (...events: Event[]): readonly LogEvent[] =>
  events.map((event, offset) => ({ offset, source: SOURCE, event: deepFreeze(event) }));
const signal = new AbortController().signal;
const run = (
  ways: readonly string[],
  steps: Readonly<Record<string, Step | RunningTransform>>,
  ...events: Event[]
): Promise<readonly PlanResult[]> =>
  runPlan(
    planOf(...ways),
    new Map(Object.entries(steps).map(([id, step]) => [id, typeof step === 'function' ? one(step) : step])),
    logged(...events),
    signal,
  );
const walk = async (
  ways: readonly string[],
  steps: Readonly<Record<string, Step | RunningTransform>>,
  event: Event = anEvent(),
): Promise<PlanResult> => {
  const [result] = await run(ways, steps, event);
  if (result === undefined) throw new Error('The event has no result.');
  return result;
};
const named = ({ event_name, metadata }: Event, suffix: string): EventOutput => ({
  event_name: event_name + suffix,
  metadata,
});
const names = ({ outputs }: PlanResult): readonly string[] => outputs.map(({ event_name }) => event_name);

describe('identity', () => {
  test('an event that nothing changes is the very same object', async () => {
    const event = anEvent();
    for (const ways of [['s>d'], ['s>a>d']]) expect((await walk(ways, { a: emit }, event)).outputs[0]).toBe(event);
  });

  test('a single output keeps the id, the time, the reception and the context, whatever it says of them', async () => {
    const event = anEvent();
    const { outputs } = await walk(
      ['s>a>b>d'],
      {
        a: () => emit({ ...event, id: 'mine', received_at: 'never', event_name: 'x' } as EventOutput),
        b: () => emit({ event_name: 'y' }),
      },
      event,
    );
    expect(outputs).toEqual([{ ...event, event_name: 'y', user_id: null, metadata: {} }]);
  });

  test('an output may have a time and a context of its own', async () => {
    const event = anEvent();
    const { outputs } = await walk(
      ['s>a>d'],
      { a: () => emit({ event_name: 'x', timestamp: '2020-01-01T00:00:00Z', context: { ip_address: null } }) },
      event,
    );
    expect(outputs).toMatchObject([
      {
        timestamp: '2020-01-01T00:00:00Z',
        received_at: event.received_at,
        context: { ip_address: null, user_agent: 'test' },
      },
    ]);
  });

  test('several outputs have ids of their own: the same in every run, never that of another', async () => {
    const events = [anEvent(), anEvent()];
    const split = (event: Event) => emit(named(event, '1'), named(event, '2'), event);
    const ways = ['s>a>b>d', 's>a>c>d', 's>d'];
    const steps = { a: split, b: split, c: (event: Event) => emit(named(event, 'c')) };
    const first = await run(ways, steps, ...events);
    const again = await run(ways, { ...steps, a: one(split, 1), b: one(split, 2) }, ...events);
    expect(again).toEqual(first);
    const ids = first.flatMap(({ outputs }) => outputs.map(({ id }) => id));
    expect(ids).toHaveLength(2 * (9 + 3 + 1));
    expect(new Set([...ids, ...events.map(({ id }) => id)]).size).toBe(ids.length + 2);
    for (const id of ids) expect(id).toMatch(UUID);
  });

  test('several of which one is left are the event itself', async () => {
    const event = anEvent({ event_name: 'e' });
    const result = await walk(
      ['s>a>b>d'],
      {
        a: (e) => emit(named(e, '1'), named(e, '2')),
        b: (e) => (e.event_name === 'e2' ? emit(e) : drop('not the second')),
      },
      event,
    );
    expect(result.outputs).toMatchObject([{ id: event.id, event_name: 'e2' }]);
    expect(result.drops).toEqual(['b: not the second']);
  });

  test('an event that a transform emits twice is two, by one way and by several', async () => {
    const twice = (event: Event) => emit(event, event);
    for (const ways of [['s>a>d'], ['s>a>b>d'], ['s>a>b>d', 's>a>d']]) {
      const { outputs } = await walk(ways, { a: twice, b: emit });
      expect(new Set(outputs.map(({ id }) => id)).size).toBe(2);
      expect(outputs).toHaveLength(2);
    }
  });
});

describe('ways that meet', () => {
  const diamond = ['s>a>d', 's>b>d'];

  test('an event that passes unchanged by both is one', async () => {
    const event = anEvent();
    expect((await walk(diamond, { a: emit, b: emit }, event)).outputs).toEqual([event]);
    expect((await walk(['s>a>c>d', 's>b>c>d'], { a: emit, b: emit, c: emit }, event)).outputs).toEqual([event]);
  });

  test('an event that passes by the second only keeps its own id', async () => {
    const event = anEvent();
    const result = await walk(diamond, { a: () => drop('not here'), b: (e) => emit(named(e, 'b')) }, event);
    expect(result.outputs).toMatchObject([{ id: event.id }]);
    expect(result).toMatchObject({ drops: ['a: not here'], failures: [] });
  });

  test('an event that each way changes is two, with ids of their ways, in the order of the edges', async () => {
    const event = anEvent({ event_name: 'e' });
    const result = await walk(diamond, { a: (e) => emit(named(e, 'a')), b: (e) => emit(named(e, 'b')) }, event);
    expect(names(result)).toEqual(['ea', 'eb']);
    const reversed = await walk(
      ['s>b>d', 's>a>d'],
      { a: (e) => emit(named(e, 'a')), b: (e) => emit(named(e, 'b')) },
      event,
    );
    expect(new Map(reversed.outputs.map(({ id, event_name }) => [id, event_name]))).toEqual(
      new Map(result.outputs.map(({ id, event_name }) => [id, event_name])),
    );
  });

  test('a transform where they meet sees ids that differ, and each gets its own outcome', async () => {
    const seen: string[] = [];
    const result = await walk(
      ['s>a>c>d', 's>b>c>d', 's>c>d'],
      {
        a: (e) => emit(named(e, 'a')),
        b: (e) => emit(named(e, 'b')),
        c: (e) => {
          seen.push(e.id);
          return emit(named(e, '!'));
        },
      },
      anEvent({ event_name: 'e' }),
    );
    expect(new Set(seen).size).toBe(3);
    expect([...names(result)].sort()).toEqual(['e!', 'ea!', 'eb!']);
  });

  test('a transform sees ids that differ also when the same event is there several times', async () => {
    const event = anEvent();
    const copies = [event, { ...event }, { ...event }];
    const results = await run(['s>a>d'], { a: (e) => emit(named(e, '!')) }, ...copies);
    expect(results.map(({ outputs }) => outputs.map(({ id }) => id))).toEqual([[event.id], [event.id], [event.id]]);
  });
});

describe('drops and failures', () => {
  test('a drop is told with its node and reason, from every branch', async () => {
    expect(await walk(['s>a>d', 's>b>d'], { a: () => drop('too old'), b: () => drop('no consent') })).toEqual({
      outputs: [],
      failures: [],
      drops: ['a: too old', 'b: no consent'],
    });
    expect((await walk(['s>a>d'], { a: () => emit() })).drops).toEqual(['a: emitted nothing']);
  });

  test('a reason can be stored, whatever it says', async () => {
    const { drops } = await walk(['s>a>d'], { a: () => drop(`a\u0000\ud800${'x'.repeat(10_000)}`) });
    expect(drops[0]).toMatch(/^a: a\ufffd\ufffdx+$/);
    expect(drops[0]?.length).toBeLessThan(1000);
  });

  test('a failure in one branch holds the output of the other back, so that it never goes out under two ids', async () => {
    const event = anEvent({ event_name: 'e' });
    const error = new RetryableError('later');
    const steps = (a: Step) => ({ a, b: (e: Event) => emit(named(e, 'b')) });
    const edges = ['s>a>d', 's>b>d'];
    const first = await walk(
      edges,
      steps(() => fail(error)),
      event,
    );
    expect(first.failures).toEqual([{ node: 'a', error }]);
    expect(names(first)).toEqual([]);
    const dropped = await walk(
      edges,
      steps(() => drop('no')),
      event,
    );
    expect(dropped.outputs.map(({ id }) => id)).toEqual([event.id]);
  });

  test('a bug that one event of a batch provokes fails that event alone', async () => {
    const events = Array.from({ length: 9 }, (_, index) => anEvent({ event_name: `e${index}` }));
    const results = await run(
      ['s>a>d'],
      {
        a: (event) => {
          if (event.event_name === 'e4') throw new TransformBug('PLUGIN_THREW', 'boom');
          return emit(event);
        },
      },
      ...events,
    );
    expect(results.map(({ failures }) => failures[0]?.error.code)).toEqual(
      events.map(({ event_name }) => (event_name === 'e4' ? 'PLUGIN_THREW' : undefined)),
    );
  });

  test('an outcome that is missing fails its event alone', async () => {
    const results = await run(
      ['s>a>d'],
      { a: (event) => (event.event_name === 'b' ? undefined : emit(event)) },
      ...['a', 'b', 'c'].map((event_name) => anEvent({ event_name })),
    );
    expect(results.map(({ outputs, failures }) => failures[0]?.error.code ?? outputs[0]?.event_name)).toEqual([
      'a',
      'PLUGIN_MISSING_OUTCOME',
      'c',
    ]);
    expect(results[1]?.failures[0]).toMatchObject({ node: 'a', error: { kind: 'permanent' } });
  });

  test("a failure with something that is no error is the plugin's", async () => {
    const { failures } = await walk(['s>a>d'], {
      a: () => ({ action: 'fail', error: 'oops' as unknown as PermanentError }),
    });
    expect(failures).toMatchObject([{ node: 'a', error: { kind: 'permanent', code: 'PLUGIN_THREW' } }]);
  });

  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const deep = (depth: number): object => (depth === 1 ? {} : { a: deep(depth - 1) });
  test.each<[string, unknown, string]>([
    ['nothing', null, 'not an object'],
    ['text', 'event', 'not an object'],
    ['a list', [], 'not an object'],
    ['no name', { metadata: {} }, '"event_name"'],
    ['an unknown field', { event_name: 'x', properties: {} }, '"properties"'],
    ['an id of the client', { event_name: 'x', event_id: 'y' }, '"event_id"'],
    ['a NUL', { event_name: 'x\u0000' }, 'NUL'],
    ['a NUL in the user', { event_name: 'x', user_id: '\u0000' }, '"user_id" holds a NUL'],
    [
      'half a surrogate pair',
      { event_name: 'x', metadata: { list: ['\udc00'] } },
      '"metadata.list[0]" holds half of a surrogate pair',
    ],
    ['a key with half a surrogate pair', { event_name: 'x', metadata: { '\udc00': 1 } }, 'surrogate'],
    ['too much depth', { event_name: 'x', metadata: deep(64) }, '64 levels'],
    ['endless depth', { event_name: 'x', metadata: deep(3_000) }, '64 levels'],
    ['__proto__', { event_name: 'x', metadata: JSON.parse('{"__proto__":{}}') as object }, '__proto__'],
    [
      'constructor.prototype',
      { event_name: 'x', context: { constructor: { prototype: {} } } },
      'constructor.prototype',
    ],
    ['NaN', { event_name: 'x', metadata: { n: Number.NaN } }, '"metadata.n" is NaN'],
    ['Infinity', { event_name: 'x', metadata: { n: [Infinity] } }, '"metadata.n[0]" is Infinity'],
    ['a function', { event_name: 'x', metadata: { toJSON: () => 1 } }, '"metadata.toJSON" is a function'],
    ['a big integer', { event_name: 'x', metadata: { n: 1n } }, '"metadata.n" is a bigint'],
    ['a date', { event_name: 'x', metadata: { at: new Date() } }, '"metadata.at" is a Date'],
    [
      'too many keys',
      { event_name: 'x', metadata: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [index, 1])) },
      '10000 keys',
    ],
    ['a huge text', { event_name: 'x', metadata: { text: 'x'.repeat(2 ** 26) } }, 'larger than'],
    [
      'an endless list',
      { event_name: 'x', metadata: { list: Object.assign([], { length: 4_000_000_000 }) } },
      '"metadata.list[0]" is undefined',
    ],
    [
      'a getter that throws',
      {
        get event_name(): never {
          throw new Error('boo');
        },
      },
      'throws',
    ],
    ['a dead proxy', revoked.proxy, 'throws'],
  ])('a transform that emits %s has failed that event, and only that one', async (_name, output, message) => {
    const events = [anEvent(), anEvent({ event_name: 'bad' }), anEvent()];
    const results = await run(
      ['s>a>d'],
      { a: (event) => emit(event.event_name === 'bad' ? (output as EventOutput) : event) },
      ...events,
    );
    expect(results.map(({ outputs }) => outputs.length)).toEqual([1, 0, 1]);
    expect(results[1]?.failures).toMatchObject([
      { node: 'a', error: { kind: 'permanent', code: 'TRANSFORM_BAD_OUTPUT' } },
    ]);
    const text = results[1]?.failures[0]?.error.message;
    expect(text).toContain('The transform "a" emitted');
    expect(text).toContain(message);
  });

  test('one bad output of several fails the event, and the good ones wait for it', async () => {
    const { outputs, failures } = await walk(
      ['s>a>d'],
      { a: (e) => emit(named(e, '1'), { event_name: '' }, named(e, '3')) },
      anEvent({ event_name: 'e' }),
    );
    expect(outputs).toEqual([]);
    expect(failures).toHaveLength(1);
  });

  test('an event may not become more events than memory holds', async () => {
    const { outputs, failures } = await walk(['s>a>d'], { a: (e) => emit(...Array.from({ length: 10_001 }, () => e)) });
    expect(outputs).toEqual([]);
    expect(failures).toMatchObject([
      { error: { code: 'TRANSFORM_BAD_OUTPUT', message: expect.stringContaining('10001 events') as string } },
    ]);
  });
});

describe('what is passed on', () => {
  test('keeps the digits of numbers', async () => {
    const metadata = parseExact('{"n":12345678901234567890}') as Event['metadata'];
    const { outputs } = await walk(
      ['s>a>d'],
      { a: (e) => emit({ event_name: 'x', metadata: { ...e.metadata, copy: { of: e.metadata } } }) },
      anEvent({ metadata }),
    );
    expect(JSON.stringify(outputs[0]?.metadata)).toBe(
      '{"n":12345678901234567890,"copy":{"of":{"n":12345678901234567890}}}',
    );
  });

  test('is frozen at every step, and what came in is never touched', async () => {
    const event = anEvent({ metadata: { list: [1, { deep: true }] } });
    const before = JSON.stringify(event);
    const kept: { list: unknown[] } = { list: [1] };
    const { outputs } = await walk(
      ['s>a>b>d'],
      {
        a: (e) => {
          expect(() => (e.metadata['list'] as unknown as unknown[]).push(2)).toThrow(TypeError);
          return emit({ event_name: 'x', metadata: Object.freeze({ kept }) as unknown as Event['metadata'] });
        },
        b: (e) => {
          expect(() => (e.metadata as unknown as { kept: { list: unknown[] } }).kept.list.push(2)).toThrow(TypeError);
          return emit(named(e, '!'));
        },
      },
      event,
    );
    kept.list.push('later');
    expect(outputs[0]?.metadata).toEqual({ kept: { list: [1] } });
    for (const output of outputs)
      for (const part of [output, output.metadata, output.context]) expect(Object.isFrozen(part)).toBe(true);
    expect(JSON.stringify(event)).toBe(before);
  });
});

describe('batches', () => {
  test('are no larger than the transform takes, and hold every event once, in order', async () => {
    const sizes: number[] = [];
    const seen: string[] = [];
    const events = Array.from({ length: 10 }, (_, index) => anEvent({ event_name: `e${index}` }));
    const results = await run(
      ['s>a>d'],
      {
        a: {
          maxEvents: 4,
          apply: (batch) => {
            sizes.push(batch.length);
            seen.push(...batch.map(({ event_name }) => event_name));
            return Promise.resolve(new Map(batch.map((event) => [event.id, emit(event)])));
          },
        },
      },
      ...events,
    );
    expect(sizes).toEqual([4, 4, 2]);
    expect(seen).toEqual(events.map(({ event_name }) => event_name));
    expect(results.map(({ outputs }) => outputs[0]?.event_name)).toEqual(seen);
  });

  test('are not asked for when nothing is left to transform', async () => {
    let calls = 0;
    const counting: RunningTransform = {
      maxEvents: 10,
      apply: () => {
        calls += 1;
        return Promise.resolve(new Map());
      },
    };
    expect(await run(['s>a>b>d'], { a: () => drop('all'), b: counting }, anEvent())).toMatchObject([
      { drops: ['a: all'] },
    ]);
    expect(await run(['s>b>d'], { b: counting })).toEqual([]);
    expect(calls).toBe(0);
  });

  test('a transform that rejects, or that is not open, rejects the walk', async () => {
    const gone = new RetryableError('the child process is gone');
    await expect(walk(['s>a>d'], { a: { maxEvents: 1, apply: () => Promise.reject(gone) } })).rejects.toBe(gone);
    await expect(walk(['s>a>d'], {})).rejects.toThrow('"a" is not open');
  });
});

describe('an abort', () => {
  const events = logged(anEvent(), anEvent());
  const reason = new Error('stopping');

  test('before a walk begins rejects it, and nothing is called', async () => {
    let calls = 0;
    const counting = one((event) => {
      calls += 1;
      return emit(event);
    });
    await expect(runPlan(planOf('s>a>d'), new Map([['a', counting]]), events, AbortSignal.abort(reason))).rejects.toBe(
      reason,
    );
    expect(calls).toBe(0);
  });

  test('reaches the transform, and its answer is not looked at', async () => {
    const controller = new AbortController();
    let calls = 0;
    const deaf: RunningTransform = {
      maxEvents: 1,
      apply: (batch, given) => {
        calls += 1;
        controller.abort(reason);
        expect(given.aborted).toBe(true);
        return Promise.resolve(new Map(batch.map((event) => [event.id, emit(event)])));
      },
    };
    await expect(runPlan(planOf('s>a>d'), new Map([['a', deaf]]), events, controller.signal)).rejects.toBe(reason);
    expect(calls).toBe(1);
  });
});
