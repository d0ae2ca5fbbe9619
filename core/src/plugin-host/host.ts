import type { Destination, Lifecycle, PluginContext, PullSource, PushSource, Transform } from '@switchyard/plugin-sdk';
import type { CoreLogger } from '../observability/logger.ts';
import type { CoreMetrics } from '../observability/metrics.ts';
import type { PluginConfigs } from './config.ts';
import type { InstanceIdentity, PluginContexts } from './context.ts';
import type { Definition, DefinitionOf } from './definition.ts';
import { PluginInstance } from './instance.ts';

/** Makes instances of all three kinds. They begin to open when `start` is called, and belong to the caller, who closes them. */
export class PluginHost {
  readonly #configs: PluginConfigs;
  readonly #contexts: PluginContexts;
  readonly #logger: CoreLogger;
  readonly #metrics: CoreMetrics;

  constructor(configs: PluginConfigs, contexts: PluginContexts, logger: CoreLogger, metrics: CoreMetrics) {
    this.#configs = configs;
    this.#contexts = contexts;
    this.#logger = logger;
    this.#metrics = metrics;
  }

  /** `config` as it is stored, with its secrets sealed. What is wrong with it becomes the status of the instance. */
  source(
    definition: DefinitionOf['source'],
    identity: InstanceIdentity,
    config: unknown,
  ): PluginInstance<PushSource | PullSource> {
    return this.#instance(definition, identity, config, (plain, context) => definition.create(plain, context));
  }

  transform(
    definition: DefinitionOf['transform'],
    identity: InstanceIdentity,
    config: unknown,
  ): PluginInstance<Transform> {
    return this.#instance(definition, identity, config, (plain, context) => definition.create(plain, context));
  }

  destination(
    definition: DefinitionOf['destination'],
    identity: InstanceIdentity,
    config: unknown,
  ): PluginInstance<Destination> {
    return this.#instance(definition, identity, config, (plain, context) => definition.create(plain, context));
  }

  #instance<Plugin extends Lifecycle>(
    definition: Definition,
    identity: InstanceIdentity,
    config: unknown,
    create: (plain: unknown, context: PluginContext) => Plugin,
  ): PluginInstance<Plugin> {
    const { kind, type } = definition;
    const { id, project } = identity;
    return new PluginInstance({
      scope: { kind, type, instance: id },
      create: () => create(this.#configs.open(definition, config, id), this.#contexts.context(definition, identity)),
      logger: this.#logger.child({ kind, plugin: type, instance: id, project }),
      onFault: (fault) => this.#metrics.pluginFaults.inc({ kind, type, fault }),
    });
  }
}
