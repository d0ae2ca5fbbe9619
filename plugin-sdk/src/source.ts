import type { PluginMeta } from './config.ts';
import type { Lifecycle, PluginContext } from './context.ts';
import type { EventDraft, EventId, Json } from './event.ts';
import type { TSchema } from 'typebox';

/** A path that core serves for every source of this type, on the ingestion port. */
export interface SourceRoute {
  /** Names the route in `SourceRequest.route`. */
  readonly name: string;
  readonly method: 'GET' | 'POST';
  /** Absolute and literal: `/api/v1/events`. Both `/x` and `/x/` are served; there is never a redirect. */
  readonly path: string;
  readonly summary: string;
  /** For the OpenAPI document; ingress validates drafts itself. */
  readonly body?: TSchema;
  readonly responses: Readonly<Record<number, TSchema>>;
}

/**
 * A request that passed the edge: within the limits, inflated, valid UTF-8, no deeper than allowed, no `__proto__`.
 */
export interface SourceRequest {
  readonly route: string;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly query: Readonly<Record<string, string | undefined>>;
  /**
   * The parsed JSON body; undefined when there was none. It must not be changed: a draft that is a part of it is stored as it is, without a copy.
   */
  readonly body: Json | undefined;
  readonly ip: string;
}

/** What ingress says of one draft, in the order of the drafts. */
export type DraftResult =
  | { readonly ok: true; readonly id: EventId }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

export interface SourceReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: Json;
}

/**
 * - `accept`: core makes the valid drafts durable, and only then calls `reply` with one result a draft. A reply must not say more than the results do.
 * - `reject`: nothing is stored; core answers with its error shape.
 * - `challenge`: an answer without events (handshakes, settings).
 */
export type Receipt =
  | {
      readonly action: 'accept';
      readonly drafts: readonly unknown[];
      readonly reply: (results: readonly DraftResult[]) => SourceReply;
    }
  | { readonly action: 'reject'; readonly status: number; readonly code: string; readonly message: string }
  | { readonly action: 'challenge'; readonly reply: SourceReply };

/** A source that is called. */
export interface PushSource extends Lifecycle {
  /** Pure and fast: it stands between every request and its 202. */
  receive(request: SourceRequest): Receipt;
}

/** A source that calls. */
export interface PullSource extends Lifecycle {
  /**
   * Runs until `signal` aborts. `emit` resolves once the drafts are on stable storage: acknowledge upstream only then. A throw is retried
   * with backoff by the rules of the three errors.
   */
  run(emit: (drafts: readonly EventDraft[]) => Promise<readonly DraftResult[]>, signal: AbortSignal): Promise<void>;
}

export interface SourceDefinition<Config> extends PluginMeta<Config> {
  readonly kind: 'source';
  /** What a push source serves. A pull source has none. */
  readonly routes: readonly SourceRoute[];
  /** Finds the API key in a request, wherever this source's clients put it. */
  credential(request: SourceRequest): string | undefined;
  validate?(config: Config): void;
  /** Pure: no I/O, no timers. */
  create(config: Config, context: PluginContext): PushSource | PullSource;
}

export function defineSource<Config>(definition: Omit<SourceDefinition<Config>, 'kind'>): SourceDefinition<Config> {
  return { kind: 'source', ...definition };
}
