import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { migrateToLatest } from '@switchyard/migrations';
import { defineSource, Type, type PluginContext, type PullSource } from '@switchyard/plugin-sdk';
import { createHttpClient } from '../../src/egress/client.ts';
import { Ingress } from '../../src/ingress/ingress.ts';
import { PullSources, type PullSourcesDeps } from '../../src/ingress/pull-sources.ts';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { PluginConfigs } from '../../src/plugin-host/config.ts';
import { PluginContexts } from '../../src/plugin-host/context.ts';
import { PluginHost } from '../../src/plugin-host/host.ts';
import { PluginRegistry } from '../../src/plugin-host/registry.ts';
import { SecretBox } from '../../src/plugin-host/secrets.ts';
import { openDatabase, type OpenDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/schema.ts';
import { aFolder } from '../support/folder.ts';

export type Run = PullSource['run'];
export type MakeRun = (config: { readonly name?: string }, context: PluginContext) => Run;
type Starting = Partial<Pick<PullSourcesDeps, 'timing' | 'ingress'>>;

/** A run that brings nothing and ends when it is told to. */
export const idle: Run = async (_emit, signal) => {
  if (!signal.aborted) await once(signal, 'abort');
};

/** Pull sources over a real log and a real embedded database, with plugins whose `run` is the test's own. */
export class Pulling {
  project = '';
  readonly metrics = createMetrics();
  /** What was logged. */
  readonly lines: Readonly<Record<string, unknown>>[] = [];
  log!: EmbeddedLog;
  pulls!: PullSources;
  private readonly http = createHttpClient({ allow: [] });
  private readonly makers = new Map<string, MakeRun>();

  private constructor(
    private readonly folder: Awaited<ReturnType<typeof aFolder>>,
    readonly database: OpenDatabase<Database>,
  ) {}

  static async open(): Promise<Pulling> {
    const folder = await aFolder();
    const database = await openDatabase({
      databaseUrl: undefined,
      dataDir: folder.path,
      logger: createLogger('silent'),
    });
    await migrateToLatest(database.db);
    return new Pulling(folder, database);
  }

  /** A project of its own for each test, and nothing left of the one before. */
  async anew(): Promise<void> {
    const { db } = this.database;
    this.project = randomUUID();
    await db.deleteFrom('sources').execute();
    await db.insertInto('projects').values({ id: this.project, name: 'test', partitions: 2 }).execute();
    this.makers.clear();
    this.metrics.registry.resetMetrics();
    this.lines.length = 0;
  }

  /** Says what sources of a type do. */
  type(type: string, make: MakeRun): void {
    this.makers.set(type, make);
  }

  /** Starts on what is stored. */
  async start({ timing, ingress }: Starting = {}): Promise<void> {
    const { db } = this.database;
    const logger = createLogger('debug', { write: (line) => void this.lines.push(JSON.parse(line) as never) });
    this.log = await EmbeddedLog.open({ directory: this.folder.path, logger });
    const contexts = new PluginContexts(logger, this.metrics, this.http.client, db);
    const configs = new PluginConfigs(new SecretBox(Buffer.alloc(32, 1)), () => null);
    this.pulls = new PullSources({
      db,
      host: new PluginHost(configs, contexts, logger, this.metrics),
      registry: this.registry(),
      ingress: ingress ?? new Ingress(this.log, { maxBatch: 100, maxEventBytes: 1_000_000 }),
      metrics: this.metrics,
      logger,
      ...(timing === undefined ? {} : { timing }),
    });
    await this.pulls.start();
  }

  async stop(): Promise<void> {
    await this.pulls.stop();
    await this.log.close();
  }

  async close(): Promise<void> {
    await this.http.close();
    await this.database.close();
    await this.folder.remove();
  }

  /** Stores an enabled source. It runs from the next `start` or `reload`. */
  async source(type: string, config: object = {}): Promise<string> {
    const id = randomUUID();
    const { project } = this;
    await this.database.db
      .insertInto('sources')
      .values({ id, project_id: project, name: id, type, config: JSON.stringify(config), enabled: true })
      .execute();
    return id;
  }

  /** Changes a source as the API does. */
  async change(id: string, change: { readonly enabled?: boolean; readonly config?: object }): Promise<void> {
    const { enabled, config } = change;
    await this.database.db
      .updateTable('sources')
      .set({
        updated_at: new Date(),
        ...(enabled === undefined ? {} : { enabled }),
        ...(config === undefined ? {} : { config: JSON.stringify(config) }),
      })
      .where('id', '=', id)
      .execute();
    await this.pulls.reload(this.project);
  }

  async remove(id: string): Promise<void> {
    await this.database.db.deleteFrom('sources').where('id', '=', id).execute();
    await this.pulls.reload(this.project);
  }

  /** The names of the events of a source that are on stable storage. */
  async stored(source: string): Promise<readonly string[]> {
    const reads = await Promise.all([0, 1].map((index) => this.log.read({ project: this.project, index }, 0, 10_000)));
    const events = reads.flatMap((read) => read.events).filter((event) => event.source === source);
    return events.map(({ event }) => event.event_name).toSorted();
  }

  /** How often a metric counted what `labels` name. */
  async counted(name: 'ingestedEvents' | 'pluginFaults', labels: Readonly<Record<string, string>>): Promise<number> {
    const { values } = await this.metrics[name].get();
    const found = values.filter((value) =>
      Object.entries(labels).every(([label, wanted]) => new Map(Object.entries(value.labels)).get(label) === wanted),
    );
    return found.reduce((sum, { value }) => sum + value, 0);
  }

  private registry(): PluginRegistry {
    const definitions = [...this.makers].map(([type, make]) =>
      defineSource<{ name?: string }>({
        type,
        title: type,
        summary: 'A pull source of the tests.',
        stability: 'stable',
        config: Type.Object({ name: Type.Optional(Type.String()) }, { additionalProperties: false }),
        configVersion: 1,
        examples: [{ title: 'The only one', config: {} }],
        routes: [],
        credential: () => undefined,
        create: (config, context) => ({ run: make(config, context) }),
      }),
    );
    return new PluginRegistry(
      definitions.map((definition) => ({
        packageName: `test-${definition.type}`,
        version: '1.0.0',
        directory: '',
        definition: definition as never,
      })),
    );
  }
}
