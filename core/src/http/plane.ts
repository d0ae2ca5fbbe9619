import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { Logger } from '@switchyard/plugin-sdk';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type { Engine } from '../engine.ts';
import type { PullSources } from '../ingress/pull-sources.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { PluginConfigs } from '../plugin-host/config.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { ApiKeyRepository } from '../store/api-keys.ts';
import type { DeadLetterRepository } from '../store/dead-letters.ts';
import type { DestinationRepository } from '../store/destinations.ts';
import type { PipelineRepository } from '../store/pipelines.ts';
import type { ProjectRepository } from '../store/projects.ts';
import type { SourceRepository } from '../store/sources.ts';
import type { UserRepository } from '../store/users.ts';
import type { Lifecycle } from './server.ts';
import type { AccessTokens } from './tokens.ts';

/** What the control plane asks of destinations that are running; the engine is one. */
type RunningDestinations = Pick<Engine, 'check' | 'query' | 'series'>;

/** Everything that the routes under /api/v1 need. */
export interface ControlPlane {
  readonly projects: ProjectRepository;
  readonly users: UserRepository;
  readonly apiKeys: ApiKeyRepository;
  readonly sources: SourceRepository;
  readonly destinations: DestinationRepository;
  readonly pipelines: PipelineRepository;
  readonly deadLetters: DeadLetterRepository;
  readonly registry: PluginRegistry;
  readonly configs: PluginConfigs;
  readonly tokens: AccessTokens;
  readonly engine: Pick<Engine, 'reload' | 'accounting' | 'status' | 'wakeRetries'>;
  /** Called after every change of a key or a source. */
  readonly keys: { forget(): void };
  /** Sources that run by themselves. `reload` is called after every change of a source. */
  readonly pullSources: Pick<PullSources, 'reload' | 'status'>;
  readonly definitions: {
    /** Throws `PIPELINE_INVALID` with everything that keeps the definition from running in this project. */
    check(definition: PipelineDefinition, project: string): Promise<void>;
  };
  readonly running: RunningDestinations;
  /** How many events a project has accepted since its log began. */
  accepted(project: string): Promise<number>;
  readonly logger: Logger;
  readonly lifecycle: Lifecycle;
}

/** A scope whose handlers get their types from the schemas that validate. */
export type Scope = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** Brings what runs in line with a change that is stored. The change stands whatever becomes of this: it is not undone by an answer that says it failed. */
export async function apply(
  plane: ControlPlane,
  project: string,
  running: { reload(project: string): Promise<void> } = plane.engine,
): Promise<void> {
  try {
    await running.reload(project);
  } catch (error) {
    plane.logger.error('a change is stored but what runs could not be brought in line with it', { project, error });
  }
}
