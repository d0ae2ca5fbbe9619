import { randomUUIDv7 } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import type { DraftResult, HttpClient } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import { SwitchyardError } from '../../src/errors.ts';
import { registerControlPlane } from '../../src/http/control-plane.ts';
import { registerIngestion } from '../../src/http/ingestion.ts';
import { KeyRing, type KeyRingOptions } from '../../src/http/key-ring.ts';
import { collectRoutes } from '../../src/http/openapi.ts';
import { registerOperations, type HealthProbe } from '../../src/http/operations.ts';
import type { ControlPlane } from '../../src/http/plane.ts';
import { createServer } from '../../src/http/server.ts';
import { SourceInstances } from '../../src/http/source-instances.ts';
import { AccessTokens } from '../../src/http/tokens.ts';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { PluginContexts } from '../../src/plugin-host/context.ts';
import { PluginHost } from '../../src/plugin-host/host.ts';
import { ApiKeyRepository } from '../../src/store/api-keys.ts';
import { DeadLetterRepository } from '../../src/store/dead-letters.ts';
import { DestinationRepository } from '../../src/store/destinations.ts';
import { Passwords } from '../../src/store/passwords.ts';
import { PipelineRepository } from '../../src/store/pipelines.ts';
import { ProjectRepository } from '../../src/store/projects.ts';
import type { Database, MemberRole } from '../../src/store/schema.ts';
import { SourceRepository } from '../../src/store/sources.ts';
import { UserRepository, insertUser } from '../../src/store/users.ts';
import { Databases } from '../store/databases.ts';
import { migrated, newProject, testConfigs, testRegistry } from '../store/stored-project.ts';

export const PASSWORD = 'correct horse battery';
export const MAX_BODY_BYTES = 64 * 1024;

interface Parts {
  readonly probes?: readonly HealthProbe[];
  readonly keys?: Partial<KeyRingOptions>;
  readonly limits?: Parameters<typeof createServer>[1];
}

/** What stands in for the parts that move events: the tests here are about what comes in over HTTP. */
export class Moved {
  readonly accepted: { readonly origin: unknown; readonly drafts: readonly unknown[]; readonly sender: unknown }[] = [];
  readonly reloaded: string[] = [];
  woken = 0;
  refuse: SwitchyardError | null = null;
  reject: SwitchyardError | null = null;
  /** What `accept` waits for: a disk that is slow. */
  until: Promise<void> = Promise.resolve();
  queries: ControlPlane['running'] = {
    check: async () => ({ ok: true, message: 'It answers.' }),
    query: async () => null,
    series: async () => null,
  };
}

/** The whole server over a real database, as the composition root puts it together. */
export class RunningServer {
  readonly databases = new Databases();
  readonly moved = new Moved();
  private constructor(
    readonly db: Kysely<Database>,
    readonly tokens: AccessTokens,
    readonly server: ReturnType<typeof createServer>,
    readonly keys: KeyRing,
    readonly plane: ControlPlane,
    databases: Databases,
    moved: Moved,
    readonly log: string[],
  ) {
    this.databases = databases;
    this.moved = moved;
  }

  static async start({ probes = [], keys: keyOptions = {}, limits = {} }: Parts = {}): Promise<RunningServer> {
    const databases = new Databases();
    const moved = new Moved();
    const db = await migrated(databases, 'postgres');
    const log: string[] = [];
    const logger = createLogger('debug', { write: (line) => void log.push(line) });
    const metrics = createMetrics();
    const registry = testRegistry();
    const configs = testConfigs();
    const http: HttpClient = { request: async () => Promise.reject(new Error('no network in this test')) };
    const host = new PluginHost(configs, new PluginContexts(logger, metrics, http, db), logger, metrics);
    const apiKeys = new ApiKeyRepository(db);
    const keys = new KeyRing(apiKeys, logger, keyOptions);
    const tokens = new AccessTokens(Buffer.from('s'.repeat(32)));
    const server = createServer(logger, limits);
    const plane: ControlPlane = {
      projects: new ProjectRepository(db),
      users: new UserRepository(db, new Passwords()),
      apiKeys,
      sources: new SourceRepository(db),
      destinations: new DestinationRepository(db),
      pipelines: new PipelineRepository(db),
      deadLetters: new DeadLetterRepository(db),
      registry,
      configs,
      tokens,
      keys,
      pullSources: { reload: async () => undefined, status: () => null },
      engine: {
        reload: async (project) => void moved.reloaded.push(project),
        accounting: async () => [],
        status: () => ({ state: 'active' }),
        wakeRetries: () => void (moved.woken += 1),
      },
      definitions: {
        check: async () => {
          if (moved.refuse !== null) throw moved.refuse;
        },
      },
      running: {
        check: async (...call) => moved.queries.check(...call),
        query: async (project) => moved.queries.query(project),
        series: async (project) => moved.queries.series(project),
      },
      accepted: async () => 0,
      logger,
      lifecycle: server.lifecycle,
    };
    await collectRoutes(server.app, '0.0.0-test');
    await registerOperations(server.app, { probes, metrics: metrics.registry, lifecycle: server.lifecycle });
    await registerControlPlane(server.app, plane);
    await registerIngestion(server.app, {
      definitions: registry.all('source').map(({ definition }) => definition),
      keys,
      sources: new SourceInstances(host, logger),
      ingress: {
        accept: async (origin, drafts, sender): Promise<readonly DraftResult[]> => {
          await moved.until;
          if (moved.reject !== null) throw moved.reject;
          moved.accepted.push({ origin, drafts, sender });
          return drafts.map(() => ({ ok: true, id: randomUUIDv7() }));
        },
      },
      metrics,
      maxBodyBytes: MAX_BODY_BYTES,
      lifecycle: server.lifecycle,
    });
    await server.app.ready();
    return new RunningServer(db, tokens, server, keys, plane, databases, moved, log);
  }

  get app() {
    return this.server.app;
  }

  async listen(): Promise<number> {
    await this.app.listen({ host: '127.0.0.1', port: 0 });
    return (this.app.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    await this.app.close();
    await this.databases.clean();
  }

  /** A user with a real password. */
  async user(email: string): Promise<{ readonly id: string; readonly email: string }> {
    return insertUser(this.db, email, await new Passwords().hash(PASSWORD));
  }

  async bearer(user: { readonly id: string; readonly email?: string }): Promise<Record<string, string>> {
    const { token } = await this.tokens.issue({ id: user.id, email: user.email ?? 'someone@example.com' });
    return { authorization: `Bearer ${token}` };
  }

  /** A project with a source, and headers of a member. */
  async project(role: MemberRole = 'admin') {
    const { project, admin } = await newProject(this.db);
    await this.db
      .updateTable('members')
      .set({ role })
      .where('project_id', '=', project)
      .where('user_id', '=', admin)
      .execute();
    const id = randomUUIDv7();
    const source = await this.plane.sources.create(project, {
      id,
      name: 'http',
      type: 'http',
      config: {},
      enabled: true,
    });
    return { project, admin, source, headers: await this.bearer({ id: admin }), base: `/api/v1/projects/${project}` };
  }
}
