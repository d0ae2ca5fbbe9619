import type { Kysely } from 'kysely';
import type { Json } from './event.ts';

/** Structured log, already labelled with the plugin, its instance and the project. */
export interface Logger {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/**
 * Prometheus metrics, already labelled with `plugin` and `instance`. Names are snake_case without a prefix (core puts
 * `switchyard_plugin_` in front); the same name always means the same metric.
 */
export interface Metrics {
  counter(name: string, help: string): { inc(by?: number): void };
  gauge(name: string, help: string): { set(value: number): void };
  /** In seconds, unless the help says otherwise. */
  histogram(name: string, help: string, buckets?: readonly number[]): { observe(value: number): void };
}

export interface HttpRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** http or https, without user information. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Uint8Array;
  /** The whole exchange: name look-up, connection, headers and body. At most 60,000; 15,000 unless given. */
  readonly timeoutMs?: number;
}

export interface HttpResponse {
  readonly status: number;
  /** Lower-case names; repeated headers are joined with ", ". */
  readonly headers: Readonly<Record<string, string>>;
  /** The first 64 KiB, as they came: nothing is decompressed. */
  readonly body: Uint8Array;
  /** Whether the body was longer than what is kept. */
  readonly truncated: boolean;
  readonly durationMs: number;
}

/**
 * The only way out. Guarantees: addresses that are not public are refused at look-up and again at connect, unless the operator
 * allowed the range; redirects are not followed; the deadline is total; the response is capped; one connection pool an origin.
 *
 * Every status is an answer, not an error. Rejects with `RetryableError` when there was no answer (codes `DNS_FAILED`,
 * `CONNECTION_REFUSED`, `CONNECTION_LOST`, `TLS_FAILED`, `TIMED_OUT`, …), with `ConfigError` (`ADDRESS_BLOCKED`, `URL_INVALID`) when the
 * address may not be reached, and with the signal's reason when it is aborted.
 */
export interface HttpClient {
  request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse>;
}

/** A small durable key-value store of the instance: cursors of a pull source, tokens. Not for events. */
export interface PluginState {
  get(key: string): Promise<Json | undefined>;
  set(key: string, value: Json): Promise<void>;
  delete(key: string): Promise<void>;
}

/** All that a plugin instance gets from core. A plugin reads no environment variable and opens no global. */
export interface PluginContext {
  readonly project: { readonly id: string };
  /** The source, transform node or destination that this instance serves. Its id is stable over restarts and configuration changes. */
  readonly instance: { readonly id: string; readonly name: string };
  readonly logger: Logger;
  readonly metrics: Metrics;
  readonly http: HttpClient;
  readonly state: PluginState;
  /**
   * The store in which the project lives; `withTables<T>()` types it. Reading this property throws unless the definition
   * declares `requires: ['database']`.
   */
  readonly database: Kysely<unknown>;
}

/** What every instance may have. `create` made it without I/O and without timers. */
export interface Lifecycle {
  /** The first I/O. Core calls it once before anything else and retries it with backoff until it resolves. */
  open?(signal: AbortSignal): Promise<void>;
  /** Finishes what is under way and frees everything. May be called twice, also without `open`, and also while work is under way. */
  close?(signal: AbortSignal): Promise<void>;
}
