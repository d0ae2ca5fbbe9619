import { ConfigError, RetryableError } from '@switchyard/plugin-sdk';
import { Breaker, type OpenBreaker, type Permit } from '../../src/delivery/breaker.ts';

const failure = new RetryableError('The endpoint answered 503.', { code: 'HTTP_503' });

describe('the breaker', () => {
  let now: number;
  let changes: (OpenBreaker | null)[];
  let breaker: Breaker;
  const signal = new AbortController().signal;

  beforeEach(() => {
    now = 1_000_000;
    changes = [];
    breaker = new Breaker(
      (state) => void changes.push(state),
      () => now,
    );
  });
  afterEach(() => breaker.dispose());

  const fail = async (times: number): Promise<void> => {
    for (let time = 0; time < times; time += 1) (await breaker.enter(signal)).failed(failure);
  };
  /** As if so much time had passed. */
  const pass = (ms: number): void => void (now += ms);

  test('lets everything through until some failures came in a row', async () => {
    await fail(4);
    (await breaker.enter(signal)).succeeded();
    await fail(4);
    expect(breaker.state).toBeNull();
    await fail(1);
    expect(breaker.state).toMatchObject({ code: 'HTTP_503', until: now + 2_000 });
    expect(breaker.admits).toBe(false);
  });

  test('opens at once for a wrong configuration, for longer', async () => {
    (await breaker.enter(signal)).failed(new ConfigError('The endpoint answered 401.', { code: 'HTTP_401' }));
    expect(breaker.state).toMatchObject({ code: 'HTTP_401', until: now + 15_000 });
  });

  test('lets one through when the cool-down is over, and closes when it succeeds', async () => {
    await fail(5);
    pass(2_000);
    const probe = await breaker.enter(signal);
    expect(probe.probe).toBe(true);
    expect(breaker.admits).toBe(false);
    let entered: Permit | undefined;
    const second = breaker.enter(signal).then((permit) => (entered = permit));
    await Promise.resolve();
    expect(entered).toBeUndefined();
    probe.succeeded();
    expect((await second).probe).toBe(false);
    expect(breaker.state).toBeNull();
    expect(changes).toHaveLength(2);
  });

  test('opens for longer each time that the one fails, up to half a minute', async () => {
    await fail(5);
    const waits: number[] = [];
    for (let probe = 0; probe < 6; probe += 1) {
      waits.push((breaker.state?.until ?? 0) - now);
      pass(60_000);
      (await breaker.enter(signal)).failed(failure);
    }
    expect(waits).toEqual([2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  });

  test('waits at least as long as the receiver asked for', async () => {
    await fail(4);
    (await breaker.enter(signal)).failed(
      new RetryableError('The endpoint answered 429.', { code: 'HTTP_429', retryAfterMs: 120_000 }),
    );
    expect(breaker.state?.until).toBe(now + 120_000);
  });

  test('hands the probe on when it said nothing about the destination', async () => {
    await fail(5);
    pass(2_000);
    const probe = await breaker.enter(signal);
    const next = breaker.enter(signal);
    probe.released();
    expect((await next).probe).toBe(true);
    expect(breaker.state).not.toBeNull();
  });

  test('does not take a delivery that began before for news of after', async () => {
    const old = await breaker.enter(signal);
    await fail(5);
    old.succeeded();
    expect(breaker.state).not.toBeNull();
    breaker.reset();
    expect(breaker.state).toBeNull();
  });

  test('lets those who wait go when it is reset, and when their signals abort', async () => {
    await fail(5);
    const waiting = breaker.enter(signal);
    const ending = new AbortController();
    const aborted = breaker.enter(ending.signal);
    ending.abort(new Error('The process stops.'));
    await expect(aborted).rejects.toThrow('The process stops.');
    breaker.reset();
    expect((await waiting).probe).toBe(false);
  });
});
