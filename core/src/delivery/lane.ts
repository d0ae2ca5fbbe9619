import { isDeliveryError, type DeliveryError, type DeliveryItem, type DeliveryOutcome, type DeliveryOutcomes, type BatchPosition, type DeliveryBatch, type DestinationCapabilities, type Exchange } from '@switchyard/plugin-sdk';
import { PermanentError } from '@switchyard/plugin-sdk';
import type { Breaker, Permit } from './breaker.ts';
import { Slots } from './slots.ts';

/** A destination as the engine calls it. */
export interface DeliveringDestination {
  readonly type: string;
  readonly capabilities: DestinationCapabilities;
  readonly breaker: Breaker;
  /** Waits until the plugin is open. Rejects with the signal's reason, with one of the three errors, or with whatever the plugin threw. */
  deliver(batch: DeliveryBatch, signal: AbortSignal): Promise<DeliveryOutcomes>;
}

/** Something that the plugin threw which is none of the three errors. */
export interface PluginBug {
  readonly kind: 'bug';
  readonly code: 'PLUGIN_THREW';
  readonly message: string;
}

export type LaneFailure = DeliveryError | PluginBug;

/** What became of one item of a call. `requeued`: the call was aborted, which is nobody's failure. */
export type ItemResult =
  | { readonly status: 'delivered'; readonly exchange: Exchange | undefined }
  | { readonly status: 'failed'; readonly failure: LaneFailure; readonly exchange: Exchange | undefined }
  | { readonly status: 'requeued' };

export interface LaneCall {
  readonly results: readonly ItemResult[];
  /** The call threw: all results are that failure, and nothing was sent. */
  readonly threw: boolean;
  /** A failure is not charged to the events: they were there to find out whether the destination is back. */
  readonly probe: boolean;
  readonly startedAt: number;
  readonly durationMs: number;
}

/**
 * The way of one subscription's batches into its destination: as many at once as it takes, behind its breaker. It never rejects: whatever
 * happens is a result.
 */
export class Lane {
  private readonly slots: Slots;

  constructor(
    private readonly destination: DeliveringDestination,
    private readonly onCall: (call: LaneCall) => void,
  ) {
    this.slots = new Slots(destination.capabilities.concurrency);
  }

  async deliver(items: readonly DeliveryItem[], position: BatchPosition | null, signal: AbortSignal): Promise<LaneCall> {
    await this.slots.take();
    try {
      let permit: Permit;
      try {
        permit = await this.destination.breaker.enter(signal);
      } catch {
        return { results: items.map(() => ({ status: 'requeued' as const })), threw: true, probe: false, startedAt: Date.now(), durationMs: 0 };
      }
      const call = await this.call(items, position, permit, signal);
      this.onCall(call);
      return call;
    } finally {
      this.slots.release();
    }
  }

  private async call(items: readonly DeliveryItem[], position: BatchPosition | null, permit: Permit, signal: AbortSignal): Promise<LaneCall> {
    const startedAt = Date.now();
    const started = performance.now();
    const end = (results: readonly ItemResult[], threw: boolean): LaneCall => ({ results, threw, probe: permit.probe, startedAt, durationMs: performance.now() - started });
    let outcomes: DeliveryOutcomes;
    try {
      outcomes = await this.destination.deliver({ position, items }, signal);
    } catch (error) {
      if (signal.aborted) {
        permit.released();
        return end(items.map(() => ({ status: 'requeued' })), true);
      }
      const failure: LaneFailure = isDeliveryError(error) ? error : { kind: 'bug', code: 'PLUGIN_THREW', message: `The plugin threw: ${String(error)}` };
      tell(permit, [failure], false);
      return end(items.map(() => ({ status: 'failed', failure, exchange: undefined })), true);
    }
    const results = items.map(({ id }) => itemResult(outcomes.get(id)));
    tell(
      permit,
      results.flatMap((result) => (result.status === 'failed' ? [result.failure] : [])),
      results.some(({ status }) => status === 'delivered'),
    );
    return end(results, false);
  }
}

function itemResult(outcome: DeliveryOutcome | undefined): ItemResult {
  if (outcome === undefined) {
    return { status: 'failed', failure: new PermanentError('The plugin returned no outcome for this event.', { code: 'PLUGIN_MISSING_OUTCOME' }), exchange: undefined };
  }
  if (outcome.status === 'delivered') return { status: 'delivered', exchange: outcome.exchange };
  const failure: LaneFailure = isDeliveryError(outcome.error) ? outcome.error : { kind: 'bug', code: 'PLUGIN_THREW', message: `The plugin failed an event with something that is none of the three errors: ${String(outcome.error)}` };
  return { status: 'failed', failure, exchange: outcome.exchange };
}

/** What a call says of the destination: one event that arrived, or was refused for itself, shows that somebody is there. */
function tell(permit: Permit, failures: readonly LaneFailure[], someDelivered: boolean): void {
  const ofDestination = failures.find((failure): failure is DeliveryError => failure.kind === 'retryable' || failure.kind === 'config');
  if (someDelivered || failures.some(({ kind }) => kind === 'permanent')) permit.succeeded();
  else if (ofDestination === undefined) permit.released();
  else permit.failed(ofDestination);
}
