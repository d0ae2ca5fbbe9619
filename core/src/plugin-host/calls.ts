import { types } from 'node:util';
import {
  PermanentError,
  failed,
  fail,
  isDeliveryError,
  type CheckResult,
  type DeliveryBatch,
  type DeliveryOutcome,
  type DeliveryOutcomes,
  type Destination,
  type Event,
  type EventId,
  type PushSource,
  type Receipt,
  type SourceRequest,
  type Transform,
  type TransformOutcome,
  type TransformOutcomes,
} from '@switchyard/plugin-sdk';
import type { CallLimits } from './call.ts';
import { wellFormed, type CallResult } from './failure.ts';
import type { PluginInstance } from './instance.ts';

/**
 * Delivers a batch. A value has an outcome for every id of the batch and for no other: an id that the plugin left out, or whose outcome has the wrong shape,
 * failed with `PLUGIN_MISSING_OUTCOME`. A result that is no Map at all is a bug of the whole call.
 */
export async function deliver(
  instance: PluginInstance<Destination>,
  batch: DeliveryBatch,
  limits: CallLimits,
): Promise<CallResult<DeliveryOutcomes>> {
  const result = await instance.call<unknown>('deliver', (plugin, signal) => plugin.deliver(batch, signal), limits);
  const ids = batch.items.map(({ id }) => id);
  return readOutcomes(instance, 'deliver', ids, result, readDelivery, failed);
}

/** Runs a batch through a transform. The value is as complete as that of `deliver`; whether an emitted event is valid is for the pipeline to look at. */
export async function apply(
  instance: PluginInstance<Transform>,
  batch: readonly Event[],
  limits: CallLimits,
): Promise<CallResult<TransformOutcomes>> {
  const result = await instance.call<unknown>('apply', (plugin, signal) => plugin.apply(batch, signal), limits);
  const ids = batch.map(({ id }) => id);
  return readOutcomes(instance, 'apply', ids, result, readTransform, fail);
}

/** "Test connection", on an object of its own: works whatever state the instance is in. */
export async function check(
  instance: PluginInstance<Destination>,
  limits: CallLimits,
): Promise<CallResult<CheckResult>> {
  const result = await instance.probe<unknown>('check', (plugin, signal) => plugin.check(signal), limits);
  if (!result.ok) return result;
  if (isCheckResult(result.value)) return { ok: true, value: result.value };
  return { ok: false, failure: instance.badResult('check', 'returned something other than { ok, message }') };
}

/** Reads a request. `reply` of the receipt is plugin code as well: answer through `instance.callAtOnce`. */
export function receive(instance: PluginInstance<PushSource>, request: SourceRequest): CallResult<Receipt> {
  const result = instance.callAtOnce<unknown>('receive', (plugin) => plugin.receive(request));
  if (!result.ok) return result;
  if (isReceipt(result.value)) return { ok: true, value: result.value };
  return {
    ok: false,
    failure: instance.badResult('receive', 'returned something other than accept, reject or challenge'),
  };
}

function readOutcomes<Outcome>(
  instance: Pick<PluginInstance<Destination>, 'badResult'>,
  name: string,
  ids: readonly EventId[],
  result: CallResult<unknown>,
  read: (value: unknown) => Outcome | undefined,
  failWith: (error: PermanentError) => Outcome,
): CallResult<ReadonlyMap<EventId, Outcome>> {
  if (!result.ok) return result;
  const outcomes = result.value;
  if (!types.isMap(outcomes))
    return {
      ok: false,
      failure: instance.badResult(name, 'returned something other than a Map from event id to outcome'),
    };
  const complete = new Map<EventId, Outcome>();
  let missing = 0;
  for (const id of ids) {
    const outcome = readSafely(() => read(Map.prototype.get.call(outcomes, id)));
    if (outcome === undefined) missing++;
    complete.set(
      id,
      outcome ??
        failWith(
          new PermanentError(`The plugin's "${name}" returned no usable outcome for this event.`, {
            code: 'PLUGIN_MISSING_OUTCOME',
          }),
        ),
    );
  }
  if (missing > 0) instance.badResult(name, `returned no usable outcome for ${missing} of ${ids.length} events`);
  return { ok: true, value: complete };
}

/** A getter or proxy may throw when it is looked at. */
function readSafely<Value>(read: () => Value): Value | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function readDelivery(value: unknown): DeliveryOutcome | undefined {
  if (!isObject(value)) return undefined;
  const exchange = isExchange(value['exchange']) ? { exchange: value['exchange'] } : {};
  if (value['status'] === 'delivered') return { status: 'delivered', ...exchange };
  if (value['status'] === 'failed' && isDeliveryError(value['error']))
    return { status: 'failed', error: wellFormed(value['error']), ...exchange };
  return undefined;
}

function readTransform(value: unknown): TransformOutcome | undefined {
  if (!isObject(value)) return undefined;
  const { action, events, reason, error } = {
    action: value['action'],
    events: value['events'],
    reason: value['reason'],
    error: value['error'],
  };
  if (action === 'emit' && Array.isArray(events) && events.length > 0) return { action, events };
  if (action === 'drop' && typeof reason === 'string' && reason !== '') return { action, reason };
  if (action === 'fail' && isDeliveryError(error)) return { action, error: wellFormed(error) };
  return undefined;
}

function isExchange(value: unknown): value is NonNullable<DeliveryOutcome['exchange']> {
  if (!isObject(value) || typeof value['request'] !== 'string') return false;
  const response = value['response'];
  return (
    response === undefined ||
    (isObject(response) && isAnswerStatus(response['status']) && typeof response['body'] === 'string')
  );
}

function isCheckResult(value: unknown): value is CheckResult {
  return isObject(value) && typeof value['ok'] === 'boolean' && typeof value['message'] === 'string';
}

function isReceipt(value: unknown): value is Receipt {
  if (!isObject(value)) return false;
  switch (value['action']) {
    case 'accept':
      return Array.isArray(value['drafts']) && typeof value['reply'] === 'function';
    case 'reject':
      return isStatus(value['status']) && typeof value['code'] === 'string' && typeof value['message'] === 'string';
    case 'challenge':
      return isObject(value['reply']) && isStatus(value['reply']['status']);
    default:
      return false;
  }
}

const isAnswerStatus = (value: unknown): boolean =>
  Number.isInteger(value) && Number(value) >= 100 && Number(value) <= 999;

function isStatus(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 200 && value <= 599;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
