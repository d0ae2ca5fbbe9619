import type { CallFailure } from './failure.ts';

/** What an instance does at the moment. `DestinationStatus` of engine.ts says the same of a destination. */
export type InstanceStatus =
  | { readonly state: 'created' }
  | { readonly state: 'opening'; readonly reason: string }
  | { readonly state: 'open' }
  | { readonly state: 'paused'; readonly code: string; readonly reason: string; readonly next_attempt_at: string }
  | { readonly state: 'closed' };

export interface OpenTiming {
  readonly firstRetryMs: number;
  readonly longestRetryMs: number;
}

const DAY_MS = 86_400_000;

/** Doubles from the first to the longest, at once the longest for what will not mend itself, with jitter: many instances meet the same outage together. */
export function nextDelay(failure: CallFailure, attempt: number, { firstRetryMs, longestRetryMs }: OpenTiming): number {
  const heals = failure.reason === 'failed' && failure.error.kind === 'retryable';
  const base = heals ? Math.min(firstRetryMs * 2 ** (attempt - 1), longestRetryMs) : longestRetryMs;
  const jittered = base * (0.5 + Math.random() / 2);
  const asked =
    failure.reason === 'failed' && failure.error.kind === 'retryable' ? (failure.error.retryAfterMs ?? 0) : 0;
  return Math.max(jittered, Math.min(asked, DAY_MS));
}

/** An outage is waited out (`opening`); what a person must mend is `paused`. */
export function statusAfter(failure: CallFailure, next: Date): InstanceStatus {
  const next_attempt_at = next.toISOString();
  switch (failure.reason) {
    case 'failed':
      if (failure.error.kind === 'retryable') {
        return {
          state: 'opening',
          reason: `${failure.error.message} (${failure.error.code}; next attempt at ${next_attempt_at})`,
        };
      }
      return { state: 'paused', code: failure.error.code, reason: failure.error.message, next_attempt_at };
    case 'bug':
      return { state: 'paused', code: failure.error.code, reason: failure.error.message, next_attempt_at };
    case 'aborted':
    case 'not_open':
      return { state: 'opening', reason: `The attempt was interrupted (next attempt at ${next_attempt_at})` };
  }
}
