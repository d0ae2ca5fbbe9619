import { isDeliveryError } from '../errors.ts';
import type { Event, EventOutput } from '../event.ts';
import type { TransformOutcome, TransformOutcomes } from '../transform.ts';
import { describeThrown, must } from './case.ts';
import { isPlain, jsonProblem } from './json-value.ts';

/** Fails the case unless there is exactly one outcome for every event. */
export function answersFor(outcomes: TransformOutcomes, events: readonly Event[]): void {
  const wanted = new Set(events.map((event) => event.id));
  const missing = events.filter((event) => !outcomes.has(event.id));
  must(
    missing.length === 0,
    `${missing.length} of ${events.length} events have no outcome, among them a "${missing[0]?.event_name}"`,
  );
  const foreign = [...outcomes.keys()].filter((id) => !wanted.has(id));
  must(foreign.length === 0, `there is an outcome for ${foreign[0]}, which is not in the batch`);
}

/** What is wrong with an outcome, in one line; null when nothing is. */
export function outcomeProblem(outcome: TransformOutcome): string | null {
  switch (outcome.action) {
    case 'emit':
      if (outcome.events.length === 0) return 'an outcome emits no event: that is a drop without a reason';
      return outcome.events.map(outputProblem).find((problem) => problem !== null) ?? null;
    case 'drop':
      return typeof outcome.reason === 'string' && outcome.reason.trim() !== ''
        ? null
        : 'an outcome drops without a reason';
    case 'fail':
      if (!isDeliveryError(outcome.error))
        return `an outcome fails with ${describeThrown(outcome.error)}, which is none of the three errors`;
      return /^[A-Z][A-Z0-9_]*$/.test(outcome.error.code)
        ? null
        : `the error code ${JSON.stringify(outcome.error.code)} is not in UPPER_SNAKE`;
    default:
      return `an outcome has the action ${JSON.stringify((outcome as { readonly action: unknown }).action)}`;
  }
}

function outputProblem(output: EventOutput): string | null {
  const { event_name, user_id, timestamp, metadata, context } = output;
  if (typeof event_name !== 'string' || event_name === '') return 'an emitted event has no event_name';
  if (user_id !== undefined && user_id !== null && typeof user_id !== 'string')
    return 'the user_id of an emitted event is no string';
  if (timestamp !== undefined && Number.isNaN(Date.parse(timestamp)))
    return 'the timestamp of an emitted event is no date and time';
  for (const [name, value] of Object.entries({ metadata, context })) {
    if (value === undefined) continue;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      return `the ${name} of an emitted event is no object`;
    const problem = jsonProblem(value, name);
    if (problem !== null) return `in an emitted event, ${problem}`;
  }
  return null;
}

/** What the outcome is counted by. */
export function labelOf(outcome: TransformOutcome | undefined): string | null {
  if (outcome?.action === 'drop') return outcome.reason;
  return outcome?.action === 'fail' && isDeliveryError(outcome.error) ? outcome.error.code : null;
}

/** Whether nothing in a value has a prototype that came from data. */
export function plainThroughout(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return (Array.isArray(value) || isPlain(value)) && Object.values(value).every(plainThroughout);
}
