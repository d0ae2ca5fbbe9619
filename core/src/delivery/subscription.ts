import type { RunningTransform } from '../pipeline/run.ts';
import type { Plan } from '../pipeline/compile.ts';
import { Lane, type DeliveringDestination, type LaneCall } from './lane.ts';
import type { SubscriptionKey } from './records.ts';

/** A published version as the subscription of one destination runs it. */
export interface RunningPlan {
  readonly version: number;
  readonly plan: Plan;
  /** By node id, open. */
  readonly transforms: ReadonlyMap<string, RunningTransform>;
}

/**
 * A destination of a published pipeline while it runs: shared by its pumps (one a partition) and its retries.
 */
export class Subscription {
  readonly lane: Lane;
  /** Ordered keys that have events in the retry table, and how many: later events of these keys wait behind them. */
  readonly blockedKeys = new Map<string, number>();

  constructor(
    readonly key: SubscriptionKey,
    readonly destination: DeliveringDestination,
    /** Replaced as a whole when a version is published; a chunk is walked by the one that it began with. */
    public running: RunningPlan,
    onCall: (call: LaneCall) => void,
  ) {
    this.lane = new Lane(destination, onCall);
  }

  get ordered(): boolean {
    return this.destination.capabilities.ordering === 'key';
  }

  block(orderKey: string): void {
    this.blockedKeys.set(orderKey, (this.blockedKeys.get(orderKey) ?? 0) + 1);
  }

  unblock(orderKey: string): void {
    const left = (this.blockedKeys.get(orderKey) ?? 0) - 1;
    if (left > 0) this.blockedKeys.set(orderKey, left);
    else this.blockedKeys.delete(orderKey);
  }
}
