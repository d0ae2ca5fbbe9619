import { nextDelay, PLUGIN_BUG_RETRIES } from './backoff.ts';
import type { LaneFailure } from './lane.ts';
import type { Failure, Stage, UndeliveredState } from './records.ts';

export interface Verdict {
  readonly state: UndeliveredState;
  readonly retries: number;
  /** Epoch milliseconds. */
  readonly nextAt: number | null;
  readonly failure: Failure;
}

/** A retry that waits for its destination, not for its schedule: the breaker says when. */
const SOON_MS = 1_000;
/** No breaker stands before a transform: one that is misconfigured is tried again at this pace. */
const TRANSFORM_CONFIG_MS = 60_000;

/**
 * What happens to an event after an attempt failed. Only a retryable failure that was its own uses up its schedule; a destination that is
 * misconfigured or away keeps its events for as long as it takes.
 */
export function judge(
  failure: LaneFailure,
  stage: Stage,
  retries: number,
  probe: boolean,
  schedule: readonly number[],
  now: number,
): Verdict {
  const { code, message } = failure;
  const why = { code, message };
  if (failure.kind === 'permanent') return { state: 'dead', retries, nextAt: null, failure: why };
  if (failure.kind === 'bug') {
    if (retries >= PLUGIN_BUG_RETRIES) return { state: 'parked', retries, nextAt: null, failure: why };
    return { state: 'retrying', retries: retries + 1, nextAt: now + (schedule[retries] ?? SOON_MS), failure: why };
  }
  if (failure.kind === 'config' && stage === 'transform')
    return { state: 'retrying', retries, nextAt: now + TRANSFORM_CONFIG_MS, failure: why };
  if (failure.kind === 'config' || probe) return { state: 'retrying', retries, nextAt: now + SOON_MS, failure: why };
  const delay = nextDelay(retries, failure.retryAfterMs, schedule);
  if (delay === null)
    return {
      state: 'dead',
      retries,
      nextAt: null,
      failure: { code, message: `${message} It was the last of ${schedule.length + 1} attempts.` },
    };
  return { state: 'retrying', retries: retries + 1, nextAt: now + delay, failure: why };
}
