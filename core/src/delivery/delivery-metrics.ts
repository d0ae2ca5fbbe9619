import type { CoreMetrics } from '../observability/metrics.ts';
import type { LaneCall } from './lane.ts';
import type { Progress } from './records.ts';

export type OutcomeName = 'delivered' | 'retry' | 'dead' | 'filtered' | 'parked';

export function countCall({ deliveryDuration }: CoreMetrics, destination: string, type: string, call: LaneCall): void {
  deliveryDuration.observe({ destination, type }, call.durationMs / 1000);
}

export function countOutcomes(
  { deliveryOutcomes }: CoreMetrics,
  destination: string,
  type: string,
  outcomes: ReadonlyMap<OutcomeName, number>,
): void {
  for (const [outcome, count] of outcomes) if (count > 0) deliveryOutcomes.inc({ destination, type, outcome }, count);
}

export function outcomesOf({ delivered, filtered, undelivered }: Progress): ReadonlyMap<OutcomeName, number> {
  const counts = new Map<OutcomeName, number>([['delivered', delivered]]);
  for (const count of filtered.values()) counts.set('filtered', (counts.get('filtered') ?? 0) + count);
  for (const { state } of undelivered) {
    const name = state === 'retrying' ? 'retry' : state;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return counts;
}
