const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
/** What a receiver asks for counts up to here: one that is broken does not park its events for a year. */
const MOST_ASKED = 24 * HOUR;

/**
 * How long to wait before each retry: ten attempts over 75 hours, as long as Standard Webhooks asks for, with early steps short enough that a
 * restart on the other side costs seconds.
 */
export const RETRY_SCHEDULE_MS: readonly number[] = [
  2_000,
  10_000,
  MINUTE,
  5 * MINUTE,
  30 * MINUTE,
  3 * HOUR,
  8 * HOUR,
  16 * HOUR,
  48 * HOUR,
];

/** An attempt that met a bug of a plugin is tried again this often, then parked. */
export const PLUGIN_BUG_RETRIES = 2;

/** Half to one and a half times the step, so that what failed together does not come back together; the mean is the step. */
function jittered(delayMs: number, random: () => number = Math.random): number {
  return delayMs * (0.5 + random());
}

/**
 * When to try again after `retries` retries, in milliseconds from now, or null when the schedule is used up. What the receiver asked for is a
 * floor, never a ceiling.
 */
export function nextDelay(
  retries: number,
  retryAfterMs: number | undefined,
  schedule: readonly number[],
  random?: () => number,
): number | null {
  const step = schedule[retries];
  return step === undefined ? null : Math.max(jittered(step, random), Math.min(retryAfterMs ?? 0, MOST_ASKED));
}
