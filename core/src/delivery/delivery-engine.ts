import type { CheckResult, Destination, Logger } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import type { DestinationStatus, Engine, SubscriptionAccount } from '../engine.ts';
import { SwitchyardError } from '../errors.ts';
import type { EventLog } from '../log/event-log.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import { RunningPipeline } from '../pipeline/running-pipeline.ts';
import { check } from '../plugin-host/calls.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { Database } from '../store/schema.ts';
import { accountFor } from './accounting.ts';
import { DeliveryStore, type StoredDestination, type StoredSubscription } from './delivery-store.ts';
import { countCall, countOutcomes, outcomesOf } from './delivery-metrics.ts';
import { OutcomeRecorder } from './outcome-recorder.ts';
import type { PumpDeps } from './pump.ts';
import { Retries } from './retries.ts';
import { RunningDestination } from './running-destination.ts';
import { RunningSubscription } from './running-subscription.ts';
import { Subscription, type RunningPlan } from './subscription.ts';

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

/** What runs of one project. */
interface RunningProject {
  partitions: number;
  /** Also those that are disabled or idle: what `status` knows. */
  stored: ReadonlyMap<string, StoredDestination>;
  readonly destinations: Map<string, RunningDestination>;
  readonly pipelines: Map<string, RunningPipeline>;
  readonly subscriptions: Map<string, RunningSubscription>;
  /** Those that were told to end and still finish what is under way. */
  readonly ending: Map<string, Promise<void>>;
  /** Changes of one project happen one after the other. */
  change: Promise<void>;
}

/**
 * Keeps what runs in line with what is stored: destinations, published versions, and a subscription for each destination of each of them.
 */
export class DeliveryEngine implements Engine {
  private readonly projects = new Map<string, RunningProject>();
  private readonly store: DeliveryStore;
  private readonly recorder: OutcomeRecorder;
  private readonly retries: Retries;
  private readonly stopping = new AbortController();
  private readonly cut = new AbortController();
  private trimmer: NodeJS.Timeout | undefined;

  constructor(private readonly deps: DeliveryEngineDeps) {
    const { db, log, logger, metrics, schedule } = deps;
    this.store = new DeliveryStore(db, log, logger);
    this.recorder = new OutcomeRecorder(db, logger, this.cut.signal);
    this.retries = new Retries(
      {
        db,
        recorder: this.recorder,
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
    if (running === undefined) {
      running = {
        partitions: 0,
        stored: new Map(),
        destinations: new Map(),
        pipelines: new Map(),
        subscriptions: new Map(),
        ending: new Map(),
        change: Promise.resolve(),
      };
      this.projects.set(project, running);
    }
    const target = running;
    const change = target.change.then(() => this.fit(project, target));
    target.change = change.catch(() => undefined);
    return change;
  }

  private async fit(project: string, running: RunningProject): Promise<void> {
    const state = await this.store.sync(project);
    running.partitions = state.partitions;
    running.stored = new Map(state.destinations.map((stored) => [stored.id, stored]));
    const wanted = state.subscriptions.filter(({ key }) => running.stored.get(key.destination)?.enabled === true);
    const ids = new Set(wanted.map(({ key }) => key.id));
    for (const [id, subscription] of running.subscriptions)
      if (!ids.has(id)) this.endSubscription(running, id, subscription);
    this.fitDestinations(project, running, wanted);
    const before = new Set(running.pipelines.values());
    for (const subscription of wanted) await this.fitSubscription(project, running, subscription);
    const needed = new Set(wanted.map(({ version }) => versionKey(version)));
    for (const [key, pipeline] of running.pipelines) {
      if (needed.has(key) || !before.has(pipeline)) continue;
      running.pipelines.delete(key);
      void pipeline.close();
    }
  }

  private fitDestinations(project: string, running: RunningProject, wanted: readonly StoredSubscription[]): void {
    const needed = new Set(wanted.map(({ key }) => key.destination));
    // A destination that keeps events is asked for them also while no pipeline feeds it.
    for (const { id, enabled } of running.stored.values()) if (enabled) needed.add(id);
    for (const [id, destination] of running.destinations) {
      if (needed.has(id)) continue;
      running.destinations.delete(id);
      void destination.close();
      this.deps.metrics.forgetInstance(id);
    }
    for (const id of needed) {
      const stored = running.stored.get(id);
      if (stored === undefined) continue;
      const current = running.destinations.get(id);
      const revision = stored.updatedAt.getTime();
      if (current?.revision === revision) continue;
      const plugin = this.deps.registry.find('destination', stored.type);
      if (plugin === undefined) {
        this.deps.logger.error(
          `The destination "${stored.name}" needs the plugin "${stored.type}", which is not installed: its events wait in the log. Install the plugin and restart.`,
          { project, destination: id },
        );
        continue;
      }
      const instance = this.deps.host.destination(plugin.definition, { project, id, name: stored.name }, stored.config);
      if (current !== undefined) current.replace(instance, revision);
      else {
        const { breakerState } = this.deps.metrics;
        running.destinations.set(
          id,
          new RunningDestination(id, stored.type, plugin.definition.capabilities, instance, revision, (open) => {
            breakerState.set({ destination: id }, open === null ? 0 : 1);
            if (open !== null)
              this.deps.logger.warn(
                `The destination "${stored.name}" is paused: ${open.reason} Its events wait in the log.`,
                { project, destination: id, code: open.code, next_attempt_at: new Date(open.until).toISOString() },
              );
            else {
              this.deps.logger.info(`The destination "${stored.name}" takes events again.`, {
                project,
                destination: id,
              });
              this.retries.wake();
            }
          }),
        );
      }
    }
  }

  /** A receiver that hangs holds up its own subscription, not the change that a person is making. */
  private endSubscription(running: RunningProject, id: string, subscription: RunningSubscription): void {
    running.subscriptions.delete(id);
    const ended = subscription.end().finally(() => running.ending.delete(id));
    running.ending.set(id, ended);
  }

  private async fitSubscription(project: string, running: RunningProject, stored: StoredSubscription): Promise<void> {
    const destination = running.destinations.get(stored.key.destination);
    if (destination === undefined) return;
    const key = versionKey(stored.version);
    let pipeline = running.pipelines.get(key);
    if (pipeline === undefined) {
      const { host, registry } = this.deps;
      pipeline = new RunningPipeline(
        project,
        stored.version.pipeline,
        stored.version.version,
        stored.version.definition,
        host,
        registry,
      );
      running.pipelines.set(key, pipeline);
    }
    const plan = pipeline.plans.find(({ destination: id }) => id === stored.key.destination);
    if (plan === undefined) return;
    const runningPlan: RunningPlan = { version: pipeline.version, plan, transforms: pipeline.transforms };
    const current = running.subscriptions.get(stored.key.id);
    if (current !== undefined) {
      current.subscription.running = runningPlan;
      current.endAt(stored.cursors);
      return;
    }
    const { log, logger, metrics, schedule } = this.deps;
    const ended = running.ending.get(stored.key.id);
    await ended;
    const { cursors, blockedKeys } = ended === undefined ? stored : await this.store.refresh(stored);
    const subscription = new Subscription(stored.key, destination, runningPlan, (call) =>
      countCall(metrics, stored.key.destination, destination.type, call),
    );
    for (const { key: orderKey, count } of blockedKeys) subscription.blockedKeys.set(orderKey, count);
    const deps: PumpDeps = {
      log,
      recorder: this.recorder,
      logger,
      schedule,
      onProgress: ({ key: { destination: id } }, progress) =>
        countOutcomes(metrics, id, destination.type, outcomesOf(progress)),
    };
    running.subscriptions.set(
      stored.key.id,
      new RunningSubscription(subscription, cursors, this.store, deps, this.cut.signal),
    );
  }

  private *subscriptions(): Generator<Subscription> {
    for (const { subscriptions } of this.projects.values())
      for (const { subscription } of subscriptions.values()) yield subscription;
  }

  accounting(project: string): Promise<readonly SubscriptionAccount[]> {
    return accountFor(this.deps.db, this.deps.log, project);
  }

  status(destination: string): DestinationStatus {
    for (const { stored, destinations, subscriptions } of this.projects.values()) {
      const found = stored.get(destination);
      if (found === undefined) continue;
      if (!found.enabled) return { state: 'disabled' };
      const running = destinations.get(destination);
      if (running === undefined)
        return {
          state: 'paused',
          code: 'PLUGIN_UNKNOWN',
          reason: `The plugin "${found.type}" is not installed.`,
          next_attempt_at: new Date().toISOString(),
        };
      const fed = [...subscriptions.values()].some(({ subscription }) => subscription.key.destination === destination);
      return fed ? running.status : { state: 'idle', reason: 'No published pipeline delivers to it.' };
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
    await Promise.all(projects.map(({ change }) => change));
    await Promise.all(
      projects.flatMap(({ subscriptions, ending }) => [
        ...Array.from(subscriptions.values(), (subscription) => subscription.end()),
        ...ending.values(),
      ]),
    );
    await this.retries.stopped();
    await Promise.all(
      projects.flatMap(({ pipelines, destinations }) =>
        [...pipelines.values(), ...destinations.values()].map((one) => one.close()),
      ),
    );
    signal.removeEventListener('abort', cut);
  }
}

const versionKey = ({ pipeline, version }: { readonly pipeline: string; readonly version: number }): string =>
  `${pipeline}@${version}`;
