import { setTimeout as delay } from 'node:timers/promises';
import type { DeliveryStore, StoredCursor } from './delivery-store.ts';
import type { Ending } from './lane.ts';
import { Pump, type PumpDeps } from './pump.ts';
import type { Subscription } from './subscription.ts';

const RESTART_MS = 1_000;

/** The pumps of one subscription, one a partition, each begun again from its stored cursor when it breaks off. */
export class RunningSubscription {
  private readonly stop = new AbortController();
  private readonly pumps: Promise<void>[];
  private readonly current = new Map<string, Pump>();

  constructor(
    readonly subscription: Subscription,
    cursors: readonly StoredCursor[],
    private readonly store: DeliveryStore,
    private readonly deps: PumpDeps,
    private readonly cut: AbortSignal,
  ) {
    this.pumps = cursors.map((cursor) => this.supervise(cursor));
  }

  /** Events in the log that no pump has read yet. */
  get lag(): number {
    let lag = 0;
    for (const pump of this.current.values()) lag += pump.lag;
    return lag;
  }

  /** Takes over the ends of a subscription that is no longer wanted. */
  endAt(cursors: readonly StoredCursor[]): void {
    for (const { partition, end } of cursors) if (end !== null) this.current.get(partition)?.endAt(end);
  }

  /** Resolves when what was under way is recorded. */
  async end(): Promise<void> {
    this.stop.abort(new DOMException('The subscription stops.', 'AbortError'));
    await Promise.all(this.pumps);
  }

  private async supervise(first: StoredCursor): Promise<void> {
    const ending: Ending = { stop: this.stop.signal, cut: this.cut };
    const { project } = this.subscription.key;
    const index = Number(first.partition.slice(first.partition.lastIndexOf('/') + 1));
    let cursor: StoredCursor | null = first;
    while (cursor !== null) {
      try {
        const { partition, next, end } = cursor;
        const pump = new Pump(
          this.subscription,
          { partition: { project, index }, partitionName: partition, next, end },
          this.deps,
        );
        this.current.set(partition, pump);
        await pump.run(ending);
        return;
      } catch (error) {
        if (ending.stop.aborted) return;
        this.deps.logger.error('Delivery broke off; it begins again from the stored cursor.', {
          subscription: this.subscription.key.id,
          partition: cursor.partition,
          error: String(error),
        });
        cursor = await this.reload(cursor, ending.stop);
      }
    }
  }

  private async reload(last: StoredCursor, stop: AbortSignal): Promise<StoredCursor | null> {
    for (;;) {
      await delay(RESTART_MS, undefined, { signal: stop }).catch(() => undefined);
      if (stop.aborted) return null;
      try {
        return await this.store.cursor(this.subscription.key.id, last.partition);
      } catch (error) {
        this.deps.logger.warn('The stored cursor cannot be read; it is tried again.', {
          subscription: this.subscription.key.id,
          error: String(error),
        });
      }
    }
  }
}
