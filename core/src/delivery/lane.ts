import {
  isDeliveryError,
  PermanentError,
  type BatchPosition,
  type DeliveryBatch,
  type DeliveryError,
  type DeliveryItem,
  type DeliveryOutcome,
  type DeliveryOutcomes,
  type DestinationCapabilities,
  type Exchange,
} from '@switchyard/plugin-sdk';
import type { CallFailure, CallResult } from '../plugin-host/failure.ts';
import type { Breaker, Permit } from './breaker.ts';
import { Slots } from './slots.ts';

/** How work is ended: first nothing new is begun, later what is under way is abandoned. */
export interface Ending {
  readonly stop: AbortSignal;
  readonly cut: AbortSignal;
}

/** A destination as the engine calls it. */
export interface DeliveringDestination {
  readonly type: string;
  readonly capabilities: DestinationCapabilities;
  readonly breaker: Breaker;
  /** Resolves when the plugin can be called; rejects with the signal's reason. */
  opened(signal: AbortSignal): Promise<void>;
  deliver(batch: DeliveryBatch, signal: AbortSignal): Promise<CallResult<DeliveryOutcomes>>;
}

/** Something that the plugin did which is none of the three errors. */
interface PluginBug {
  readonly kind: 'bug';
  readonly code: string;
  readonly message: string;
}

export type LaneFailure = DeliveryError | PluginBug;

/** What became of one item of a call. `requeued`: the call was ended from our side, which is nobody's failure. */
export type ItemResult =
  | { readonly status: 'delivered'; readonly exchange: Exchange | undefined }
  | { readonly status: 'failed'; readonly failure: LaneFailure; readonly exchange: Exchange | undefined }
  | { readonly status: 'requeued' };

export interface LaneCall {
  readonly results: readonly ItemResult[];
  /** The call failed as a whole: all results are the same, and nothing was done. */
  readonly whole: boolean;
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

  async deliver(items: readonly DeliveryItem[], position: BatchPosition | null, ending: Ending): Promise<LaneCall> {
    await this.slots.take();
    try {
      let permit: Permit;
      try {
        await this.destination.opened(ending.stop);
        permit = await this.destination.breaker.enter(ending.stop);
      } catch {
        return {
          results: items.map(() => ({ status: 'requeued' as const })),
          whole: true,
          probe: false,
          startedAt: Date.now(),
          durationMs: 0,
        };
      }
      const call = await this.call(items, position, permit, ending.cut);
      this.onCall(call);
      return call;
    } finally {
      this.slots.release();
    }
  }

  private async call(
    items: readonly DeliveryItem[],
    position: BatchPosition | null,
    permit: Permit,
    cut: AbortSignal,
  ): Promise<LaneCall> {
    const startedAt = Date.now();
    const started = performance.now();
    const called = await this.destination.deliver({ position, items }, cut);
    const durationMs = performance.now() - started;
    const whole = called.ok ? null : wholeResult(called.failure);
    const results = called.ok
      ? items.map(({ id }) => itemResult(called.value.get(id)))
      : items.map(() => whole ?? { status: 'requeued' as const });
    tell(permit, results);
    return { results, whole: whole !== null, probe: permit.probe, startedAt, durationMs };
  }
}

function wholeResult(failure: CallFailure): ItemResult {
  if (failure.reason === 'failed') return { status: 'failed', failure: failure.error, exchange: undefined };
  if (failure.reason === 'bug')
    return {
      status: 'failed',
      failure: { kind: 'bug', code: failure.error.code, message: failure.error.message },
      exchange: undefined,
    };
  return { status: 'requeued' };
}

function itemResult(outcome: DeliveryOutcome | undefined): ItemResult {
  if (outcome === undefined) {
    return {
      status: 'failed',
      failure: new PermanentError('The plugin returned no outcome for this event.', { code: 'PLUGIN_MISSING_OUTCOME' }),
      exchange: undefined,
    };
  }
  if (outcome.status === 'delivered') return { status: 'delivered', exchange: outcome.exchange };
  const failure: LaneFailure = isDeliveryError(outcome.error)
    ? outcome.error
    : {
        kind: 'bug',
        code: 'PLUGIN_THREW',
        message: `The plugin failed an event with something that is none of the three errors: ${String(outcome.error)}`,
      };
  return { status: 'failed', failure, exchange: outcome.exchange };
}

/** What a call says of the destination: one event that arrived, or was refused for itself, shows that somebody is there. */
function tell(permit: Permit, results: readonly ItemResult[]): void {
  let ofDestination: DeliveryError | undefined;
  for (const result of results) {
    if (result.status === 'delivered' || (result.status === 'failed' && result.failure.kind === 'permanent'))
      return permit.succeeded();
    if (result.status === 'failed' && result.failure.kind !== 'bug' && result.failure.kind !== 'permanent')
      ofDestination ??= result.failure;
  }
  if (ofDestination === undefined) permit.released();
  else permit.failed(ofDestination);
}
