import type { BatchPosition, DeliveryItem } from '@switchyard/plugin-sdk';
import type { LogEvent } from '../log/event-log.ts';
import { runPlan, type PlanResult } from '../pipeline/run.ts';
import type { Carried, Sent } from './fold.ts';
import type { Ending, LaneCall } from './lane.ts';
import type { RunningPlan, Subscription } from './subscription.ts';

/** Runs the events of a chunk through the plan. Rejects as `runPlan` does. */
export async function carry(
  events: readonly LogEvent[],
  running: RunningPlan,
  signal: AbortSignal,
): Promise<readonly Carried[]> {
  const results: readonly PlanResult[] = await runPlan(running.plan, running.transforms, events, signal);
  return events.map((source, index) => {
    const plan = results[index] ?? { outputs: [], failures: [], drops: [] };
    const sent = plan.outputs.map((payload, output): Sent => ({
      payload,
      output,
      result: null,
      probe: false,
      startedAt: 0,
      durationMs: 0,
    }));
    return { source, plan, sent };
  });
}

const itemOf = ({ source }: Carried, { payload }: Sent): DeliveryItem => ({
  id: payload.id,
  event: payload,
  offset: source.offset,
  attempt: 1,
});

function note(sent: Sent, call: LaneCall, index: number): void {
  sent.result = call.results[index] ?? { status: 'requeued' };
  sent.probe = call.probe;
  sent.startedAt = call.startedAt;
  sent.durationMs = call.durationMs;
}

/** Delivers a chunk to a destination that takes its batches in any order, or in order of key. Never rejects. */
export async function deliverFreely(
  carried: readonly Carried[],
  subscription: Subscription,
  keys: KeyChains | null,
  ending: Ending,
): Promise<void> {
  const work = carried.flatMap((one) => one.sent.map((sent) => ({ one, sent })));
  const calls: Promise<void>[] = [];
  if (keys !== null) blockFailed(carried, subscription);
  const size = keys === null ? subscription.destination.capabilities.batch.maxEvents : 1;
  for (let from = 0; from < work.length; from += size) {
    const batch = work.slice(from, from + size);
    const send = async (): Promise<void> => {
      const call = await subscription.lane.deliver(
        batch.map(({ one, sent }) => itemOf(one, sent)),
        null,
        ending,
      );
      for (const [index, { sent }] of batch.entries()) note(sent, call, index);
    };
    const [first] = batch;
    const orderKey = keys === null ? null : (first?.one.source.event.user_id ?? null);
    if (keys === null || orderKey === null || first === undefined) calls.push(send());
    else calls.push(keys.after(orderKey, () => sendInOrder(orderKey, first.sent, subscription, send)));
  }
  await Promise.all(calls);
}

/** An event whose transform is to be tried again holds back its key as well. */
function blockFailed(carried: readonly Carried[], subscription: Subscription): void {
  for (const { source, plan } of carried) {
    const [failed] = plan.failures;
    if (failed !== undefined && failed.error.kind !== 'permanent' && source.event.user_id !== null)
      subscription.block(source.event.user_id);
  }
}

/** An event whose key waits for an earlier one is not tried: it goes to the retry table behind it. */
async function sendInOrder(
  orderKey: string,
  sent: Sent,
  subscription: Subscription,
  send: () => Promise<void>,
): Promise<void> {
  if (subscription.blockedKeys.has(orderKey)) sent.result = 'held';
  else await send();
  const { result } = sent;
  const waits =
    result === 'held' ||
    result === null ||
    result.status === 'requeued' ||
    (result.status === 'failed' && result.failure.kind !== 'permanent');
  if (waits) subscription.block(orderKey);
}

/** Runs the deliveries of a key one after the other. Lives as long as a pump: chunks that overlap keep their order. */
export class KeyChains {
  private readonly tails = new Map<string, Promise<void>>();

  after(key: string, work: () => Promise<void>): Promise<void> {
    const tail = (this.tails.get(key) ?? Promise.resolve()).then(work);
    this.tails.set(key, tail);
    const done = (): void => {
      if (this.tails.get(key) === tail) this.tails.delete(key);
    };
    tail.then(done, done);
    return tail;
  }
}

/** How long an in-place redelivery waits when the breaker lets it through. */
const IN_PLACE = { first: 250, most: 10_000 };
const BUG_ATTEMPTS = 3;

/**
 * Delivers a chunk to a store: one batch, in place. A batch that throws for an outage or a wrong configuration is delivered again with the same
 * position, for as long as it takes; rejects when that is until the end of the process. One that throws by a bug is halved until the event that provokes it stands alone; that one is parked.
 */
export async function deliverInPlace(
  carried: readonly Carried[],
  subscription: Subscription,
  partition: string,
  wait: (ms: number) => Promise<void>,
  ending: Ending,
): Promise<void> {
  const items = carried.flatMap((one) => one.sent.map((sent) => itemOf(one, sent)));
  const halve = async (): Promise<void> => {
    const half = Math.ceil(carried.length / 2);
    await deliverInPlace(carried.slice(0, half), subscription, partition, wait, ending);
    await deliverInPlace(carried.slice(half), subscription, partition, wait, ending);
  };
  // Transforms may have made more of the chunk than a batch holds. Cut between events: a position never ends within one.
  if (carried.length > 1 && items.length > subscription.destination.capabilities.batch.maxEvents) return halve();
  const first = items[0]?.offset;
  const last = items.at(-1)?.offset;
  if (first === undefined || last === undefined) return;
  const position: BatchPosition = { subscription: subscription.key.id, partition, first, last };
  let backoff = IN_PLACE.first;
  for (let bugs = 0; ;) {
    const call = await subscription.lane.deliver(items, position, ending);
    const [result] = call.results;
    if (call.whole && ending.stop.aborted) throw ending.stop.reason as Error;
    const failure = call.whole && result?.status === 'failed' ? result.failure : null;
    if (failure?.kind === 'bug') bugs += 1;
    const requeued = call.whole && result?.status === 'requeued';
    const again =
      requeued ||
      failure?.kind === 'retryable' ||
      failure?.kind === 'config' ||
      (failure?.kind === 'bug' && bugs < BUG_ATTEMPTS);
    if (!again) {
      if (failure?.kind === 'bug' && carried.length > 1) return halve();
      let index = 0;
      for (const { sent } of carried) for (const one of sent) note(one, call, index++);
      return;
    }
    await wait(backoff);
    backoff = Math.min(backoff * 2, IN_PLACE.most);
  }
}
