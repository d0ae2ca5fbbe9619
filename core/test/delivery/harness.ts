import { randomUUID } from 'node:crypto';
import type { DestinationDefinition, SourceDefinition, TransformDefinition } from '@switchyard/plugin-sdk';
import {
  defineDestination,
  delivered,
  Type,
  type DeliveryBatch,
  type DeliveryOutcome,
  type DeliveryOutcomes,
  type DestinationCapabilities,
} from '@switchyard/plugin-sdk';
import { migrateToLatest } from '@switchyard/migrations';
import { DeliveryEngine } from '../../src/delivery/delivery-engine.ts';
import type { SubscriptionAccount } from '../../src/engine.ts';
import { createHttpClient } from '../../src/egress/client.ts';
import { Ingress } from '../../src/ingress/ingress.ts';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import type { PipelineDefinition } from '../../src/pipeline/definition.ts';
import { PluginConfigs } from '../../src/plugin-host/config.ts';
import { PluginContexts } from '../../src/plugin-host/context.ts';
import { PluginHost } from '../../src/plugin-host/host.ts';
import { PluginRegistry } from '../../src/plugin-host/registry.ts';
import { SecretBox } from '../../src/plugin-host/secrets.ts';
import { openDatabase, type OpenDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/schema.ts';
import { eventually } from '../support/eventually.ts';
import { aFolder } from '../support/folder.ts';

type AnyDefinition = DestinationDefinition<never> | TransformDefinition<never> | SourceDefinition<never>;
export type Deliver = (batch: DeliveryBatch, signal: AbortSignal) => Promise<DeliveryOutcomes>;

/** A destination that does what its test says. `deliver` may be replaced while it runs. */
export function aDestination(
  type: string,
  capabilities: Partial<DestinationCapabilities> = {},
): DestinationDefinition<never> & { deliver: Deliver } {
  const definition: DestinationDefinition<never> & { deliver: Deliver } = {
    ...defineDestination<never>({
      type,
      title: type,
      summary: 'A destination of the tests.',
      stability: 'stable',
      config: Type.Object({}, { additionalProperties: false }),
      configVersion: 1,
      examples: [{ title: 'The only one', config: {} as never }],
      capabilities: { batch: { maxEvents: 1 }, concurrency: 10, ordering: 'none', ...capabilities },
      create: () => ({
        deliver: (batch, signal) => definition.deliver(batch, signal),
        check: () => Promise.resolve({ ok: true, message: 'It is there.' }),
      }),
    }),
    deliver: (batch: DeliveryBatch): Promise<DeliveryOutcomes> =>
      Promise.resolve(new Map(batch.items.map(({ id }) => [id, delivered()]))),
  };
  return definition;
}

/** One outcome for every item of a batch. */
export const sameFor = (batch: DeliveryBatch, outcome: DeliveryOutcome): DeliveryOutcomes =>
  new Map(batch.items.map(({ id }) => [id, outcome]));

/** The delivery engine over a real log and a real embedded database, with plugins of the test's own. */
export class Harness {
  engine!: DeliveryEngine;
  private log!: EmbeddedLog;
  private ingress!: Ingress;
  readonly project = randomUUID();
  readonly source = randomUUID();
  readonly metrics = createMetrics();

  private constructor(
    private readonly folder: Awaited<ReturnType<typeof aFolder>>,
    readonly database: OpenDatabase<Database>,
    private readonly plugins: readonly AnyDefinition[],
    readonly schedule: readonly number[],
  ) {}

  static async open(
    plugins: readonly AnyDefinition[],
    schedule: readonly number[] = [20, 20, 20],
    databaseUrl?: string,
  ): Promise<Harness> {
    const folder = await aFolder();
    const database = await openDatabase({ databaseUrl, dataDir: folder.path, logger: createLogger('silent') });
    await migrateToLatest(database.db);
    const harness = new Harness(folder, database, plugins, schedule);
    await database.db.insertInto('projects').values({ id: harness.project, name: 'test', partitions: 2 }).execute();
    await database.db
      .insertInto('sources')
      .values({
        id: harness.source,
        project_id: harness.project,
        name: 'in',
        type: 'test',
        config: '{}',
        enabled: true,
      })
      .execute();
    await harness.start();
    return harness;
  }

  /** Starts the engine, on what is stored. */
  async start(): Promise<void> {
    const logger = createLogger('silent');
    this.log = await EmbeddedLog.open({ directory: this.folder.path, logger });
    this.ingress = new Ingress(this.log, { maxBatch: 100_000, maxEventBytes: 1_000_000 });
    const http = createHttpClient({ allow: [] });
    const configs = new PluginConfigs(new SecretBox(Buffer.alloc(32, 1)), () => null);
    const contexts = new PluginContexts(logger, this.metrics, http.client, this.database.db);
    const registry = new PluginRegistry(
      this.plugins.map((definition) => ({
        packageName: `test-${definition.type}`,
        version: '1.0.0',
        directory: '',
        definition: definition as never,
      })),
    );
    const host = new PluginHost(configs, contexts, logger, this.metrics);
    this.engine = new DeliveryEngine({
      db: this.database.db,
      log: this.log,
      host,
      registry,
      metrics: this.metrics,
      logger,
      schedule: this.schedule,
    });
    await this.engine.start();
  }

  /** Stops as SIGTERM does; `start` goes on from there. */
  async stop(graceMs = 2_000): Promise<void> {
    await this.engine.stop(AbortSignal.timeout(graceMs));
    await this.log.close();
  }

  async close(): Promise<void> {
    await this.stop();
    await this.database.close();
    await this.folder.remove();
  }

  async destination(type: string): Promise<string> {
    const id = randomUUID();
    await this.database.db
      .insertInto('destinations')
      .values({ id, project_id: this.project, name: id, type, config: '{}', enabled: true })
      .execute();
    return id;
  }

  /** Publishes a pipeline from the source through `transforms` to a new destination. */
  async connect(
    type: string,
    transforms: readonly { readonly type: string; readonly config?: object }[] = [],
  ): Promise<{ readonly destination: string; readonly pipeline: string }> {
    const destination = await this.destination(type);
    const steps = transforms.map(({ type: transform, config }, index) => ({
      id: `t${index}`,
      kind: 'transform' as const,
      type: transform,
      config: { ...config },
    }));
    const nodes = [
      { id: 'in', kind: 'source' as const, source: this.source },
      ...steps,
      { id: 'out', kind: 'destination' as const, destination },
    ];
    const edges = nodes.slice(1).map(({ id }, index): [string, string] => [nodes[index]?.id ?? '', id]);
    const pipeline = randomUUID();
    await this.database.db
      .insertInto('pipelines')
      .values({ id: pipeline, project_id: this.project, name: pipeline, draft: '{}', published_version: null })
      .execute();
    await this.publish(pipeline, { nodes, edges });
    return { destination, pipeline };
  }

  async publish(pipeline: string, definition: PipelineDefinition): Promise<void> {
    const { db } = this.database;
    const row = await db
      .selectFrom('pipelines')
      .select('published_version')
      .where('id', '=', pipeline)
      .executeTakeFirstOrThrow();
    const version = (row.published_version ?? 0) + 1;
    await db
      .insertInto('pipeline_versions')
      .values({ pipeline_id: pipeline, version, definition: JSON.stringify(definition), published_by: null })
      .execute();
    await db.updateTable('pipelines').set({ published_version: version }).where('id', '=', pipeline).execute();
    await this.engine.reload(this.project);
  }

  async setDestination(id: string, change: { readonly enabled?: boolean }): Promise<void> {
    await this.database.db
      .updateTable('destinations')
      .set({ ...change, updated_at: new Date() })
      .where('id', '=', id)
      .execute();
    await this.engine.reload(this.project);
  }

  /** Accepts events; their ids, in order. */
  async accept(drafts: readonly object[]): Promise<readonly string[]> {
    const origin = { id: this.source, type: 'test', project: this.project, partitions: 2 };
    const results = await this.ingress.accept(origin, drafts, { ip: null, userAgent: null });
    return results.map((result) => (result.ok ? result.id : ''));
  }

  async account(destination: string): Promise<SubscriptionAccount> {
    const all = await this.engine.accounting(this.project);
    const found = all.find((account) => account.destination === destination);
    if (found === undefined) throw new Error('The destination has no living subscription.');
    const { accepted, delivered: arrived, waiting, filtered, dead, parked } = found;
    // Conservation holds whenever anybody looks.
    if (arrived + waiting + filtered + dead + parked !== accepted)
      throw new Error(`The account does not add up: ${JSON.stringify(found)}`);
    return found;
  }

  /** The account once nothing waits. */
  settled(destination: string, withinMs = 10_000): Promise<SubscriptionAccount> {
    return eventually(async () => {
      const account = await this.account(destination);
      return account.waiting === 0 && account;
    }, withinMs);
  }

  rows() {
    return this.database.db.selectFrom('deliveries').selectAll().orderBy('log_offset').execute();
  }

  attempts(event: string) {
    return this.database.db
      .selectFrom('attempts')
      .selectAll()
      .where('event_id', '=', event)
      .orderBy('attempt')
      .execute();
  }
}
