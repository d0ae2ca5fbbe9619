import type { CheckResult, Destination, Logger } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import type { DestinationStatus, Engine, SubscriptionAccount } from '../engine.ts';
import { SwitchyardError } from '../errors.ts';
import type { EventLog } from '../log/event-log.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import { check } from '../plugin-host/calls.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { Database } from '../store/schema.ts';
import { accountFor } from './accounting.ts';
import { DeliveryStore } from './delivery-store.ts';
import { countOutcomes } from './delivery-metrics.ts';
import { OutcomeRecorder } from './outcome-recorder.ts';
import { Retries } from './retries.ts';
import type { RunningDestination } from './running-destination.ts';
import { RunningProject, type RunningParts } from './running-project.ts';
import type { Subscription } from './subscription.ts';

export interface DeliveryEngineDeps {
  readonly db: Kysely<Database>;
  readonly log: EventLog;
  readonly host: PluginHost;
  readonly registry: PluginRegistry;
  readonly metrics: CoreMetrics;
  readonly logger: Logger;
  /** Milliseconds before each retry. */
  readonly schedule: readonly number[];
}

const CHECK_DEADLINE_MS = 30_000;
const TRIM_EVERY_MS = 60_000;
/** What every destination has passed stays in the log this long: it is what makes a client's repeat harmless. */
const KEEP_MS = 72 * 3_600_000;

/** The part that moves events: the projects that run, the retries, and the trimming of the log. */
export class DeliveryEngine implements Engine {
  private readonly projects = new Map<string, RunningProject>();
  private readonly store: DeliveryStore;
  private readonly parts: RunningParts;
  private readonly retries: Retries;
  private readonly stopping = new AbortController();
  private readonly cut = new AbortController();
  private trimmer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: DeliveryEngineDeps) {
    const { db, log, logger, metrics, schedule } = deps;
    this.store = new DeliveryStore(db, log, logger);
    const recorder = new OutcomeRecorder(db, logger, this.cut.signal);
    const { host, registry } = deps;
    const wakeRetries = (): void => this.retries.wake();
    this.parts = {
      log,
      store: this.store,
      recorder,
      host,
      registry,
      metrics,
      logger,
      schedule,
      cut: this.cut.signal,
      wakeRetries,
    };
    this.retries = new Retries(
      {
        db,
        recorder,
        logger,
        schedule,
        subscriptions: () => this.subscriptions(),
        onOutcome: ({ key, destination }, state) =>
          countOutcomes(
            metrics,
            key.destination,
            destination.type,
            new Map([[state === 'retrying' ? 'retry' : state, 1]]),
          ),
      },
      { stop: this.stopping.signal, cut: this.cut.signal },
    );
  }

  async start(): Promise<void> {
    for (const project of await this.store.projects()) await this.reload(project);
    this.retries.start();
    this.trimmer = setInterval(() => void this.trim(), TRIM_EVERY_MS);
  }

  reload(project: string): Promise<void> {
    if (this.stopping.signal.aborted) return Promise.resolve();
    let running = this.projects.get(project);
    if (running === undefined) this.projects.set(project, (running = new RunningProject(project, this.parts)));
    return running.reload();
  }

  private *subscriptions(): Generator<Subscription> {
    for (const { subscriptions } of this.projects.values())
      for (const { subscription } of subscriptions.values()) yield subscription;
  }

  accounting(project: string): Promise<readonly SubscriptionAccount[]> {
    return accountFor(this.deps.db, this.deps.log, project);
  }

  status(destination: string): DestinationStatus {
    for (const running of this.projects.values()) {
      const status = running.status(destination);
      if (status !== null) return status;
    }
    return { state: 'idle', reason: 'It is not loaded yet.' };
  }

  wakeRetries(project: string): void {
    // A replayed event may belong to a subscription that had ended.
    void this.reload(project).then(
      () => this.retries.wake(),
      (error: unknown) =>
        this.deps.logger.error(
          'The project could not be loaded after a replay; its events are due and go with the next change.',
          { project, error: String(error) },
        ),
    );
  }

  async check(project: string, destination: string, signal: AbortSignal): Promise<CheckResult> {
    const row = await this.deps.db
      .selectFrom('destinations')
      .select(['name', 'type', 'config'])
      .where('project_id', '=', project)
      .where('id', '=', destination)
      .executeTakeFirst();
    if (row === undefined)
      throw new SwitchyardError('NOT_FOUND', 'There is no such destination, or it is not yours to see.');
    const { definition } = this.deps.registry.get('destination', row.type);
    const instance = this.deps.host.destination(definition, { project, id: destination, name: row.name }, row.config);
    const result = await check(instance, { signal, deadlineMs: CHECK_DEADLINE_MS });
    if (result.ok) return result.value;
    const { failure } = result;
    return {
      ok: false,
      message:
        failure.reason === 'failed' || failure.reason === 'bug' ? failure.error.message : 'The check was broken off.',
    };
  }

  async query(project: string): Promise<NonNullable<Destination['query']> | null> {
    return this.firstThatCan(project, ({ query }) => query);
  }

  async series(project: string): Promise<NonNullable<Destination['series']> | null> {
    return this.firstThatCan(project, ({ series }) => series);
  }

  private firstThatCan<Ability>(
    project: string,
    pick: (destination: RunningDestination) => Ability | null,
  ): Ability | null {
    for (const destination of this.projects.get(project)?.destinations.values() ?? []) {
      const ability = pick(destination);
      if (ability !== null) return ability;
    }
    return null;
  }

  /** How far every subscription is behind the log, in events. */
  *lags(): Generator<{ readonly pipeline: string; readonly destination: string; readonly lag: number }> {
    for (const { subscriptions } of this.projects.values()) {
      for (const { subscription, lag } of subscriptions.values())
        yield { pipeline: subscription.key.pipeline, destination: subscription.key.destination, lag };
    }
  }

  /** Events that wait for their next attempt, by destination. */
  async retriesWaiting(): Promise<readonly { readonly destination: string; readonly count: number }[]> {
    const rows = await this.deps.db
      .selectFrom('deliveries')
      .select((eb) => ['destination_id', eb.fn.countAll<number>().as('count')])
      .where('state', '=', 'retrying')
      .groupBy('destination_id')
      .execute();
    return rows.map(({ destination_id, count }) => ({ destination: destination_id, count }));
  }

  private async trim(): Promise<void> {
    const { log, logger } = this.deps;
    try {
      for (const [project, { partitions }] of this.projects) {
        for (let index = 0; index < partitions && !this.stopping.signal.aborted; index += 1) {
          const before = await this.store.passed(project, index);
          while (
            (await log.trim({ project, index }, before, Date.now() - KEEP_MS)) > 0 &&
            !this.stopping.signal.aborted
          );
        }
      }
    } catch (error) {
      logger.warn('Old entries of the event log could not be removed; it is tried again in a minute.', {
        error: String(error),
      });
    }
  }

  async stop(signal: AbortSignal): Promise<void> {
    clearInterval(this.trimmer);
    const cut = (): void => this.cut.abort(new DOMException('The process stops.', 'AbortError'));
    signal.addEventListener('abort', cut, { once: true });
    if (signal.aborted) cut();
    this.stopping.abort(new DOMException('The process stops.', 'AbortError'));
    const projects = [...this.projects.values()];
    await Promise.all(projects.map((project) => project.drain()));
    await this.retries.stopped();
    await Promise.all(projects.map((project) => project.close()));
    signal.removeEventListener('abort', cut);
  }
}
