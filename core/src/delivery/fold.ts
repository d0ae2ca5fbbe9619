import type { Event } from '@switchyard/plugin-sdk';
import type { LogEvent } from '../log/event-log.ts';
import type { PlanResult } from '../pipeline/run.ts';
import type { ItemResult } from './lane.ts';
import { NO_OUTPUT, type Attempt, type Failure, type Undelivered } from './records.ts';
import { judge } from './verdict.ts';

/** One output on its way, and what became of it; null until it was tried. */
export interface Sent {
  readonly payload: Event;
  readonly output: number;
  result: ItemResult | 'held' | null;
  probe: boolean;
  startedAt: number;
  durationMs: number;
}

/** One event of a chunk: what the plan made of it, and what became of each output. */
export interface Carried {
  readonly source: LogEvent;
  readonly plan: PlanResult;
  readonly sent: readonly Sent[];
}

export interface FoldContext {
  readonly version: number;
  readonly ordered: boolean;
  readonly schedule: readonly number[];
  readonly now: number;
}

export interface Folded {
  readonly undelivered: readonly Undelivered[];
  readonly attempts: readonly Attempt[];
  /** Why the event was filtered; null when it was not. */
  readonly filteredBy: string | null;
}

const BLOCKED: Failure = {
  code: 'WAITING_FOR_KEY',
  message: 'An earlier event of the same key has not been delivered yet.',
};
const STOPPED: Failure = { code: 'NOT_TRIED', message: 'The process stopped before the event was sent.' };

/** Turns what happened to one event into what is recorded of it. An event with nothing undelivered and no reason to be filtered was delivered. */
export function fold({ source, plan, sent }: Carried, context: FoldContext): Folded {
  const { event, offset } = source;
  const orderKey = context.ordered ? event.user_id : null;
  const common = { event, source: source.source, offset, orderKey, version: context.version };
  const undelivered: Undelivered[] = [];
  const attempts: Attempt[] = [];
  const [failed] = plan.failures;
  if (failed !== undefined) {
    const verdict = judge(failed.error, 'transform', 0, false, context.schedule, context.now);
    undelivered.push({
      ...common,
      ...verdict,
      payload: null,
      output: NO_OUTPUT,
      stage: 'transform',
      held: false,
      attempts: 1,
    });
  }
  for (const { payload, output, result, probe, startedAt, durationMs } of sent) {
    const row = { ...common, payload, output, stage: 'delivery' as const };
    if (result === 'held')
      undelivered.push({
        ...row,
        state: 'retrying',
        held: true,
        attempts: 0,
        retries: 0,
        nextAt: null,
        failure: BLOCKED,
      });
    else if (result === null || result.status === 'requeued') {
      undelivered.push({
        ...row,
        state: 'retrying',
        held: false,
        attempts: 0,
        retries: 0,
        nextAt: context.now,
        failure: STOPPED,
      });
    } else {
      const failure = result.status === 'failed' ? result.failure : null;
      if (failure !== null)
        undelivered.push({
          ...row,
          ...judge(failure, 'delivery', 0, probe, context.schedule, context.now),
          held: false,
          attempts: 1,
        });
      // A store that says nothing of an exchange leaves no row for each event that it stored.
      if (failure !== null || result.exchange !== undefined) {
        attempts.push({
          eventId: event.id,
          output,
          attempt: 1,
          startedAt,
          durationMs,
          failure: failure === null ? null : { code: failure.code, message: failure.message },
          exchange: result.exchange,
          version: context.version,
        });
      }
    }
  }
  const filteredBy =
    sent.length === 0 && failed === undefined ? (plan.drops[0] ?? 'nothing leads to the destination') : null;
  return { undelivered, attempts, filteredBy };
}
