import type { Event, PluginContext, Transform, TransformOutcome, TransformOutcomes } from '@switchyard/plugin-sdk';
import { RetryableError } from '@switchyard/plugin-sdk';
import type { BatchObserver } from './batch.ts';
import { BatchRunner } from './batch-runner.ts';
import type { Program } from './sandbox/lane.ts';
import type { SandboxPool } from './sandbox/pool.ts';

/** One instance: its code, its standing with the pool, and what it tells of itself. */
export class JavaScriptTransform implements Transform {
  readonly #pool: SandboxPool;
  readonly #program: Program;
  readonly #runner: BatchRunner;
  readonly #context: PluginContext;
  readonly #meters: ReturnType<typeof metersOf>;
  readonly #underWay = new Set<Promise<unknown>>();
  #closed = false;

  constructor(
    pool: SandboxPool,
    program: Program,
    context: PluginContext,
    now: () => number = () => performance.now(),
  ) {
    this.#pool = pool;
    this.#program = program;
    this.#runner = new BatchRunner(pool, program, now);
    this.#context = context;
    this.#meters = metersOf(context);
  }

  /** Starts the sandbox and sets the code up, so that the first event does not wait for it. */
  async open(signal: AbortSignal): Promise<void> {
    await this.#tracked(this.#runner.prepare(signal));
  }

  async apply(batch: readonly Event[], signal: AbortSignal): Promise<TransformOutcomes> {
    if (this.#closed) throw new RetryableError('The transform is closed.', { code: 'TRANSFORM_CLOSED' });
    const outcomes = new Map<string, TransformOutcome>();
    const startedAt = performance.now();
    await this.#tracked(this.#runner.run(batch, signal, this.#observer(batch, outcomes)));
    this.#meters.batches.inc();
    this.#meters.events.inc(batch.length);
    this.#meters.seconds.observe((performance.now() - startedAt) / 1000);
    return outcomes;
  }

  /** Waits for what is under way; once the signal aborts, what still waits for its turn fails as retryable. */
  async close(signal: AbortSignal): Promise<void> {
    this.#closed = true;
    const drained = Promise.allSettled(this.#underWay);
    if (!signal.aborted) {
      const aborted = Promise.withResolvers<void>();
      const hurry = (): void => aborted.resolve();
      signal.addEventListener('abort', hurry);
      await Promise.race([drained, aborted.promise]);
      signal.removeEventListener('abort', hurry);
    }
    await this.#pool.leave(this.#program);
  }

  async #tracked(work: Promise<void>): Promise<void> {
    this.#underWay.add(work);
    try {
      await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  #observer(batch: readonly Event[], outcomes: Map<string, TransformOutcome>): BatchObserver {
    const { logger } = this.#context;
    const meters = this.#meters;
    return {
      outcome: (index, outcome) => {
        const event = batch[index];
        if (event !== undefined) outcomes.set(event.id, outcome);
        if (outcome.action === 'fail') meters.failures.inc();
      },
      log: ({ index, level, text }) => logger.debug(`console.${level}: ${text}`, { event_id: batch[index]?.id }),
      lostLines: (count) => logger.debug('Lines that the code logged were dropped: over the limit.', { count }),
      cpu: (ms) => meters.cpu.inc(ms / 1000),
      incident: (kind, detail) => {
        meters[kind === 'kill' ? 'kills' : 'timeouts'].inc();
        logger.warn(kind === 'kill' ? 'A sandbox process ended while the code ran.' : 'The code spent its time.', {
          detail,
        });
      },
    };
  }
}

function metersOf({ metrics }: PluginContext) {
  return {
    batches: metrics.counter('javascript_batches_total', 'Batches that went through user code'),
    events: metrics.counter('javascript_events_total', 'Events that went through user code'),
    failures: metrics.counter('javascript_failures_total', 'Events that failed in user code'),
    timeouts: metrics.counter(
      'javascript_timeouts_total',
      'Runs of user code that were stopped because their time was spent',
    ),
    kills: metrics.counter('javascript_kills_total', 'Sandbox processes that ended while user code ran'),
    cpu: metrics.counter('javascript_cpu_seconds_total', 'CPU seconds that user code used'),
    seconds: metrics.histogram('javascript_batch_seconds', 'How long a batch took, with its wait for the sandbox'),
  };
}
