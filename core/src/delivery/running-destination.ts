import type { DeliveryBatch, DeliveryOutcomes, Destination, DestinationCapabilities } from '@switchyard/plugin-sdk';
import type { DestinationStatus } from '../engine.ts';
import { SwitchyardError } from '../errors.ts';
import { deliver } from '../plugin-host/calls.ts';
import type { CallResult } from '../plugin-host/failure.ts';
import type { PluginInstance } from '../plugin-host/instance.ts';
import { Breaker, type OpenBreaker } from './breaker.ts';
import type { DeliveringDestination } from './lane.ts';

/** Longer than any deadline of a plugin's own. */
const DELIVER_DEADLINE_MS = 90_000;
const QUERY_DEADLINE_MS = 30_000;
const CLOSE_MS = 10_000;

/**
 * A destination of a project while it runs: its plugin instance, replaced as a whole when its configuration changes, and its breaker. Shared by every
 * subscription that delivers to it.
 */
export class RunningDestination implements DeliveringDestination {
  readonly breaker: Breaker;

  constructor(
    readonly id: string,
    readonly type: string,
    readonly capabilities: DestinationCapabilities,
    private instance: PluginInstance<Destination>,
    /** When the stored configuration was last changed: what tells that the instance is out of date. */
    public revision: number,
    onBreaker: (state: OpenBreaker | null) => void,
  ) {
    this.breaker = new Breaker(onBreaker);
    instance.start();
  }

  /** Calls that are under way end with the old instance; nothing is lost between the two. */
  replace(instance: PluginInstance<Destination>, revision: number): void {
    const old = this.instance;
    this.instance = instance;
    this.revision = revision;
    instance.start();
    this.breaker.reset();
    void old.close(CLOSE_MS);
  }

  async opened(signal: AbortSignal): Promise<void> {
    for (;;) {
      signal.throwIfAborted();
      const { instance } = this;
      const aborted = new AbortController();
      const onAbort = (): void => aborted.abort();
      signal.addEventListener('abort', onAbort, { once: true });
      await Promise.race([
        instance.ready,
        new Promise((resolve) => aborted.signal.addEventListener('abort', resolve, { once: true })),
      ]);
      signal.removeEventListener('abort', onAbort);
      signal.throwIfAborted();
      if (instance === this.instance) return;
    }
  }

  deliver(batch: DeliveryBatch, signal: AbortSignal): Promise<CallResult<DeliveryOutcomes>> {
    return deliver(this.instance, batch, { signal, deadlineMs: DELIVER_DEADLINE_MS });
  }

  /** The archive's answer, for a destination that keeps events; null for one that does not, or that is not open. */
  get query(): NonNullable<Destination['query']> | null {
    return this.can('query')
      ? (query, signal) => this.ask('query', (plugin, inner) => plugin.query?.(query, inner), signal)
      : null;
  }

  get series(): NonNullable<Destination['series']> | null {
    return this.can('series')
      ? (query, signal) => this.ask('series', (plugin, inner) => plugin.series?.(query, inner), signal)
      : null;
  }

  private can(capability: 'query' | 'series'): boolean {
    const has = this.instance.callAtOnce(capability, (plugin) => typeof plugin[capability] === 'function');
    return has.ok && has.value;
  }

  private async ask<Answer>(
    name: string,
    run: (plugin: Destination, signal: AbortSignal) => Promise<Answer> | undefined,
    signal: AbortSignal,
  ): Promise<Answer> {
    const result = await this.instance.call<Answer | undefined>(name, (plugin, inner) => run(plugin, inner), {
      signal,
      deadlineMs: QUERY_DEADLINE_MS,
    });
    if (result.ok && result.value !== undefined) return result.value;
    if (!result.ok && (result.failure.reason === 'failed' || result.failure.reason === 'bug'))
      throw result.failure.error;
    signal.throwIfAborted();
    throw new SwitchyardError(
      'QUERY_UNSUPPORTED',
      'The destination that keeps the events was closed while it was asked: ask again.',
    );
  }

  get status(): DestinationStatus {
    const { state } = this.breaker;
    const { status } = this.instance;
    if (status.state === 'paused')
      return { state: 'paused', code: status.code, reason: status.reason, next_attempt_at: status.next_attempt_at };
    if (status.state !== 'open')
      return { state: 'opening', reason: status.state === 'opening' ? status.reason : 'It is being opened.' };
    if (state === null) return { state: 'active' };
    return {
      state: 'paused',
      code: state.code,
      reason: state.reason,
      next_attempt_at: new Date(state.until).toISOString(),
    };
  }

  async close(): Promise<void> {
    this.breaker.dispose();
    await this.instance.close(CLOSE_MS);
  }
}
