import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { migrateToLatest } from '@switchyard/migrations';
import { compose, tokens } from './composition.ts';
import { openDataDir } from './data-dir.ts';
import { EmbeddedLog } from './log/embedded/embedded-log.ts';
import { createLogger } from './observability/logger.ts';
import { createMetrics } from './observability/metrics.ts';
import { discoverPlugins } from './plugin-host/discover.ts';
import { escapeReporter } from './plugin-host/escape-report.ts';
import { containEscapes } from './plugin-host/scope.ts';
import { loadSecrets } from './secrets-file.ts';
import type { Settings } from './settings.ts';
import { bootstrap, type Bootstrapped } from './bootstrap/bootstrap.ts';
import { openDatabase } from './store/database.ts';
import { isStoreOutage } from './store/outage.ts';
import type { Database } from './store/schema.ts';
import { SwitchyardError } from './errors.ts';
import type { Kysely } from 'kysely';
import { keepHouse } from './store/embedded/housekeeping.ts';
import { startServer } from './start-server.ts';

/** A router that takes events. */
export interface Router {
  /** Where it listens: `http://127.0.0.1:3000`. */
  readonly address: string;
  /**
   * Stops: readiness fails, requests that are under way get their answers, what is being delivered is finished and recorded within `graceMs`, stores are closed. What was
   * not finished is in the log and goes on at the next start.
   */
  stop(graceMs: number): Promise<void>;
}

export interface RouterOptions {
  readonly settings: Settings;
  /** The folder of the plugins that come with the router. */
  readonly pluginsDirectory: string;
  /** Milliseconds before each retry. */
  readonly schedule: readonly number[];
  /** Told at once what the first start made: it is never to be had again, also when the rest of the start fails. */
  readonly onMade: (made: Bootstrapped) => void;
  /** Something without which the process is of no use is gone: the process should end. */
  readonly onFatal: (error: unknown) => void;
}

/** Opens everything in the order in which it is needed, and closes what it has opened if something fails. */
export async function startRouter({
  settings,
  pluginsDirectory,
  schedule,
  onMade,
  onFatal,
}: RouterOptions): Promise<Router> {
  const logger = createLogger(settings.logLevel);
  const metrics = createMetrics();
  const opened: (() => Promise<unknown> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of opened.reverse())
      await Promise.resolve(close()).catch((error: unknown) =>
        logger.error('Something did not close cleanly.', { error: String(error) }),
      );
  };
  try {
    const dataDir = await openDataDir(settings.dataDir);
    opened.push(() => dataDir.release());
    opened.push(containEscapes({ plugin: escapeReporter(logger, metrics), core: onFatal }));
    const secrets = await loadSecrets(settings);
    const registry = await discoverPlugins({
      pluginsDirectory,
      listed: settings.plugins,
      workingDirectory: process.cwd(),
      coreVersion: await ownVersion(),
    });
    const database = await openDatabase({
      databaseUrl: settings.databaseUrl ?? undefined,
      dataDir: settings.dataDir,
      logger,
      onStopped: onFatal,
    });
    opened.push(() => database.close());
    await migrate(database.db);
    if (database.kind === 'embedded') opened.push(keepHouse(database.db, logger));
    const log = await EmbeddedLog.open({
      directory: settings.dataDir,
      logger,
      onCommit: (seconds, events) => {
        metrics.logAppendDuration.observe(seconds);
        metrics.logAppendRecords.observe(events);
      },
      onDamage: () => metrics.logDamagedEntries.inc(),
    });
    opened.push(() => log.close());
    const composition = compose({ settings, logger, metrics, secrets, registry, database, log, schedule });
    const { get } = composition;
    const http = get(tokens.http);
    opened.push(() => http.close());
    const first = {
      adminEmail: settings.adminEmail,
      adminPassword: settings.adminPassword,
      apiKey: settings.bootstrapApiKey,
    };
    const made = await bootstrap(database.db, first, {
      registry,
      configs: get(tokens.configs),
      passwords: get(tokens.passwords),
    });
    if (made !== null) onMade(made);
    const engine = get(tokens.engine);
    let graceMs = 0;
    opened.push(() => engine.stop(AbortSignal.timeout(graceMs)));
    await engine.start();
    // After what takes their events away, and before the port opens. They end in the opposite order: before delivery stops and the log closes.
    const pullSources = get(tokens.pullSources);
    opened.push(() => pullSources.stop());
    await pullSources.start();
    const sources = get(tokens.sourceInstances);
    opened.push(() => sources.close());
    const server = await startServer(composition, await ownVersion());
    opened.push(() => server.close());
    return {
      address: server.address,
      stop: async (grace) => {
        graceMs = grace;
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** Without its tables nothing works, so an outage at the start is said and not waited out. */
async function migrate(db: Kysely<Database>): Promise<void> {
  try {
    await migrateToLatest(db);
  } catch (error) {
    if (!isStoreOutage(error)) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new SwitchyardError(
      'STORE_UNAVAILABLE',
      `The database does not answer (${reason}): start it, or correct DATABASE_URL.`,
      undefined,
      { cause: error },
    );
  }
}

/** The version that plugins' engine ranges are held against. */
async function ownVersion(): Promise<string> {
  const file = path.join(import.meta.dirname, '../package.json');
  const { version } = JSON.parse(await readFile(file, 'utf8')) as { readonly version: string };
  return version;
}
