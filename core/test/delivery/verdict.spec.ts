import { ConfigError, PermanentError, RetryableError } from '@switchyard/plugin-sdk';
import { nextDelay, RETRY_SCHEDULE_MS } from '../../src/delivery/backoff.ts';
import { judge } from '../../src/delivery/verdict.ts';

const now = 1_000_000;
const schedule = [1_000, 10_000];
const later = (retryAfterMs?: number): RetryableError =>
  new RetryableError('Later.', retryAfterMs === undefined ? { code: 'HTTP_503' } : { code: 'HTTP_429', retryAfterMs });

describe('the retry schedule', () => {
  test('is ten attempts over at least 75 hours', () => {
    expect(RETRY_SCHEDULE_MS).toHaveLength(9);
    expect(RETRY_SCHEDULE_MS.reduce((sum, step) => sum + step, 0)).toBeGreaterThanOrEqual(75 * 3_600_000);
  });

  test('spreads what failed together over half to one and a half of the step', () => {
    expect(nextDelay(0, undefined, schedule, () => 0)).toBe(500);
    expect(nextDelay(0, undefined, schedule, () => 0.999_999)).toBeCloseTo(1_500, 0);
    expect(nextDelay(2, undefined, schedule)).toBeNull();
  });

  test('never asks before the receiver wants to be asked', () => {
    expect(nextDelay(0, 60_000, schedule, () => 0.5)).toBe(60_000);
    expect(nextDelay(1, 10, schedule, () => 0.5)).toBe(10_000);
  });
});

describe('what happens to an event after an attempt', () => {
  test('that failed for good: a dead letter at once', () => {
    expect(judge(new PermanentError('No.', { code: 'HTTP_400' }), 'delivery', 0, false, schedule, now)).toEqual({
      state: 'dead',
      retries: 0,
      nextAt: null,
      failure: { code: 'HTTP_400', message: 'No.' },
    });
  });

  test('that may work later: the next step, then a dead letter that says it was the last', () => {
    const first = judge(later(), 'delivery', 0, false, schedule, now);
    expect(first).toMatchObject({ state: 'retrying', retries: 1 });
    expect(first.nextAt).toBeGreaterThanOrEqual(now + 500);
    expect(judge(later(), 'delivery', 2, false, schedule, now)).toMatchObject({
      state: 'dead',
      failure: { message: 'Later. It was the last of 3 attempts.' },
    });
  });

  test('that was no fault of its own: nothing of its schedule is used up', () => {
    expect(judge(later(), 'delivery', 1, true, schedule, now)).toMatchObject({
      state: 'retrying',
      retries: 1,
      nextAt: now + 1_000,
    });
    expect(judge(new ConfigError('401'), 'delivery', 1, false, schedule, now)).toMatchObject({
      state: 'retrying',
      retries: 1,
    });
    expect(judge(new ConfigError('No key.'), 'transform', 0, false, schedule, now)).toMatchObject({
      state: 'retrying',
      retries: 0,
      nextAt: now + 60_000,
    });
  });

  test('that met a bug of the plugin: a few more tries, then parked', () => {
    const bug = { kind: 'bug', code: 'PLUGIN_THREW', message: 'It threw.' } as const;
    expect([0, 1, 2].map((retries) => judge(bug, 'delivery', retries, false, schedule, now).state)).toEqual([
      'retrying',
      'retrying',
      'parked',
    ]);
  });
});
