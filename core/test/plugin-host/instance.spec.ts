import { ConfigError, RetryableError, type Lifecycle, type Logger } from '@switchyard/plugin-sdk';
import type { Fault } from '../../src/plugin-host/failure.ts';
import { PluginInstance, type InstanceTiming } from '../../src/plugin-host/instance.ts';

interface Fixture extends Lifecycle {
  work?(signal: AbortSignal): unknown;
}

const timing: InstanceTiming = { firstRetryMs: 5, longestRetryMs: 40, openDeadlineMs: 60, graceMs: 20 };
const never = (): Promise<never> => new Promise(() => undefined);
const bad = (): never => {
  throw new TypeError('boom');
};

const open: PluginInstance<Fixture>[] = [];
afterEach(() => Promise.all(open.splice(0).map((instance) => instance.close(10))));

function make(create: () => Fixture): { instance: PluginInstance<Fixture>; faults: Fault[]; lines: string[] } {
  const faults: Fault[] = [];
  const lines: string[] = [];
  const log = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields)}`);
  const logger: Logger = { debug: log, info: log, warn: log, error: log };
  const instance = new PluginInstance({
    scope: { kind: 'destination', type: 'fixture', instance: 'i1' },
    create,
    logger,
    onFault: (fault) => void faults.push(fault),
    timing,
  });
  open.push(instance);
  return { instance, faults, lines };
}

async function opened(plugin: Fixture): Promise<ReturnType<typeof make>> {
  const made = make(() => plugin);
  made.instance.start();
  expect(await made.instance.ready).toBe('open');
  return made;
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const work = (plugin: Fixture, signal: AbortSignal): unknown => plugin.work?.(signal);

describe('opening', () => {
  it('creates nothing before start, and opens once', async () => {
    const calls: string[] = [];
    const { instance } = make(() => {
      calls.push('create');
      return { open: async () => void calls.push('open') };
    });
    await new Promise(setImmediate);
    expect(calls).toEqual([]);
    expect(instance.status).toEqual({ state: 'created' });
    instance.start();
    instance.start();
    expect(instance.status.state).toBe('opening');
    await instance.ready;
    expect(instance.status).toEqual({ state: 'open' });
    expect(calls).toEqual(['create', 'open']);
  });

  it('needs no open: a plugin without one is open at once', async () => {
    const { instance } = await opened({});
    expect(instance.status.state).toBe('open');
  });

  it('is tried again on the same object until it works, and says meanwhile what is wrong', async () => {
    let attempts = 0;
    let created = 0;
    const statuses: string[] = [];
    const { instance } = make(() => {
      created++;
      return {
        open: async () => {
          statuses.push(JSON.stringify(instance.status));
          if (++attempts < 4) throw new RetryableError('The broker does not answer.', { code: 'CONNECTION_REFUSED' });
        },
      };
    });
    instance.start();
    expect(await instance.ready).toBe('open');
    expect([attempts, created]).toEqual([4, 1]);
    expect(statuses.at(-1)).toContain('The broker does not answer. (CONNECTION_REFUSED; next attempt at ');
  });

  it('waits no shorter than the plugin asks', async () => {
    let attempts = 0;
    const { instance } = make(() => ({
      open: async () => {
        if (++attempts === 1) throw new RetryableError('later', { retryAfterMs: 80 });
      },
    }));
    const started = performance.now();
    instance.start();
    await instance.ready;
    expect(performance.now() - started).toBeGreaterThanOrEqual(78);
  });

  it('shows a ConfigError as paused, with its code, its words and the time of the next attempt', async () => {
    const { instance } = make(() => ({
      open: () => Promise.reject(new ConfigError('The password is wrong.', { code: 'AUTH_FAILED' })),
    }));
    instance.start();
    await until(() => instance.status.state === 'paused');
    expect(instance.status).toEqual({
      state: 'paused',
      code: 'AUTH_FAILED',
      reason: 'The password is wrong.',
      next_attempt_at: expect.stringMatching(/Z$/),
    });
  });

  it.each<[string, () => Fixture, string]>([
    [
      'create throws',
      bad,
      '"create" of the destination plugin "fixture" threw TypeError: boom. It is a bug of the plugin.',
    ],
    ['create returns nothing', () => JSON.parse('null'), 'returned nothing that could be called'],
    [
      'create is async',
      () => JSON.parse('0') || Promise.reject(new Error('late')),
      'returned a promise where it must answer at once',
    ],
    [
      'open throws something else',
      () => ({ open: bad }),
      '"open" of the destination plugin "fixture" threw TypeError: boom',
    ],
    ['open is no function', () => ({ open: JSON.parse('5') }), '"open" of the destination plugin'],
  ])('contains a plugin whose %s', async (_, create, reason) => {
    const { instance, faults } = make(create);
    instance.start();
    await until(() => instance.status.state === 'paused');
    expect(instance.status).toMatchObject({ state: 'paused', reason: expect.stringContaining(reason) });
    expect(faults.length).toBeGreaterThan(0);
  });

  it('gives an open that never ends a deadline, and the next attempt a new object', async () => {
    const closed: number[] = [];
    let created = 0;
    const { instance, faults } = make(() => {
      const id = ++created;
      return { open: () => (id === 1 ? never() : Promise.resolve()), close: async () => void closed.push(id) };
    });
    instance.start();
    expect(await instance.ready).toBe('open');
    expect(created).toBe(2);
    expect(closed).toEqual([1]);
    expect(faults).toEqual(['timed_out']);
  });

  it('ends with close, also in the middle of an attempt or of a wait', async () => {
    const stuck = make(() => ({ open: never }));
    stuck.instance.start();
    expect(await stuck.instance.close(50)).toBe(true);
    expect(await stuck.instance.ready).toBe('closed');
    const waiting = make(() => ({ open: () => Promise.reject(new RetryableError('x', { retryAfterMs: 3_600_000 })) }));
    waiting.instance.start();
    await new Promise((resolve) => setTimeout(resolve, 10));
    await waiting.instance.close(50);
    expect(waiting.instance.status).toEqual({ state: 'closed' });
    waiting.instance.start();
    expect(waiting.instance.status).toEqual({ state: 'closed' });
  });
});

describe('a call', () => {
  it('gives back what the plugin does, whether it answers at once or later', async () => {
    const { instance } = await opened({ work: () => 1 });
    expect(await instance.call('work', work, { deadlineMs: 100 })).toEqual({ ok: true, value: 1 });
    expect(await instance.call('work', async () => 2, { deadlineMs: 100 })).toEqual({ ok: true, value: 2 });
  });

  it('does not reach a plugin that is not open', async () => {
    let reached = false;
    const { instance } = make(() => ({ work: () => (reached = true) }));
    const notOpen = { ok: false, failure: { reason: 'not_open' } };
    expect(await instance.call('work', work, { deadlineMs: 100 })).toEqual(notOpen);
    expect(instance.callAtOnce('work', () => 1)).toEqual(notOpen);
    instance.start();
    await instance.ready;
    await instance.close(10);
    expect(await instance.call('work', work, { deadlineMs: 100 })).toEqual(notOpen);
    expect(reached).toBe(false);
  });

  it.each<[string, () => unknown, object]>([
    [
      'one of the three errors',
      () => Promise.reject(new RetryableError('busy', { code: 'HTTP_503', retryAfterMs: 7 })),
      { reason: 'failed', error: { kind: 'retryable', code: 'HTTP_503', message: 'busy', retryAfterMs: 7 } },
    ],
    [
      'one of them from another copy of the SDK, with nonsense in it',
      () =>
        Promise.reject(
          Object.assign(new Error('x'.repeat(9999)), { kind: 'retryable', code: 'not a code', retryAfterMs: 'soon' }),
        ),
      { reason: 'failed', error: { kind: 'retryable', code: 'RETRYABLE', retryAfterMs: undefined } },
    ],
    [
      'a throw',
      bad,
      {
        reason: 'bug',
        error: {
          code: 'PLUGIN_THREW',
          message: '"work" of the destination plugin "fixture" threw TypeError: boom. It is a bug of the plugin.',
        },
      },
    ],
    ['a rejection', () => Promise.reject(new Error('late')), { reason: 'bug', error: { code: 'PLUGIN_THREW' } }],
    [
      'undefined',
      () => Promise.reject(undefined),
      { reason: 'bug', error: { message: expect.stringContaining('threw undefined undefined') } },
    ],
    [
      'a text',
      () => Promise.reject('no'),
      { reason: 'bug', error: { message: expect.stringContaining('threw string no') } },
    ],
    [
      'an object without a prototype',
      () => Promise.reject(Object.create(null)),
      { reason: 'bug', error: { message: expect.stringContaining('a value that cannot be shown') } },
    ],
    [
      'an error whose message throws',
      () => Promise.reject(Object.defineProperty(new Error('x'), 'message', { get: bad })),
      { reason: 'bug', error: { message: expect.stringContaining('a value that cannot be shown') } },
    ],
    [
      'an error whose kind throws',
      () => Promise.reject(Object.defineProperty(new Error('x'), 'kind', { get: bad })),
      { reason: 'bug', error: { code: 'PLUGIN_THREW' } },
    ],
    [
      'an object that throws when it is touched',
      () => new Proxy({}, { get: bad }),
      { reason: 'bug', error: { code: 'PLUGIN_THREW' } },
    ],
  ])('turns %s into a failure', async (_, run, failure) => {
    const { instance } = await opened({ work: run });
    expect(await instance.call('work', work, { deadlineMs: 1000 })).toMatchObject({ ok: false, failure });
  });

  it('that never ends, and ignores its signal, ends at the deadline', async () => {
    const { instance, faults } = await opened({ work: never });
    const result = await instance.call('work', work, { deadlineMs: 20 });
    expect(result).toMatchObject({
      ok: false,
      failure: {
        reason: 'failed',
        error: {
          kind: 'retryable',
          code: 'PLUGIN_TIMED_OUT',
          message:
            '"work" of the destination plugin "fixture" did not end within 0.02 s; whether it has done its work is unknown.',
        },
      },
    });
    expect(faults).toEqual(['timed_out']);
  });

  it('whose deadline passes gets its signal aborted; what it has done by then still counts', async () => {
    const { instance } = await opened({
      work: (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve(signal.reason))),
    });
    expect(await instance.call('work', work, { deadlineMs: 10 })).toMatchObject({
      ok: true,
      value: { name: 'TimeoutError' },
    });
  });

  it('that is aborted spends no attempt, whatever the plugin throws then', async () => {
    const { instance, faults } = await opened({
      work: (signal) =>
        new Promise((_, reject) => signal.addEventListener('abort', () => reject(new TypeError('socket closed')))),
    });
    const controller = new AbortController();
    const call = instance.call('work', work, { deadlineMs: 5000, signal: controller.signal });
    controller.abort(new Error('stopping'));
    expect(await call).toEqual({ ok: false, failure: { reason: 'aborted' } });
    expect(await instance.call('work', work, { deadlineMs: 5000, signal: controller.signal })).toEqual({
      ok: false,
      failure: { reason: 'aborted' },
    });
    expect(faults).toEqual([]);
  });

  it('that is abandoned may still reject later without harm', async () => {
    const { instance } = await opened({
      work: () => new Promise((_, reject) => setTimeout(() => reject(new Error('much later')), 60)),
    });
    expect(await instance.call('work', work, { deadlineMs: 5 })).toMatchObject({
      failure: { error: { code: 'PLUGIN_TIMED_OUT' } },
    });
    // An unhandled rejection would fail this test.
    await new Promise((resolve) => setTimeout(resolve, 80));
  });

  it('that fails every time is counted every time and logged once a while', async () => {
    const { instance, faults, lines } = await opened({ work: bad });
    for (let i = 0; i < 50; i++) await instance.call('work', work, { deadlineMs: 100 });
    expect(faults).toHaveLength(50);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('instance.spec');
  });

  it('at once is contained as well, and may not answer with a promise', async () => {
    const { instance } = await opened({ work: bad });
    expect(instance.callAtOnce('work', () => 7)).toEqual({ ok: true, value: 7 });
    expect(instance.callAtOnce('work', (plugin) => plugin.work?.(new AbortController().signal))).toMatchObject({
      failure: { reason: 'bug' },
    });
    expect(instance.callAtOnce('work', () => Promise.reject(new Error('late')))).toMatchObject({
      failure: {
        reason: 'bug',
        error: { message: expect.stringContaining('returned a promise where it must answer at once') },
      },
    });
    await new Promise(setImmediate);
  });
});

describe('a probe', () => {
  it('uses an object of its own, unopened and closed afterwards, in every state', async () => {
    const calls: string[] = [];
    let created = 0;
    const { instance } = make(() => {
      const id = ++created;
      return {
        open: async () => void calls.push(`open ${id}`),
        work: () => void calls.push(`work ${id}`),
        close: async () => void calls.push(`close ${id}`),
      };
    });
    expect(await instance.probe('work', work, { deadlineMs: 100 })).toMatchObject({ ok: true });
    instance.start();
    await instance.ready;
    await instance.probe('work', work, { deadlineMs: 100 });
    expect(calls).toEqual(['work 1', 'close 1', 'open 2', 'work 3', 'close 3']);
  });

  it('of a plugin that cannot be created says why', async () => {
    const { instance } = make(() => {
      throw new ConfigError('no', { code: 'SECRET_UNREADABLE' });
    });
    expect(await instance.probe('work', work, { deadlineMs: 100 })).toMatchObject({
      ok: false,
      failure: { reason: 'failed', error: { kind: 'config', code: 'SECRET_UNREADABLE' } },
    });
  });
});

describe('closing', () => {
  it('lets calls finish first, then closes the plugin, once', async () => {
    const order: string[] = [];
    const { instance } = await opened({
      work: async () => {
        await new Promise((resolve) => setTimeout(resolve, 30));
        order.push('worked');
      },
      close: async () => void order.push('closed'),
    });
    const call = instance.call('work', work, { deadlineMs: 1000 });
    expect(await Promise.all([instance.close(500), instance.close(1)])).toEqual([true, true]);
    expect(order).toEqual(['worked', 'closed']);
    expect(await call).toMatchObject({ ok: true });
  });

  it('ends in time with calls and a close that never end', async () => {
    const { instance } = await opened({ work: never, close: never });
    const call = instance.call('work', work, { deadlineMs: 60_000 });
    const started = performance.now();
    expect(await instance.close(50)).toBe(false);
    expect(performance.now() - started).toBeLessThan(2_000);
    expect(await call).toEqual({ ok: false, failure: { reason: 'aborted' } });
  });

  it('aborts calls without a deadline at once', async () => {
    const { instance } = await opened({
      work: (signal) => new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve())),
    });
    const run = instance.call('run', work, { deadlineMs: null });
    const started = performance.now();
    expect(await instance.close(10_000)).toBe(true);
    expect(performance.now() - started).toBeLessThan(1_000);
    expect(await run).toMatchObject({ ok: true });
  });

  it('contains a close that throws', async () => {
    const { instance, faults } = await opened({ close: bad });
    expect(await instance.close(100)).toBe(false);
    expect(faults).toEqual(['threw']);
  });

  it('needs no start', async () => {
    const { instance } = make(() => ({}));
    expect(await instance.close(10)).toBe(true);
    expect(await instance.ready).toBe('closed');
  });
});
