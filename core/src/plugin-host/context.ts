import type { HttpClient, PluginContext } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import type { CoreLogger } from '../observability/logger.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import type { Database } from '../store/schema.ts';
import type { Definition } from './definition.ts';
import { PluginLogger } from './plugin-logger.ts';
import { inCore } from './scope.ts';
import { InstanceState } from './state.ts';

/** Where an instance belongs. */
export interface InstanceIdentity {
  readonly project: string;
  /** A UUID; for a transform, see `transformInstanceId`. */
  readonly id: string;
  readonly name: string;
}

/** Builds what a plugin instance gets from core: the doors of `PluginContext`, bound to the instance, and nothing else. */
export class PluginContexts {
  readonly #logger: CoreLogger;
  readonly #metrics: CoreMetrics;
  readonly #http: HttpClient;
  readonly #database: Kysely<Database>;

  constructor(logger: CoreLogger, metrics: CoreMetrics, http: HttpClient, database: Kysely<Database>) {
    this.#logger = logger;
    this.#metrics = metrics;
    this.#http = http;
    this.#database = database;
  }

  context(definition: Definition, { project, id, name }: InstanceIdentity): PluginContext {
    const { kind, type, requires } = definition;
    const database = this.#database;
    const http = this.#http;
    return Object.freeze({
      project: Object.freeze({ id: project }),
      instance: Object.freeze({ id, name }),
      logger: new PluginLogger(this.#logger.child({ kind, plugin: type, instance: id, project })),
      metrics: this.#metrics.forPlugin({ plugin: type, instance: id }),
      http: Object.freeze({
        request: (...call: Parameters<HttpClient['request']>) => inCore(() => http.request(...call)),
      }),
      state: new InstanceState(database, id),
      get database(): Kysely<unknown> {
        if (requires?.includes('database') !== true) {
          throw new Error(
            `The ${kind} plugin "${type}" uses context.database without declaring requires: ['database'] in its definition.`,
          );
        }
        // The same connection; the plugin names its tables itself.
        return database as unknown as Kysely<unknown>;
      },
    });
  }
}
