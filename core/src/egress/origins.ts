import { RetryableError } from '@switchyard/plugin-sdk';
import { Pool, type buildConnector } from 'undici';

const KEEP_ALIVE_MAX_MS = 60_000;
const MAX_HEADER_BYTES = 16_384;

/** One pool of connections, and how many requests use it. */
export class Origin {
  readonly pool: Pool;
  readonly name: string;
  inUse = 0;

  constructor(name: string, pool: Pool) {
    this.name = name;
    this.pool = pool;
  }
}

/**
 * One pool an origin. Origins that nobody uses are kept for the next request, up to `maxIdle`; beyond that, the one
 * that was used longest ago is closed. Origins in use are bounded by the requests that are under way.
 */
export class Origins {
  readonly #open = new Map<string, Origin>();
  /** In the order in which they fell idle. */
  readonly #idle = new Map<string, Origin>();
  readonly #connect: buildConnector.connector;
  readonly #connections: number;
  readonly #maxIdle: number;
  readonly #closing = new Set<Promise<void>>();
  #isClosed = false;

  constructor(connect: buildConnector.connector, connections: number, maxIdle: number) {
    this.#connect = connect;
    this.#connections = connections;
    this.#maxIdle = maxIdle;
  }

  find(name: string): Origin | undefined {
    return this.#open.get(name);
  }

  add(name: string): Origin {
    if (this.#isClosed) {
      throw new RetryableError('The router is shutting down: the request was not sent.', { code: 'CLIENT_CLOSED' });
    }
    const pool = new Pool(name, {
      connect: this.#connect,
      connections: this.#connections,
      allowH2: false,
      pipelining: 1,
      maxHeaderSize: MAX_HEADER_BYTES,
      // The request has one deadline of its own; undici's are per chunk.
      headersTimeout: 0,
      bodyTimeout: 0,
      // A server may ask for less than this, not for more.
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
    });
    const origin = new Origin(name, pool);
    this.#open.set(name, origin);
    return origin;
  }

  acquire(origin: Origin): void {
    if (origin.inUse === 0) this.#idle.delete(origin.name);
    origin.inUse += 1;
  }

  release(origin: Origin): void {
    origin.inUse -= 1;
    if (origin.inUse > 0) return;
    this.#idle.set(origin.name, origin);
    if (this.#idle.size <= this.#maxIdle) return;
    for (const oldest of this.#idle.values()) {
      this.#close(oldest);
      return;
    }
  }

  /** Resolves when every request has had its answer or its deadline. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const origin of this.#open.values()) this.#close(origin);
    await Promise.all(this.#closing);
  }

  #close(origin: Origin): void {
    this.#open.delete(origin.name);
    this.#idle.delete(origin.name);
    const closed = origin.pool.close().finally(() => this.#closing.delete(closed));
    this.#closing.add(closed);
  }
}
