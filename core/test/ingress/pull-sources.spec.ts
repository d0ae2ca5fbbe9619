import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, PermanentError, RetryableError, type DraftResult } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../../src/errors.ts';
import { eventually } from '../support/eventually.ts';
import { idle, Pulling, type Run } from './pulling.ts';

describe('a pull source', () => {
  let pulling: Pulling;

  beforeAll(async () => {
    pulling = await Pulling.open();
  }, 60_000);
  beforeEach(() => pulling.anew());
  afterEach(() => pulling.stop());
  afterAll(() => pulling.close());

  const QUICK = { firstRetryMs: 2, longestRetryMs: 60_000 };
  const named = (number: number): { event_name: string; event_id: string } => ({
    event_name: `event-${String(number).padStart(3, '0')}`,
    event_id: `upstream-${number}`,
  });
  const names = (from: number, to: number): string[] =>
    Array.from({ length: to - from + 1 }, (_, index) => named(from + index).event_name);
  const state = (source: string): string | undefined => pulling.pulls.status(source)?.state;

  /** Starts one source whose runs are these, one after the other; the last one is repeated. */
  async function running(runs: readonly Run[], options: Parameters<Pulling['start']>[0] = { timing: QUICK }) {
    const seen = { runs: 0 };
    pulling.type('poll', () => (emit, signal) => {
      const run = runs[Math.min(seen.runs, runs.length - 1)] ?? idle;
      seen.runs += 1;
      return run(emit, signal);
    });
    const id = await pulling.source('poll');
    await pulling.start(options);
    return { id, seen };
  }

  describe('emits', () => {
    test('drafts that are on stable storage when emit resolves, with a result for each', async () => {
      const { promise, resolve } = Promise.withResolvers<readonly DraftResult[]>();
      const storedThen: string[] = [];
      const { id } = await running([
        async (emit, signal) => {
          const results = await emit([named(1), { event_name: '' }, named(2)]);
          storedThen.push(...(await pulling.stored(id)));
          resolve(results);
          await idle(emit, signal);
        },
      ]);
      expect(await promise).toMatchObject([
        { ok: true },
        { ok: false, error: { code: 'EVENT_INVALID' } },
        { ok: true },
      ]);
      expect(storedThen).toEqual(names(1, 2));
      expect(await pulling.counted('ingestedEvents', { source_type: 'poll', result: 'accepted' })).toBe(2);
      expect(await pulling.counted('ingestedEvents', { source_type: 'poll', result: 'EVENT_INVALID' })).toBe(1);
      expect(pulling.pulls.status(id)).toEqual({ state: 'running' });
    });

    test.each(['OVERLOADED', 'LOG_UNAVAILABLE'] as const)(
      'and is told of %s, which is waited out when the run lets it through',
      async (code) => {
        const { promise: first, resolve, reject } = Promise.withResolvers<void>();
        const { id, seen } = await running(
          [
            (emit) => {
              const emitted = emit([named(1)]);
              emitted.then(() => resolve(), reject);
              return emitted.then(() => undefined);
            },
            idle,
          ],
          { timing: QUICK, ingress: { accept: () => Promise.reject(new SwitchyardError(code, 'Not now.')) } },
        );
        await expect(first).rejects.toMatchObject({ kind: 'retryable', code });
        await eventually(async () => seen.runs === 2 && state(id) === 'running');
        expect(await pulling.counted('pluginFaults', { type: 'poll' })).toBe(0);
      },
    );

    test('nothing any more once its run is over', async () => {
      let left: Parameters<Run>[0] | undefined;
      const { id } = await running([
        (emit, signal) => {
          left = emit;
          return idle(emit, signal);
        },
      ]);
      await eventually(async () => left);
      await pulling.change(id, { enabled: false });
      await expect(left?.([named(1)])).rejects.toMatchObject({ name: 'AbortError' });
      expect(await pulling.stored(id)).toEqual([]);
    });
  });

  test('goes on after a restart where its state says, and loses nothing', async () => {
    const started: number[] = [];
    let upTo = 35;
    pulling.type('poll', (_config, { state: kept }) => async (emit, signal) => {
      let at = Number((await kept.get('at')) ?? 0);
      started.push(at);
      for (; at < upTo; at += 5) {
        await emit(Array.from({ length: 5 }, (_, index) => named(at + index + 1)));
        // Only now: what is acknowledged upstream must be stored here.
        await kept.set('at', at + 5);
      }
      await idle(emit, signal);
    });
    const id = await pulling.source('poll');
    await pulling.start();
    await eventually(async () => (await pulling.stored(id)).length === 35);
    await pulling.stop();
    upTo = 100;
    await pulling.start();
    await eventually(async () => (await pulling.stored(id)).length >= 100);
    expect(await pulling.stored(id)).toEqual(names(1, 100));
    expect(started[0]).toBe(0);
    // The first process may end between its last emit and its last set.
    expect([30, 35]).toContain(started[1]);
  });

  describe('whose run ends by itself is run again', () => {
    test('after a wait that doubles', async () => {
      const failing: Run = () => Promise.reject(new RetryableError('Away.', { code: 'HTTP_503' }));
      const { id, seen } = await running([failing, failing, failing, failing, idle]);
      await eventually(async () => seen.runs === 5 && state(id) === 'running');
      const waits = pulling.lines.filter(({ attempt }) => attempt !== undefined);
      expect(waits.map(({ attempt }) => attempt)).toEqual([1, 2, 3, 4]);
      for (const [index, { next_attempt_in_ms: wait }] of waits.entries()) {
        expect(wait).toBeGreaterThanOrEqual(Math.floor(2 ** index));
        expect(wait).toBeLessThanOrEqual(2 ** (index + 1));
      }
      expect(waits[0]).toMatchObject({ project: pulling.project, source: id, status: { state: 'opening' } });
      expect(await pulling.counted('pluginFaults', { type: 'poll' })).toBe(0);
    });

    test('no sooner than it asked for', async () => {
      const { seen } = await running([
        () => Promise.reject(new RetryableError('Slow down.', { retryAfterMs: 150 })),
        idle,
      ]);
      await eventually(async () => seen.runs === 2);
      const [wait] = pulling.lines.filter(({ attempt }) => attempt !== undefined);
      expect(wait).toMatchObject({ next_attempt_in_ms: 150 });
    });

    test('as after the first time, when it had run for long', async () => {
      const lasting: Run = async () => {
        await sleep(30);
        throw new RetryableError('The connection was lost.');
      };
      const { seen } = await running([lasting, lasting, lasting, idle], {
        timing: { firstRetryMs: 2, longestRetryMs: 20 },
      });
      await eventually(async () => seen.runs === 4);
      expect(pulling.lines.flatMap(({ attempt }) => attempt ?? [])).toEqual([1, 1, 1]);
    });

    test('slowly, and with a word to its owner, when it is set up wrongly', async () => {
      const { id, seen } = await running([
        () => Promise.reject(new ConfigError('The token is refused.', { code: 'HTTP_401' })),
        idle,
      ]);
      const status = await eventually(async () => (state(id) === 'paused' ? pulling.pulls.status(id) : undefined));
      expect(status).toMatchObject({ state: 'paused', code: 'HTTP_401', reason: 'The token is refused.' });
      const [wait] = pulling.lines.filter(({ attempt }) => attempt !== undefined);
      expect(wait?.['next_attempt_in_ms']).toBeGreaterThanOrEqual(30_000);
      await pulling.change(id, { config: { name: 'mended' } });
      await eventually(async () => seen.runs === 2 && state(id) === 'running');
    });

    test.each<[string, Run, string]>([
      ['throws something else', () => Promise.reject(new TypeError('Cannot read properties of undefined')), 'threw'],
      [
        'throws at once',
        () => {
          throw new Error('not even a promise');
        },
        'threw',
      ],
      ['returns before it was told to', () => Promise.resolve(), 'bad_result'],
      ['throws what is for one event', () => Promise.reject(new PermanentError('Never.')), 'bad_result'],
    ])('as a bug that is counted, when it %s', async (_what, run, fault) => {
      const { id, seen } = await running([run, run, idle]);
      await eventually(async () => seen.runs === 3 && state(id) === 'running');
      expect(await pulling.counted('pluginFaults', { kind: 'source', type: 'poll', fault })).toBe(2);
      const [wait] = pulling.lines.filter(({ attempt }) => attempt !== undefined);
      expect(wait).toMatchObject({
        status: { state: 'paused', reason: expect.stringContaining('"run" of the source plugin "poll"') },
      });
    });

    test('and holds up no other source meanwhile', async () => {
      pulling.type('broken', () => () => Promise.reject(new ConfigError('No.')));
      pulling.type('never', () => undefined as never);
      pulling.type('fine', () => async (emit, signal) => {
        await emit([named(1)]);
        await idle(emit, signal);
      });
      const [broken, never, fine] = [
        await pulling.source('broken'),
        await pulling.source('never'),
        await pulling.source('fine'),
      ];
      await pulling.source('not-installed');
      await pulling.start();
      await eventually(async () => (await pulling.stored(fine)).length === 1);
      await eventually(async () => [broken, never].every((id) => state(id) === 'paused'));
      expect(pulling.pulls.status(never)).toMatchObject({ code: 'PLUGIN_THREW' });
      expect(pulling.lines).toContainEqual(
        expect.objectContaining({ msg: expect.stringContaining('needs the plugin "not-installed"') }),
      );
    });
  });

  describe('ends', () => {
    test.each<[string, (id: string) => Promise<void>]>([
      ['disabled', (id) => pulling.change(id, { enabled: false })],
      ['deleted', (id) => pulling.remove(id)],
    ])('before the change is through, when it is %s', async (_what, change) => {
      let ended = 0;
      const { id, seen } = await running([(emit, signal) => idle(emit, signal).then(() => void (ended += 1))]);
      await eventually(async () => seen.runs === 1);
      await change(id);
      expect(ended).toBe(1);
      expect(pulling.pulls.status(id)).toBeNull();
    });

    test('before it runs with its new configuration', async () => {
      const told: string[] = [];
      pulling.type('poll', ({ name = 'none' }) => async (emit, signal) => {
        told.push(`${name} begins`);
        await idle(emit, signal);
        told.push(`${name} ends`);
      });
      const id = await pulling.source('poll', { name: 'old' });
      await pulling.start();
      await eventually(async () => told.length === 1);
      await pulling.change(id, { config: { name: 'new' } });
      await eventually(async () => told.length === 3);
      expect(told).toEqual(['old begins', 'old ends', 'new begins']);
      // A change of something else leaves it alone.
      await pulling.pulls.reload(pulling.project);
      expect(told).toHaveLength(3);
    });

    test('promptly when the process stops, also while it waits for its next run', async () => {
      const { id, seen } = await running([() => Promise.reject(new ConfigError('No.')), idle]);
      await eventually(async () => seen.runs === 1 && state(id) === 'paused');
      const before = performance.now();
      await pulling.pulls.stop();
      expect(performance.now() - before).toBeLessThan(1_000);
      await pulling.change(id, { config: { name: 'too late' } });
      expect(seen.runs).toBe(1);
    });

    test('and does not begin any more, when the process stops during a change', async () => {
      const { seen } = await running([idle]);
      await eventually(async () => seen.runs === 1);
      const late = await pulling.source('poll');
      const changing = pulling.pulls.reload(pulling.project);
      await Promise.all([pulling.pulls.stop(), changing]);
      expect(pulling.pulls.status(late)).toBeNull();
      expect(seen.runs).toBe(1);
    });

    test('for us when the process stops, if it does not want to', async () => {
      const { seen } = await running([() => new Promise(() => undefined)]);
      await eventually(async () => seen.runs === 1);
      const before = performance.now();
      await pulling.pulls.stop();
      expect(performance.now() - before).toBeLessThan(4_000);
    });
  });
});
