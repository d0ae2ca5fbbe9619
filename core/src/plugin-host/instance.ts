import { setTimeout as sleep } from 'node:timers/promises';
import type { Lifecycle, Logger } from '@switchyard/plugin-sdk';
import { callAtOnce, callContained, type CallLimits } from './call.ts';
import { bug, isTimeout, type CallFailure, type CallResult, type Fault } from './failure.ts';
import { FaultLog } from './fault-log.ts';
import { nextDelay, statusAfter, type InstanceStatus, type OpenTiming } from './opening.ts';
import type { PluginScope } from './scope.ts';

export interface InstanceTiming extends OpenTiming {
  /** For one `open`, and for the `close` of an object that was given up. */
  readonly openDeadlineMs: number;
  /** How long a call may go on after its signal was aborted before it is left to itself. */
  readonly graceMs: number;
}

const TIMING: InstanceTiming = { firstRetryMs: 1_000, longestRetryMs: 60_000, openDeadlineMs: 30_000, graceMs: 2_000 };
/** Of the time that `close` has: the rest is for the plugin's own `close`. */
const DRAIN_SHARE = 0.8;
const LEAST_CLOSE_MS = 1_000;

export interface InstanceParts<Plugin extends Lifecycle> {
  readonly scope: PluginScope;
  /** Makes the plugin's object: decrypts and checks the configuration, calls the definition's `create`. May throw anything. */
  readonly create: () => Plugin;
  readonly logger: Logger;
  readonly onFault: (fault: Fault) => void;
  readonly timing?: Partial<InstanceTiming>;
}

interface RunningCall {
  readonly abort: () => void;
  readonly endless: boolean;
  readonly done: Promise<unknown>;
}

/**
 * The life of one source, transform node or destination: created, opened (again and again until it works), called, closed.
 *
 * Guarantees: no method throws or rejects, whatever the plugin does, unless it blocks the thread (`containEscapes` in scope.ts lists what cannot be
 * contained). `open` succeeds once before the first call and no call reaches the plugin once `close` has begun, which
 * ends within its deadline and the grace periods.
 */
export class PluginInstance<Plugin extends Lifecycle> {
  readonly scope: PluginScope;
  /** Resolves when the instance has opened, or was closed before it could. Never rejects. */
  readonly ready: Promise<'open' | 'closed'>;
  readonly #create: () => Plugin;
  readonly #timing: InstanceTiming;
  readonly #logger: Logger;
  readonly #faults: FaultLog;
  readonly #running = new Set<RunningCall>();
  readonly #closing = new AbortController();
  readonly #resolveReady: (state: 'open' | 'closed') => void;
  #status: InstanceStatus = { state: 'created' };
  #plugin: Plugin | undefined;
  #opening: Promise<void> | undefined;
  #closed: Promise<boolean> | undefined;

  constructor({ scope, create, logger, onFault, timing }: InstanceParts<Plugin>) {
    this.scope = scope;
    this.#create = create;
    this.#logger = logger;
    this.#timing = { ...TIMING, ...timing };
    this.#faults = new FaultLog(logger, onFault);
    const { promise, resolve } = Promise.withResolvers<'open' | 'closed'>();
    this.ready = promise;
    this.#resolveReady = resolve;
  }

  get status(): InstanceStatus {
    return this.#status;
  }

  /** Begins to open in the background. A second call, and a call after `close`, does nothing. */
  start(): void {
    if (this.#closing.signal.aborted) return;
    this.#opening ??= this.#open();
  }

  /** Calls the open plugin. `name` is for people: `deliver`, `apply`. */
  async call<Value>(
    name: string,
    run: (plugin: Plugin, signal: AbortSignal) => Value | PromiseLike<Value>,
    limits: CallLimits,
  ): Promise<CallResult<Value>> {
    const plugin = this.#openPlugin();
    if (plugin === undefined) return { ok: false, failure: { reason: 'not_open' } };
    const controller = new AbortController();
    const abort = (): void => controller.abort(limits.signal?.reason);
    if (limits.signal?.aborted === true) abort();
    limits.signal?.addEventListener('abort', abort, { once: true });
    const done = this.#contained(name, (signal) => run(plugin, signal), { ...limits, signal: controller.signal });
    const call: RunningCall = { abort, endless: limits.deadlineMs === null, done };
    this.#running.add(call);
    const result = await done;
    this.#running.delete(call);
    limits.signal?.removeEventListener('abort', abort);
    return result;
  }

  /** Calls a part of the open plugin that answers at once, such as a source's `receive`. */
  callAtOnce<Value>(name: string, run: (plugin: Plugin) => Value): CallResult<Value> {
    const plugin = this.#openPlugin();
    if (plugin === undefined) return { ok: false, failure: { reason: 'not_open' } };
    return this.#noted(
      name,
      callAtOnce(this.scope, this.#what(name), () => run(plugin)),
    );
  }

  /**
   * Calls an object of its own that is never opened and is closed afterwards: for `check`, which must work before and beside the
   * open instance. Works in every state.
   */
  async probe<Value>(
    name: string,
    run: (plugin: Plugin, signal: AbortSignal) => Value | PromiseLike<Value>,
    limits: CallLimits,
  ): Promise<CallResult<Value>> {
    const made = this.#make();
    if (!made.ok) return made;
    const result = await this.#contained(name, (signal) => run(made.value, signal), limits);
    void this.#closeObject(made.value, this.#timing.openDeadlineMs);
    return result;
  }

  /** Notes a result of the wrong shape, as the other faults are noted. */
  badResult(name: string, message: string): CallFailure {
    const failure = bug('PLUGIN_MISSING_OUTCOME', `${this.#what(name)} ${message}`);
    this.#faults.note('bad_result', name, `${this.#what(name)} ${message}`, undefined);
    return failure;
  }

  /**
   * Lets calls under way finish, aborts those that do not, and closes the plugin, all within about `deadlineMs`. Calls without a deadline are
   * aborted at once. False when something had to be aborted or left behind. Every call gets the first one's promise.
   */
  close(deadlineMs: number): Promise<boolean> {
    this.#closed ??= this.#close(deadlineMs);
    return this.#closed;
  }

  async #open(): Promise<void> {
    this.#status = { state: 'opening', reason: 'It is being opened for the first time.' };
    for (let attempt = 1; ; attempt++) {
      const failure = await this.#tryOpen();
      if (this.#closing.signal.aborted) return;
      if (failure === undefined) {
        this.#status = { state: 'open' };
        this.#resolveReady('open');
        return;
      }
      const delayMs = nextDelay(failure, attempt, this.#timing);
      this.#status = statusAfter(failure, new Date(Date.now() + delayMs));
      this.#logger.warn('A plugin did not open; it is tried again.', {
        attempt,
        next_attempt_in_ms: Math.round(delayMs),
        status: this.#status,
      });
      await sleep(delayMs, undefined, { signal: this.#closing.signal }).catch(() => undefined);
    }
  }

  async #tryOpen(): Promise<CallFailure | undefined> {
    if (this.#plugin === undefined) {
      const made = this.#make();
      if (!made.ok) return made.failure;
      this.#plugin = made.value;
    }
    const plugin = this.#plugin;
    const result = await this.#contained('open', (signal) => plugin.open?.(signal), {
      signal: this.#closing.signal,
      deadlineMs: this.#timing.openDeadlineMs,
    });
    if (result.ok) return undefined;
    if (isTimeout(result.failure)) {
      // It may still be opening. The next attempt gets an object of its own rather than a second `open` beside the first.
      void this.#closeObject(plugin, this.#timing.openDeadlineMs);
      this.#plugin = undefined;
    }
    return result.failure;
  }

  async #close(deadlineMs: number): Promise<boolean> {
    const until = performance.now() + deadlineMs;
    this.#status = { state: 'closed' };
    this.#closing.abort();
    this.#resolveReady('closed');
    for (const call of this.#running) if (call.endless) call.abort();
    await this.#opening;
    const drained = await this.#drain(deadlineMs * DRAIN_SHARE);
    const plugin = this.#plugin;
    this.#plugin = undefined;
    if (plugin === undefined) return drained;
    return (await this.#closeObject(plugin, Math.max(until - performance.now(), LEAST_CLOSE_MS))) && drained;
  }

  async #drain(ms: number): Promise<boolean> {
    const all = Promise.all([...this.#running].map(({ done }) => done));
    const timer = new AbortController();
    const late = sleep(ms, true, { signal: timer.signal }).catch(() => false);
    const isLate = await Promise.race([all.then(() => false), late]);
    timer.abort();
    if (!isLate) return true;
    for (const call of this.#running) call.abort();
    await all;
    return false;
  }

  async #closeObject(plugin: Plugin, deadlineMs: number): Promise<boolean> {
    const { ok } = await this.#contained('close', (signal) => plugin.close?.(signal), { deadlineMs });
    return ok;
  }

  #make(): CallResult<Plugin> {
    const made = this.#noted('create', callAtOnce(this.scope, this.#what('create'), this.#create));
    if (!made.ok || (typeof made.value === 'object' && made.value !== null)) return made;
    return { ok: false, failure: this.badResult('create', 'returned nothing that could be called') };
  }

  #openPlugin(): Plugin | undefined {
    return this.#status.state === 'open' ? this.#plugin : undefined;
  }

  async #contained<Value>(
    name: string,
    run: (signal: AbortSignal) => Value | PromiseLike<Value>,
    limits: CallLimits,
  ): Promise<CallResult<Value>> {
    const { graceMs } = this.#timing;
    return this.#noted(name, await callContained(this.scope, this.#what(name), run, { graceMs, ...limits }));
  }

  #noted<Value>(name: string, result: CallResult<Value>): CallResult<Value> {
    if (result.ok) return result;
    const { failure } = result;
    if (failure.reason === 'bug') this.#faults.note('threw', name, failure.error.message, failure.error.cause);
    else if (isTimeout(failure)) this.#faults.note('timed_out', name, failure.error.message, undefined);
    return result;
  }

  #what(name: string): string {
    return `"${name}" of the ${this.scope.kind} plugin "${this.scope.type}"`;
  }
}
