import type { HttpClient, HttpRequest, HttpResponse } from '@switchyard/plugin-sdk';
import { parseAllowList, type AllowList } from './address.ts';
import { guardedConnector } from './connector.ts';
import { Exchange } from './exchange.ts';
import { wireHeaders } from './headers.ts';
import { Origins, type Origin } from './origins.ts';
import { cachedLookup, lookupInSystem, type Lookup } from './resolver.ts';
import { checkOrigin, parseTarget } from './url.ts';

const DEFAULT_TIMEOUT_MS = 15_000;
const MAX_TIMEOUT_MS = 60_000;
const CONNECT_TIMEOUT_MS = 5_000;
const MAX_IDLE_ORIGINS = 512;

export interface HttpClientOptions {
  /** CIDR ranges that may be reached besides public addresses. A range that cannot be read throws here, at start. */
  readonly allow: readonly string[];
  /** How names become addresses; the system's look-up, remembered for half a minute, unless given. */
  readonly lookup?: Lookup;
  /** How many requests may be under way to one origin; more wait their turn, within their deadline. */
  readonly connectionsPerOrigin?: number;
}

export interface HttpClientHandle {
  readonly client: HttpClient;
  /** Takes no more requests; resolves when those under way have had their answer or their deadline. */
  readonly close: () => Promise<void>;
}

/**
 * The client behind every plugin's `ctx.http`: see `HttpClient` for what it promises. A few things that it does not do are meant:
 *
 * - **It never sends a request twice.** A server may close an idle connection at the very moment when a request goes out on it; nobody
 *   can know whether it read the request. That is `CONNECTION_LOST`, retryable, and the next attempt is core's to make and
 *   to record. The window is small: idle connections are dropped after 4 s, or 2 s before the time that the server names in
 *   `Keep-Alive`, and an idle socket is looked at once more before a request is written to it.
 * - **It uses no proxy.** Behind a forward proxy the far end of the socket is the proxy, and the check would have to live there.
 */
export function createHttpClient(options: HttpClientOptions): HttpClientHandle {
  const allow = parseAllowList(options.allow);
  const lookup = options.lookup ?? cachedLookup(lookupInSystem, { freshMs: 30_000, staleMs: 300_000, maxNames: 1_000 });
  const connect = guardedConnector(allow, lookup, CONNECT_TIMEOUT_MS);
  const client = new GuardedClient(allow, new Origins(connect, options.connectionsPerOrigin ?? 128, MAX_IDLE_ORIGINS));
  return { client, close: () => client.close() };
}

class GuardedClient implements HttpClient {
  readonly #allow: AllowList;
  readonly #origins: Origins;

  constructor(allow: AllowList, origins: Origins) {
    this.#allow = allow;
    this.#origins = origins;
  }

  async request(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    const target = parseTarget(request.url);
    const headers = wireHeaders(request.headers);
    const origin = this.#origin(target);
    const timeoutMs = deadlineOf(request);
    return new Promise((resolve, reject) => {
      const onReleased = (): void => this.#origins.release(origin);
      const exchange = new Exchange({ target, signal, timeoutMs, resolve, reject, onReleased });
      this.#origins.acquire(origin);
      // Never throws: what is wrong comes back through the exchange.
      origin.pool.dispatch(
        { method: request.method, path: target.pathname + target.search, headers, body: request.body ?? null },
        exchange,
      );
    });
  }

  close(): Promise<void> {
    return this.#origins.close();
  }

  #origin(target: URL): Origin {
    const known = this.#origins.find(target.origin);
    if (known !== undefined) return known;
    checkOrigin(target, this.#allow);
    return this.#origins.add(target.origin);
  }
}

function deadlineOf({ timeoutMs = DEFAULT_TIMEOUT_MS }: HttpRequest): number {
  return timeoutMs > 0 ? Math.min(Math.max(1, timeoutMs), MAX_TIMEOUT_MS) : DEFAULT_TIMEOUT_MS;
}
