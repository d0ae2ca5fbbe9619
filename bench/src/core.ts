import { randomUUID } from 'node:crypto';
import path from 'node:path';
import type { DeliveryBatch, DeliveryOutcomes, Event, TransformOutcomes } from '@switchyard/plugin-sdk';

/**
 * The one door to the inside of core. Core exports its main module only, because nobody but a benchmark has a reason to take a room out of the house: so rows that
 * measure one room load the built modules by path, the very files that `npm start` runs, with the types of their sources.
 */
const core = path.join(import.meta.dirname, '../../core');
const plugins = path.join(import.meta.dirname, '../../plugins');

export const routerMain = path.join(core, 'dist/main.js');

type EmbeddedLogModule = typeof import('../../core/src/log/embedded/embedded-log.ts');
type DiscoverModule = typeof import('../../core/src/plugin-host/discover.ts');
type DatabaseModule = typeof import('../../core/src/store/database.ts');
type ClientModule = typeof import('../../core/src/egress/client.ts');
type LoggerModule = typeof import('../../core/src/observability/logger.ts');
type MetricsModule = typeof import('../../core/src/observability/metrics.ts');
type ConfigModule = typeof import('../../core/src/plugin-host/config.ts');
type SecretsModule = typeof import('../../core/src/plugin-host/secrets.ts');
type ContextModule = typeof import('../../core/src/plugin-host/context.ts');
type HostModule = typeof import('../../core/src/plugin-host/host.ts');
type CallsModule = typeof import('../../core/src/plugin-host/calls.ts');
type FreezeModule = typeof import('../../core/src/event/freeze.ts');

export type LogRecord = import('../../core/src/log/event-log.ts').LogRecord;
type PluginRegistry = import('../../core/src/plugin-host/registry.ts').PluginRegistry;
type HttpClientHandle = import('../../core/src/egress/client.ts').HttpClientHandle;
export type OpenDatabase = import('../../core/src/store/database.ts').OpenDatabase<Database>;
type Result<Value> = import('../../core/src/plugin-host/failure.ts').CallResult<Value>;
type Database = import('../../core/src/store/schema.ts').Database;

/** Longer than anything that is measured takes. */
const DEADLINE_MS = 60_000;

/** Plugins that are open, called as the delivery engine calls them. */
export interface RunningPlugins {
  destination(
    type: string,
    config: object,
    project?: string,
  ): Promise<{ deliver(batch: DeliveryBatch): Promise<Result<DeliveryOutcomes>>; close(): Promise<boolean> }>;
  transform(
    type: string,
    config: object,
  ): Promise<{ apply(batch: readonly Event[]): Promise<Result<TransformOutcomes>>; close(): Promise<boolean> }>;
}

async function load<Module>(name: string): Promise<Module> {
  return (await import(path.join(core, 'dist', `${name}.js`))) as Module;
}

export const embeddedLog = (): Promise<EmbeddedLogModule> => load('log/embedded/embedded-log');
export const freeze = (): Promise<FreezeModule> => load('event/freeze');

export async function quietLogger(): Promise<ReturnType<LoggerModule['createLogger']>> {
  return (await load<LoggerModule>('observability/logger')).createLogger('error');
}

/** The plugins that come with the router, found as the router finds them. */
export async function loadPlugins(): Promise<PluginRegistry> {
  const { discoverPlugins } = await load<DiscoverModule>('plugin-host/discover');
  return discoverPlugins({
    pluginsDirectory: plugins,
    listed: [],
    workingDirectory: process.cwd(),
    coreVersion: '0.1.0',
  });
}

/** Opens the database as the router does; without a URL, the embedded one in `dataDir`. */
export async function openDatabase(dataDir: string, databaseUrl: string | undefined): Promise<OpenDatabase> {
  const module = await load<DatabaseModule>('store/database');
  return module.openDatabase({ databaseUrl, dataDir, logger: await quietLogger() });
}

/** The client behind every plugin's `ctx.http`, allowed to reach the receiver. */
export async function openHttpClient(): Promise<HttpClientHandle> {
  return (await load<ClientModule>('egress/client')).createHttpClient({ allow: ['127.0.0.0/8'] });
}

/** Runs plugins as the router does: contained calls, sealed secrets, the same context. A door that is not given must not be used by the plugin. */
export async function openPluginHost(doors: {
  readonly http?: HttpClientHandle;
  readonly database?: OpenDatabase;
}): Promise<RunningPlugins> {
  const { PluginConfigs } = await load<ConfigModule>('plugin-host/config');
  const { SecretBox } = await load<SecretsModule>('plugin-host/secrets');
  const { PluginContexts } = await load<ContextModule>('plugin-host/context');
  const { PluginHost } = await load<HostModule>('plugin-host/host');
  const logger = await quietLogger();
  const metrics = (await load<MetricsModule>('observability/metrics')).createMetrics();
  const http = doors.http?.client ?? { request: () => Promise.reject(new Error('This benchmark has no HTTP client.')) };
  const database = doors.database?.db ?? (null as unknown as OpenDatabase['db']);
  const configs = new PluginConfigs(new SecretBox(Buffer.alloc(32, 'bench')), () => null);
  const host = new PluginHost(configs, new PluginContexts(logger, metrics, http, database), logger, metrics);
  const registry = await loadPlugins();
  const { deliver, apply } = await load<CallsModule>('plugin-host/calls');
  const limits = { signal: new AbortController().signal, deadlineMs: DEADLINE_MS };
  return {
    async destination(type, config, project = randomUUID()) {
      const { definition } = registry.get('destination', type);
      const id = randomUUID();
      const instance = host.destination(
        definition,
        { project, id, name: 'bench' },
        configs.accept(definition, config, id),
      );
      instance.start();
      await instance.ready;
      return { deliver: (batch) => deliver(instance, batch, limits), close: () => instance.close(DEADLINE_MS) };
    },
    async transform(type, config) {
      const { definition } = registry.get('transform', type);
      const id = randomUUID();
      const instance = host.transform(
        definition,
        { project: randomUUID(), id, name: 'bench' },
        configs.accept(definition, config, id),
      );
      instance.start();
      await instance.ready;
      return { apply: (batch) => apply(instance, batch, limits), close: () => instance.close(DEADLINE_MS) };
    },
  };
}
