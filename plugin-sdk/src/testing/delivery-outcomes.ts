import type { DeliveryBatch, DeliveryOutcome, DeliveryOutcomes } from '../destination.ts';
import { isDeliveryError } from '../errors.ts';
import { describeThrown, must, type Settled } from './case.ts';
import { jsonProblem } from './json-value.ts';

export function abortedWell(end: Settled<DeliveryOutcomes>, reason: Error): void {
  must(
    end.ok || end.error === reason,
    `aborted, deliver threw ${end.ok ? '' : describeThrown(end.error)} instead of the signal's reason`,
  );
}

export function answersFor(outcomes: DeliveryOutcomes, { items }: DeliveryBatch): void {
  const missing = items.filter(({ id }) => !outcomes.has(id)).length;
  must(missing === 0, `${missing} of ${items.length} items have no outcome`);
  const wanted = new Set(items.map(({ id }) => id));
  const foreign = [...outcomes.keys()].find((id) => !wanted.has(id));
  must(foreign === undefined, `there is an outcome for ${foreign ?? ''}, which is not in the batch`);
}

export function outcomeProblem(outcome: DeliveryOutcome): string | null {
  const problem = outcome.exchange === undefined ? null : jsonProblem(outcome.exchange, 'exchange');
  if (problem !== null) return problem;
  switch (outcome.status) {
    case 'delivered':
      return null;
    case 'failed':
      if (!isDeliveryError(outcome.error))
        return `an outcome failed with ${describeThrown(outcome.error)}, which is none of the three errors`;
      return /^[A-Z][A-Z0-9_]*$/.test(outcome.error.code)
        ? null
        : `the error code ${JSON.stringify(outcome.error.code)} is not in UPPER_SNAKE`;
    default:
      return `an outcome has the status ${JSON.stringify((outcome as { readonly status: unknown }).status)}`;
  }
}
