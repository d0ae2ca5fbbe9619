import type { DraftResult } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import type { CoreLogger } from '../observability/logger.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import type { OpenTiming } from '../plugin-host/opening.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { Database } from '../store/schema.ts';
import type { Ingress, Origin } from './ingress.ts';
import { RunningSource, type PullStatus } from './running-source.ts';

export interface PullSourcesDeps {
  readonly db: Kysely<Database>;
  readonly host: Pick<PluginHost, 'source'>;
  readonly registry: PluginRegistry;
  readonly ingress: Pick<Ingress, 'accept'>;
  readonly metrics: Pick<CoreMetrics, 'ingestedEvents' | 'forgetInstance'>;
  readonly logger: CoreLogger;
  /** How long to wait before a run that ended by itself is run again. */
  readonly timing?: OpenTiming;
}

interface StoredSource {
  readonly id: string;
  readonly name: string;
  readonly type: string;
  /** As stored: its secrets are sealed. */
  readonly config: unknown;
  readonly revision: number;
  readonly partitions: number;
}

interface ProjectSources {
  readonly running: Map<string, RunningSource>;
  /** Changes of one project happen one after the other. */
  change: Promise<void>;
}

const TIMING: OpenTiming = { firstRetryMs: 1_000, longestRetryMs: 60_000 };
/** Nobody asked for these events: there is no connection that could say where they come from. */
const NOBODY = { ip: null, userAgent: null };

/**
 * Keeps the pull sources that run in line with what is stored: one run for every enabled source of a type without routes.
 *
 * There is one process in this version, and it runs all of them. Nothing here keeps a second process on the same database from running them as well: each
 * upstream event would then come in twice.
 */
export class PullSources {
  private readonly projects = new Map<string, ProjectSources>();
  private stopped = false;

  constructor(private readonly deps: PullSourcesDeps) {}

  async start(): Promise<void> {
    const rows = await this.deps.db
      .selectFrom('sources')
      .select('project_id')
      .distinct()
      .orderBy('project_id')
      .execute();
    for (const { project_id } of rows) await this.reload(project_id);
  }

  /**
   * Call it after every change of a project's sources. Once it resolves, what was disabled or deleted has ended, and what was changed runs anew; a source's
   * old run is over before its new one begins (`RunningSource` says what that means for a plugin that ignores it).
   */
  reload(project: string): Promise<void> {
    if (this.stopped) return Promise.resolve();
    let sources = this.projects.get(project);
    if (sources === undefined) {
      sources = { running: new Map(), change: Promise.resolve() };
      this.projects.set(project, sources);
    }
    const target = sources;
    const change = target.change.then(() => this.fit(project, target.running));
    target.change = change.catch(() => undefined);
    return change;
  }

  /** Null for what is no pull source, or is not enabled. */
  status(source: string): PullStatus | null {
    for (const { running } of this.projects.values()) {
      const found = running.get(source);
      if (found !== undefined) return found.status;
    }
    return null;
  }

  /** Ends every run. It takes seconds at the most (see `RunningSource`), also when a plugin ignores that it is told to end. */
  async stop(): Promise<void> {
    this.stopped = true;
    const running = [...this.projects.values()].flatMap((sources) => [...sources.running.values()]);
    // A change that is under way starts nothing from here on, so it is not waited for: it may itself wait for a database that is away.
    await Promise.all(running.map((source) => source.stop()));
  }

  private async fit(project: string, running: Map<string, RunningSource>): Promise<void> {
    const wanted = await this.wanted(project);
    const ids = new Set([...running.keys(), ...wanted.keys()]);
    await Promise.all([...ids].map((id) => this.fitOne(project, running, id, wanted.get(id))));
  }

  private async fitOne(
    project: string,
    running: Map<string, RunningSource>,
    id: string,
    stored: StoredSource | undefined,
  ): Promise<void> {
    const current = running.get(id);
    if (current !== undefined && current.revision === stored?.revision) return;
    await current?.stop();
    running.delete(id);
    if (stored === undefined) this.deps.metrics.forgetInstance(id);
    // Asked only now: the process may have begun to stop in the meantime.
    else if (!this.stopped) this.run(project, running, stored);
  }

  private run(project: string, running: Map<string, RunningSource>, stored: StoredSource): void {
    const { host, registry, logger, timing = TIMING } = this.deps;
    const { id, name, type, config, revision, partitions } = stored;
    const labels = { project, source: id };
    const plugin = registry.find('source', type);
    if (plugin === undefined) {
      logger.error(
        `The source "${name}" needs the plugin "${type}", which is not installed: it brings no events. Install the plugin and restart.`,
        labels,
      );
      return;
    }
    if (plugin.definition.routes.length > 0) return;
    const origin: Origin = { id, type, project, partitions };
    const source = new RunningSource({
      revision,
      instance: host.source(plugin.definition, { project, id, name }, config),
      accept: (drafts) => this.accept(origin, drafts),
      logger: logger.child(labels),
      timing,
    });
    running.set(id, source);
  }

  private async accept(origin: Origin, drafts: readonly unknown[]): Promise<readonly DraftResult[]> {
    const results = await this.deps.ingress.accept(origin, drafts, NOBODY);
    const { ingestedEvents } = this.deps.metrics;
    for (const result of results)
      ingestedEvents.inc({ source_type: origin.type, result: result.ok ? 'accepted' : result.error.code });
    return results;
  }

  private async wanted(project: string): Promise<ReadonlyMap<string, StoredSource>> {
    const rows = await this.deps.db
      .selectFrom('sources as s')
      .innerJoin('projects as p', 'p.id', 's.project_id')
      .select(['s.id', 's.name', 's.type', 's.config', 's.updated_at', 'p.partitions'])
      .where('s.project_id', '=', project)
      .where('s.enabled', '=', true)
      .execute();
    return new Map(rows.map(({ updated_at, ...source }) => [source.id, { ...source, revision: updated_at.getTime() }]));
  }
}
