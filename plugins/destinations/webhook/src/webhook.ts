import { randomUUID } from 'node:crypto';
import {
  delivered,
  errorFromStatus,
  failed,
  isDeliveryError,
  type CheckResult,
  type DeliveryBatch,
  type DeliveryError,
  type DeliveryOutcome,
  type DeliveryOutcomes,
  type Destination,
  type Event,
  type EventId,
  type Exchange,
  type HttpResponse,
  type PluginContext,
} from '@switchyard/plugin-sdk';
import { DEFAULT_TIMEOUT_MS, type WebhookConfig } from './config.ts';
import { Recorder } from './exchange.ts';
import { parseKey, signature, type SigningKey } from './signing.ts';

/** What became of one request: an answer that counts as delivered, or the error that says why not. */
type Attempt =
  | { readonly error: null; readonly response: HttpResponse; readonly exchange: Exchange }
  | { readonly error: DeliveryError; readonly response?: HttpResponse; readonly exchange: Exchange };

/** Everything that does not change from event to event is made here, once: keys, headers, the words of the exchange. */
export class Webhook implements Destination {
  readonly #url: string;
  readonly #timeoutMs: number;
  readonly #context: PluginContext;
  readonly #keys: readonly SigningKey[];
  readonly #fixedHeaders: Readonly<Record<string, string>>;
  readonly #recorder: Recorder;

  constructor(config: WebhookConfig, context: PluginContext) {
    const { url, secret, previous_secret: previous, authorization, headers, timeout_ms: timeoutMs } = config;
    this.#url = url;
    this.#timeoutMs = timeoutMs ?? DEFAULT_TIMEOUT_MS;
    this.#context = context;
    this.#keys = [
      ...(secret === undefined ? [] : [parseKey(secret, 'secret')]),
      ...(previous === undefined ? [] : [parseKey(previous, 'previous_secret')]),
    ];
    this.#fixedHeaders = {
      'content-type': 'application/json',
      'user-agent': 'Switchyard/1 (webhook)',
      ...headers,
      ...(authorization === undefined ? {} : { authorization }),
    };
    const secrets = [secret, previous, authorization].filter((text) => text !== undefined);
    this.#recorder = new Recorder(new URL(url), this.#fixedHeaders, secrets);
  }

  async deliver(batch: DeliveryBatch, signal: AbortSignal): Promise<DeliveryOutcomes> {
    const outcomes = new Map<EventId, DeliveryOutcome>();
    for (const { id, event } of batch.items) {
      const { error, exchange } = await this.#post(id, event, signal);
      outcomes.set(id, error === null ? delivered(exchange) : failed(error, exchange));
    }
    return outcomes;
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const event = testEvent();
    const { error, response, exchange } = await this.#post(event.id, event, signal);
    if (error !== null) return { ok: false, message: error.message, exchange };
    const took = `${Math.round(response.durationMs)} ms`;
    const message = `The endpoint answered ${response.status} to a switchyard.test event in ${took}.${this.#keysInWords()}`;
    return { ok: true, message, exchange };
  }

  /** Sends one event. Rejects only when the signal aborts, or for a bug. */
  async #post(id: EventId, event: Event, signal: AbortSignal): Promise<Attempt> {
    const json = JSON.stringify(event);
    // The very bytes that are sent are the ones that are signed.
    const body = Buffer.from(json, 'utf8');
    const own = this.#ownHeaders(id, body);
    const exchange = this.#recorder.request(own, json);
    try {
      const response = await this.#context.http.request(
        {
          method: 'POST',
          url: this.#url,
          headers: { ...this.#fixedHeaders, ...own },
          body,
          timeoutMs: this.#timeoutMs,
        },
        signal,
      );
      // An error repeats where a redirect leads to, and that may repeat what we sent.
      const error = errorFromStatus(this.#recorder.withMaskedLocation(response));
      return { error, response, exchange: this.#recorder.withResponse(exchange, response) };
    } catch (error) {
      // The signal's reason is the one thing that the client throws beside the three errors.
      if (!isDeliveryError(error)) throw error;
      return { error, exchange };
    }
  }

  #ownHeaders(id: EventId, body: Uint8Array): Record<string, string> {
    // The wall clock, at each attempt: receivers refuse what is minutes old.
    const timestamp = String(Math.floor(Date.now() / 1000));
    const headers: Record<string, string> = { 'webhook-id': id, 'webhook-timestamp': timestamp };
    if (this.#keys.length > 0) headers['webhook-signature'] = signature(this.#keys, id, timestamp, body);
    return headers;
  }

  #keysInWords(): string {
    const publicKeys = this.#keys.flatMap((key) => (key.scheme === 'v1a' ? [key.publicKey] : []));
    if (publicKeys.length > 0) return ` Its signature can be verified with ${publicKeys.join(' or ')}.`;
    return this.#keys.length === 0 ? ' It was not signed: there is no secret.' : '';
  }
}

function testEvent(): Event {
  const now = new Date().toISOString();
  return {
    id: randomUUID(),
    event_name: 'switchyard.test',
    user_id: null,
    timestamp: now,
    metadata: {},
    received_at: now,
    context: { ip_address: null, user_agent: null },
  };
}
