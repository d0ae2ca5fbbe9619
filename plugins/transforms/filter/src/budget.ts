/** An evaluation did more work than it may. */
export class OverBudget extends Error {
  override readonly name = 'OverBudget';
}

// Evaluation is synchronous and never nested: one purse is enough, and json-logic-js has no place to carry one.
let left = 0;

/** Takes units of work from the evaluation that is running. A unit is about what calling one operator on small values costs. */
export function charge(units: number): void {
  left -= units;
  if (left < 0) throw new OverBudget();
}

export interface Spent<T> {
  readonly value: T;
  readonly units: number;
}

/** Runs `work` with `budget` units to spend; throws `OverBudget` where they run out. */
export function spending<T>(budget: number, work: () => T): Spent<T> {
  left = budget;
  const value = work();
  return { value, units: budget - left };
}
