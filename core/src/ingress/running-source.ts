import { setTimeout as sleep } from 'node:timers/promises';
import {
  RetryableError,
  type DraftResult,
  type Logger,
  type PullSource,
  type PushSource,
} from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import type { CallFailure } from '../plugin-host/failure.ts';
import type { PluginInstance } from '../plugin-host/instance.ts';
import { nextDelay, statusAfter, type OpenTiming } from '../plugin-host/opening.ts';
import { inCore } from '../plugin-host/scope.ts';

/** Whether a pull source brings events at the moment, and if not, why. */
export type PullStatus =
  | { readonly state: 'running' }
  | { readonly state: 'opening'; readonly reason: string }
  | { readonly state: 'paused'; readonly code: string; readonly reason: string; readonly next_attempt_at: string };

export interface RunningSourceParts {
  readonly revision: number;
  readonly instance: PluginInstance<PushSource | PullSource>;
  /** Makes drafts durable: the way through ingress, for this source. */
  readonly accept: (drafts: readonly unknown[]) => Promise<readonly DraftResult[]>;
  readonly logger: Logger;
  readonly timing: OpenTiming;
}

/** For the plugin's own `close`, and for what is under way in it; `run` itself is told to end at once. */
const CLOSE_MS = 5_000;
/** The waits after an outage, also for a bug: the next answer of the other side may be one that the plugin can read. */
const AS_AN_OUTAGE: CallFailure = { reason: 'failed', error: new RetryableError('It is waited out.') };
/** Refusals of ingress that are no fault of the plugin: a run that lets them through is run again, as after any outage. */
const PASSING: ReadonlySet<string> = new Set(['OVERLOADED', 'LOG_UNAVAILABLE', 'STOPPING']);

/**
 * The life of one pull source: opened, run, run again after a wait when the run ends by itself, stopped.
 *
 * Guarantees: there is one run at a time, and what a run emits once it is over is refused: also when the plugin ignored that it was told to end, and goes on by
 * itself. `stop` ends within `CLOSE_MS` and the grace periods of the plugin host, whatever the plugin does. Nothing here throws or rejects.
 */
export class RunningSource {
  readonly revision: number;
  private readonly parts: RunningSourceParts;
  private readonly stopping = new AbortController();
  private readonly done: Promise<void>;
  /** Why there is no run at the moment; null while there is one. */
  private waiting: PullStatus | null = null;

  constructor(parts: RunningSourceParts) {
    this.parts = parts;
    this.revision = parts.revision;
    parts.instance.start();
    this.done = this.keepRunning();
  }

  /** Null while it is being stopped. */
  get status(): PullStatus | null {
    return this.stopping.signal.aborted ? null : (this.waiting ?? statusOf(this.parts.instance));
  }

  /** Aborts the run and closes the plugin. Resolves when nothing of it runs any more, or has been left to itself. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await Promise.all([this.parts.instance.close(CLOSE_MS), this.done]);
  }

  private async keepRunning(): Promise<void> {
    const { instance, logger, timing } = this.parts;
    const { signal } = this.stopping;
    if ((await instance.ready) === 'closed') return;
    for (let attempt = 1; ; attempt += 1) {
      const startedAt = performance.now();
      const failure = await this.run();
      if (failure === null || signal.aborted) return;
      // Only time counts as success, not events: a plugin that fails at the same event over and over would else emit those before it every second.
      if (performance.now() - startedAt >= timing.longestRetryMs) attempt = 1;
      const delayMs = nextDelay(failure.reason === 'bug' ? AS_AN_OUTAGE : failure, attempt, timing);
      this.waiting = pullStatus(statusAfter(failure, new Date(Date.now() + delayMs)));
      logger.warn('The run of a source ended by itself; it is run again.', {
        attempt,
        next_attempt_in_ms: Math.round(delayMs),
        status: this.waiting,
      });
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
      this.waiting = null;
    }
  }

  /** One run. Why it ended; null when it was told to. */
  private async run(): Promise<CallFailure | null> {
    const { instance } = this.parts;
    const { signal } = this.stopping;
    let over = false;
    // An async function of the plugin's scope around core's: a rejection that the plugin does not wait for is its own bug, and not the end of the process.
    const emit = async (drafts: readonly unknown[]): Promise<readonly DraftResult[]> => {
      if (over) throw new DOMException('This run is over: nothing was stored.', 'AbortError');
      if (!Array.isArray(drafts)) throw new TypeError('emit takes an array of drafts.');
      return inCore(() => this.accept(drafts));
    };
    const result = await instance.call<unknown>(
      'run',
      (source, stop) => {
        if (!('run' in source)) throw new Error('it has no routes, and no run either');
        return source.run(emit, stop);
      },
      { deadlineMs: null },
    );
    over = true;
    if (signal.aborted) return null;
    if (result.ok) return instance.badResult('run', 'returned before it was told to');
    const { failure } = result;
    if (failure.reason === 'failed' && failure.error.kind === 'permanent')
      return instance.badResult('run', `threw a PermanentError, which is for one event: ${failure.error.message}`);
    return failure.reason === 'failed' || failure.reason === 'bug' ? failure : null;
  }

  private async accept(drafts: readonly unknown[]): Promise<readonly DraftResult[]> {
    try {
      return await this.parts.accept(drafts);
    } catch (error) {
      if (error instanceof SwitchyardError && PASSING.has(error.code))
        throw new RetryableError(error.message, { code: error.code, cause: error });
      throw error;
    }
  }
}

const statusOf = ({ status }: PluginInstance<PushSource | PullSource>): PullStatus | null => pullStatus(status);

function pullStatus(status: PluginInstance<PullSource>['status']): PullStatus | null {
  switch (status.state) {
    case 'open':
      return { state: 'running' };
    case 'opening':
    case 'paused':
      return status;
    case 'created':
    case 'closed':
      return null;
  }
}
