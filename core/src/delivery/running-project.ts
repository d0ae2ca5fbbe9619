import type { Logger } from '@switchyard/plugin-sdk';
import type { DestinationStatus } from '../engine.ts';
import type { EventLog } from '../log/event-log.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import { RunningPipeline } from '../pipeline/running-pipeline.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { OpenBreaker } from './breaker.ts';
import type { DeliveryStore, StoredDestination, StoredSubscription } from './delivery-store.ts';
import { countCall, countOutcomes, outcomesOf } from './delivery-metrics.ts';
import type { OutcomeRecorder } from './outcome-recorder.ts';
import type { PumpDeps } from './pump.ts';
import { RunningDestination } from './running-destination.ts';
import { RunningSubscription } from './running-subscription.ts';
import { Subscription, type RunningPlan } from './subscription.ts';

/** What the projects of one engine share. */
export interface RunningParts {
  readonly log: EventLog;
  readonly store: DeliveryStore;
  readonly recorder: OutcomeRecorder;
  readonly host: PluginHost;
  readonly registry: PluginRegistry;
  readonly metrics: CoreMetrics;
  readonly logger: Logger;
  readonly schedule: readonly number[];
  /** Abandons what is under way. */
  readonly cut: AbortSignal;
  readonly wakeRetries: () => void;
}

/**
 * What runs of one project: destinations, published versions, and a subscription for each destination of each of them, kept in line with what is stored.
 */
export class RunningProject {
  /** Over how many partitions the project's events are spread. */
  partitions = 0;
  readonly destinations = new Map<string, RunningDestination>();
  readonly subscriptions = new Map<string, RunningSubscription>();
  /** Also those that are disabled or idle. */
  private stored: ReadonlyMap<string, StoredDestination> = new Map();
  private readonly pipelines = new Map<string, RunningPipeline>();
  /** Those that were told to end and still finish what is under way. */
  private readonly ending = new Map<string, Promise<void>>();
  /** Changes happen one after the other. */
  private change: Promise<void> = Promise.resolve();

  constructor(
    private readonly project: string,
    private readonly parts: RunningParts,
  ) {}

  /** Brings what runs in line with what is stored. */
  reload(): Promise<void> {
    const change = this.change.then(() => this.fit());
    this.change = change.catch(() => undefined);
    return change;
  }

  /** Of one of the project's destinations; null when it has no such destination. */
  status(destination: string): DestinationStatus | null {
    const found = this.stored.get(destination);
    if (found === undefined) return null;
    if (!found.enabled) return { state: 'disabled' };
    const running = this.destinations.get(destination);
    if (running === undefined) {
      return {
        state: 'paused',
        code: 'PLUGIN_UNKNOWN',
        reason: `The plugin "${found.type}" is not installed.`,
        next_attempt_at: new Date().toISOString(),
      };
    }
    const fed = [...this.subscriptions.values()].some(
      ({ subscription }) => subscription.key.destination === destination,
    );
    return fed ? running.status : { state: 'idle', reason: 'No published pipeline delivers to it.' };
  }

  /** Reads nothing more; resolves when what was under way is recorded. */
  async drain(): Promise<void> {
    await this.change;
    const ended = Array.from(this.subscriptions.values(), (subscription) => subscription.end());
    await Promise.all([...ended, ...this.ending.values()]);
  }

  /** Closes the plugins. Call it when nothing delivers any more. */
  async close(): Promise<void> {
    await Promise.all([...this.pipelines.values(), ...this.destinations.values()].map((one) => one.close()));
  }

  private async fit(): Promise<void> {
    const state = await this.parts.store.sync(this.project);
    this.partitions = state.partitions;
    this.stored = new Map(state.destinations.map((stored) => [stored.id, stored]));
    const wanted = state.subscriptions.filter(({ key }) => this.stored.get(key.destination)?.enabled === true);
    const ids = new Set(wanted.map(({ key }) => key.id));
    for (const [id, subscription] of this.subscriptions) if (!ids.has(id)) this.endSubscription(id, subscription);
    this.fitDestinations(wanted);
    const before = new Set(this.pipelines.values());
    for (const subscription of wanted) await this.fitSubscription(subscription);
    const needed = new Set(wanted.map(({ version }) => versionKey(version)));
    for (const [key, pipeline] of this.pipelines) {
      if (needed.has(key) || !before.has(pipeline)) continue;
      this.pipelines.delete(key);
      void pipeline.close();
    }
  }

  private fitDestinations(wanted: readonly StoredSubscription[]): void {
    const needed = new Set(wanted.map(({ key }) => key.destination));
    // A destination that keeps events is asked for them also while no pipeline feeds it.
    for (const { id, enabled } of this.stored.values()) if (enabled) needed.add(id);
    for (const [id, destination] of this.destinations) {
      if (needed.has(id)) continue;
      this.destinations.delete(id);
      void destination.close();
      this.parts.metrics.forgetInstance(id);
    }
    for (const id of needed) {
      const stored = this.stored.get(id);
      if (stored === undefined) continue;
      const current = this.destinations.get(id);
      const revision = stored.updatedAt.getTime();
      if (current?.revision === revision) continue;
      const plugin = this.parts.registry.find('destination', stored.type);
      if (plugin === undefined) {
        this.parts.logger.error(
          `The destination "${stored.name}" needs the plugin "${stored.type}", which is not installed: its events wait in the log. Install the plugin and restart.`,
          { project: this.project, destination: id },
        );
        continue;
      }
      const instance = this.parts.host.destination(
        plugin.definition,
        { project: this.project, id, name: stored.name },
        stored.config,
      );
      if (current !== undefined) current.replace(instance, revision);
      else {
        const running = new RunningDestination(
          id,
          stored.type,
          plugin.definition.capabilities,
          instance,
          revision,
          (open) => this.noteBreaker(id, stored.name, open),
        );
        this.destinations.set(id, running);
      }
    }
  }

  private noteBreaker(destination: string, name: string, open: OpenBreaker | null): void {
    const { metrics, logger, wakeRetries } = this.parts;
    metrics.breakerState.set({ destination }, open === null ? 0 : 1);
    if (open === null) {
      logger.info(`The destination "${name}" takes events again.`, { project: this.project, destination });
      wakeRetries();
    } else {
      logger.warn(`The destination "${name}" is paused: ${open.reason} Its events wait in the log.`, {
        project: this.project,
        destination,
        code: open.code,
        next_attempt_at: new Date(open.until).toISOString(),
      });
    }
  }

  /** A receiver that hangs holds up its own subscription, not the change that a person is making. */
  private endSubscription(id: string, subscription: RunningSubscription): void {
    this.subscriptions.delete(id);
    const ended = subscription.end().finally(() => this.ending.delete(id));
    this.ending.set(id, ended);
  }

  private async fitSubscription(stored: StoredSubscription): Promise<void> {
    const destination = this.destinations.get(stored.key.destination);
    if (destination === undefined) return;
    const key = versionKey(stored.version);
    let pipeline = this.pipelines.get(key);
    if (pipeline === undefined) {
      const { host, registry } = this.parts;
      pipeline = new RunningPipeline(
        this.project,
        stored.version.pipeline,
        stored.version.version,
        stored.version.definition,
        host,
        registry,
      );
      this.pipelines.set(key, pipeline);
    }
    const plan = pipeline.plans.find(({ destination: id }) => id === stored.key.destination);
    if (plan === undefined) return;
    const runningPlan: RunningPlan = { version: pipeline.version, plan, transforms: pipeline.transforms };
    const current = this.subscriptions.get(stored.key.id);
    if (current !== undefined) {
      current.subscription.running = runningPlan;
      current.endAt(stored.cursors);
      return;
    }
    const { log, logger, metrics, schedule } = this.parts;
    await this.ending.get(stored.key.id);
    // Not what `sync` read: the pumps of before may have recorded more since, and may have ended by now.
    const { cursors, blockedKeys } = await this.parts.store.refresh(stored);
    const subscription = new Subscription(stored.key, destination, runningPlan, (call) =>
      countCall(metrics, stored.key.destination, destination.type, call),
    );
    for (const { key: orderKey, count } of blockedKeys) subscription.blockedKeys.set(orderKey, count);
    const deps: PumpDeps = {
      log,
      recorder: this.parts.recorder,
      logger,
      schedule,
      onProgress: ({ key: { destination: id } }, progress) =>
        countOutcomes(metrics, id, destination.type, outcomesOf(progress)),
    };
    this.subscriptions.set(
      stored.key.id,
      new RunningSubscription(subscription, cursors, this.parts.store, deps, this.parts.cut),
    );
  }
}

const versionKey = ({ pipeline, version }: { readonly pipeline: string; readonly version: number }): string =>
  `${pipeline}@${version}`;
