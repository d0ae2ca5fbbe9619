import type { HttpResponse } from '@switchyard/plugin-sdk';
import type { Dispatcher } from 'undici';
import { deadlinePassed, toFailure, type Stage } from './failure.ts';

const MAX_BODY_BYTES = 65_536;

/** What undici is told when a request is given up. Nobody sees it: the caller has had its own reason. */
const ABANDONED = new Error('the request was given up');

interface ExchangeOptions {
  readonly target: URL;
  readonly signal: AbortSignal;
  readonly timeoutMs: number;
  readonly resolve: (response: HttpResponse) => void;
  readonly reject: (reason: unknown) => void;
  /** Called exactly once, when undici has let go of the request: later than the answer when the request was given up while it waited. */
  readonly onReleased: () => void;
}

/**
 * One request and its answer, as undici's dispatch reports them. Settles exactly once: with the answer, the failure, the deadline
 * or the abort, whichever is first; the timer and the listener are gone at that moment, and the socket of an answer
 * that is not complete is destroyed.
 *
 * It takes the place of `Pool.request`, which makes a stream, an async resource and an abort listener for every answer: for answers of a
 * few bytes, those cost more than the request.
 */
export class Exchange implements Dispatcher.DispatchHandler {
  readonly #options: ExchangeOptions;
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  #controller: Dispatcher.DispatchController | undefined;
  #settled = false;
  #status = 0;
  #headers: Record<string, string> = {};
  readonly #chunks: Buffer[] = [];
  #size = 0;

  constructor(options: ExchangeOptions) {
    this.#options = options;
    this.#timer = setTimeout(expire, options.timeoutMs, this);
    options.signal.addEventListener('abort', this);
  }

  /** The caller's signal fired. */
  handleEvent(): void {
    this.#giveUp(this.#options.signal.reason);
  }

  expire(): void {
    const { target, timeoutMs } = this.#options;
    this.#giveUp(deadlinePassed(target, this.#stage, timeoutMs));
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Given up while it waited for a connection. Throwing keeps the connection for the next request; aborting would close it.
    if (this.#settled) throw ABANDONED;
    this.#controller = controller;
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    status: number,
    headers: Readonly<Record<string, string | string[] | undefined>>,
  ): void {
    // 1xx: the answer itself is still to come.
    if (status < 200) return;
    this.#status = status;
    this.#headers = joined(headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (this.#settled) return;
    const room = MAX_BODY_BYTES - this.#size;
    this.#chunks.push(chunk.length > room ? chunk.subarray(0, room) : chunk);
    this.#size += Math.min(chunk.length, room);
    if (chunk.length <= room) return;
    // The status counts, the rest is of no use: without this, whoever answers could keep us reading for ever.
    this.#answer(true);
    controller.abort(ABANDONED);
  }

  onResponseEnd(): void {
    if (!this.#settled) this.#answer(false);
    this.#options.onReleased();
  }

  onResponseError(_controller: Dispatcher.DispatchController | null, error: Error): void {
    if (!this.#settled) {
      this.#settle();
      this.#options.reject(toFailure(error, this.#options.target, this.#stage));
    }
    this.#options.onReleased();
  }

  get #stage(): Stage {
    if (this.#controller === undefined) return 'connecting';
    return this.#status === 0 ? 'waiting' : 'reading';
  }

  #answer(truncated: boolean): void {
    this.#settle();
    const [only] = this.#chunks;
    this.#options.resolve({
      status: this.#status,
      headers: this.#headers,
      body: only !== undefined && this.#chunks.length === 1 ? only : Buffer.concat(this.#chunks),
      truncated,
      durationMs: performance.now() - this.#startedAt,
    });
  }

  #giveUp(reason: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#options.reject(reason);
    this.#controller?.abort(ABANDONED);
  }

  #settle(): void {
    this.#settled = true;
    clearTimeout(this.#timer);
    this.#options.signal.removeEventListener('abort', this);
  }
}

function expire(exchange: Exchange): void {
  exchange.expire();
}

function joined(headers: Readonly<Record<string, string | string[] | undefined>>): Record<string, string> {
  // No prototype: a header may be called __proto__ or constructor.
  const lines: Record<string, string> = Object.create(null);
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) lines[name] = typeof value === 'string' ? value : value.join(', ');
  }
  return lines;
}
