import type { Logger } from '@switchyard/plugin-sdk';
import { Composition, token } from './container.ts';
import { acceptedBy } from './delivery/accounting.ts';
import { DeliveryEngine } from './delivery/delivery-engine.ts';
import { parseAllowList } from './egress/address.ts';
import { createHttpClient, type HttpClientHandle } from './egress/client.ts';
import { checkUrl } from './egress/url.ts';
import { KeyRing } from './http/key-ring.ts';
import type { ControlPlane } from './http/plane.ts';
import { createServer, type Server } from './http/server.ts';
import { SourceInstances } from './http/source-instances.ts';
import { AccessTokens } from './http/tokens.ts';
import { Ingress } from './ingress/ingress.ts';
import { PullSources } from './ingress/pull-sources.ts';
import type { EventLog } from './log/event-log.ts';
import type { CoreLogger } from './observability/logger.ts';
import type { CoreMetrics } from './observability/metrics.ts';
import { DefinitionCheck } from './pipeline/definition-check.ts';
import { PluginConfigs } from './plugin-host/config.ts';
import { PluginContexts } from './plugin-host/context.ts';
import { PluginHost } from './plugin-host/host.ts';
import type { PluginRegistry } from './plugin-host/registry.ts';
import { SecretBox } from './plugin-host/secrets.ts';
import type { Secrets } from './secrets-file.ts';
import type { Settings } from './settings.ts';
import { ApiKeyRepository } from './store/api-keys.ts';
import type { OpenDatabase } from './store/database.ts';
import { DeadLetterRepository } from './store/dead-letters.ts';
import { DestinationRepository } from './store/destinations.ts';
import { Passwords } from './store/passwords.ts';
import { PipelineRepository } from './store/pipelines.ts';
import { ProjectRepository } from './store/projects.ts';
import type { Database } from './store/schema.ts';
import { SourceRepository } from './store/sources.ts';
import { UserRepository } from './store/users.ts';

/** What is open before anything is composed. */
export interface Opened {
  readonly settings: Settings;
  readonly logger: CoreLogger;
  readonly metrics: CoreMetrics;
  readonly secrets: Secrets;
  readonly registry: PluginRegistry;
  readonly database: OpenDatabase<Database>;
  readonly log: EventLog;
  readonly schedule: readonly number[];
}

export const tokens = {
  opened: token<Opened>('opened'),
  http: token<HttpClientHandle>('http'),
  configs: token<PluginConfigs>('configs'),
  passwords: token<Passwords>('passwords'),
  host: token<PluginHost>('host'),
  ingress: token<Ingress>('ingress'),
  engine: token<DeliveryEngine>('engine'),
  pullSources: token<PullSources>('pullSources'),
  apiKeys: token<ApiKeyRepository>('apiKeys'),
  keyRing: token<KeyRing>('keyRing'),
  sourceInstances: token<SourceInstances>('sourceInstances'),
  server: token<Server>('server'),
  controlPlane: token<ControlPlane>('controlPlane'),
} as const;

/** How everything is put together: the one place that knows which class stands behind which need. */
export function compose(opened: Opened): Composition {
  const { settings, logger, metrics, secrets, registry, database, log, schedule } = opened;
  const { db } = database;
  const plain: Logger = logger;
  const allow = parseAllowList(settings.egressAllow);
  return new Composition()
    .bind(tokens.opened, () => opened)
    .bind(tokens.http, () => createHttpClient({ allow: settings.egressAllow }))
    .bind(tokens.configs, () => new PluginConfigs(new SecretBox(secrets.encryptionKey), (url) => checkUrl(url, allow)))
    .bind(tokens.passwords, () => new Passwords())
    .bind(
      tokens.host,
      (get) =>
        new PluginHost(
          get(tokens.configs),
          new PluginContexts(logger, metrics, get(tokens.http).client, db),
          logger,
          metrics,
        ),
    )
    .bind(
      tokens.ingress,
      () => new Ingress(log, { maxBatch: settings.ingestMaxBatch, maxEventBytes: settings.ingestMaxBodyBytes }),
    )
    .bind(
      tokens.engine,
      (get) => new DeliveryEngine({ db, log, host: get(tokens.host), registry, metrics, logger: plain, schedule }),
    )
    .bind(
      tokens.pullSources,
      (get) => new PullSources({ db, host: get(tokens.host), registry, ingress: get(tokens.ingress), metrics, logger }),
    )
    .bind(tokens.apiKeys, () => new ApiKeyRepository(db))
    .bind(tokens.keyRing, (get) => new KeyRing(get(tokens.apiKeys), plain))
    .bind(tokens.sourceInstances, (get) => new SourceInstances(get(tokens.host), plain))
    .bind(tokens.server, () => createServer(plain))
    .bind(tokens.controlPlane, (get): ControlPlane => {
      const definitions = new DefinitionCheck(db, registry);
      const engine = get(tokens.engine);
      return {
        projects: new ProjectRepository(db),
        users: new UserRepository(db, get(tokens.passwords)),
        apiKeys: get(tokens.apiKeys),
        sources: new SourceRepository(db),
        destinations: new DestinationRepository(db),
        pipelines: new PipelineRepository(db),
        deadLetters: new DeadLetterRepository(db),
        registry,
        configs: get(tokens.configs),
        tokens: new AccessTokens(secrets.jwtSecret),
        engine,
        keys: get(tokens.keyRing),
        pullSources: get(tokens.pullSources),
        definitions,
        running: engine,
        accepted: (project) => acceptedBy(db, log, project),
        logger: plain,
        lifecycle: get(tokens.server).lifecycle,
      };
    });
}
