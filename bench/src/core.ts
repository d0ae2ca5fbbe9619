import path from 'node:path';

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
export type PluginHost = import('../../core/src/plugin-host/host.ts').PluginHost;
export type PluginRegistry = import('../../core/src/plugin-host/registry.ts').PluginRegistry;
export type HttpClientHandle = import('../../core/src/egress/client.ts').HttpClientHandle;
export type OpenDatabase = import('../../core/src/store/database.ts').OpenDatabase<Database>;
type Database = import('../../core/src/store/schema.ts').Database;

async function load<Module>(name: string): Promise<Module> {
  return (await import(path.join(core, 'dist', `${name}.js`))) as Module;
}

export const embeddedLog = (): Promise<EmbeddedLogModule> => load('log/embedded/embedded-log');
export const calls = (): Promise<CallsModule> => load('plugin-host/calls');
export const freeze = (): Promise<FreezeModule> => load('event/freeze');

export async function quietLogger(): Promise<ReturnType<LoggerModule['createLogger']>> {
  return (await load<LoggerModule>('observability/logger')).createLogger('error');
}

/** The plugins that come with the router, found as the router finds them. */
export async function loadPlugins(): Promise<PluginRegistry> {
  const { discoverPlugins } = await load<DiscoverModule>('plugin-host/discover');
  return discoverPlugins({ pluginsDirectory: plugins, listed: [], workingDirectory: process.cwd(), coreVersion: '0.1.0' });
}

/** Opens the database as the router does; without a URL, the embedded one in `dataDir`. */
export async function openDatabase(dataDir: string, databaseUrl: string | undefined): Promise<OpenDatabase> {
  const module = await load<DatabaseModule>('store/database');
  return module.openDatabase<Database>({ databaseUrl, dataDir, logger: await quietLogger() });
}

/** The client behind every plugin's `ctx.http`, allowed to reach the receiver. */
export async function openHttpClient(): Promise<HttpClientHandle> {
  return (await load<ClientModule>('egress/client')).createHttpClient({ allow: ['127.0.0.0/8'] });
}

/** Runs plugins as the router does: contained calls, the same context. A door that is not given must not be used by the plugin. */
export async function openPluginHost(doors: { readonly http?: HttpClientHandle; readonly database?: OpenDatabase }): Promise<PluginHost> {
  const { PluginConfigs } = await load<ConfigModule>('plugin-host/config');
  const { SecretBox } = await load<SecretsModule>('plugin-host/secrets');
  const { PluginContexts } = await load<ContextModule>('plugin-host/context');
  const { PluginHost } = await load<HostModule>('plugin-host/host');
  const logger = await quietLogger();
  const metrics = (await load<MetricsModule>('observability/metrics')).createMetrics();
  const http = doors.http?.client ?? { request: () => Promise.reject(new Error('This benchmark has no HTTP client.')) };
  const database = doors.database?.db ?? (null as unknown as OpenDatabase['db']);
  return new PluginHost(new PluginConfigs(new SecretBox(Buffer.alloc(32, 'bench'))), new PluginContexts(logger, metrics, http, database), logger, metrics);
}
