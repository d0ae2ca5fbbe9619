import type { Event, Transform, TransformOutcomes } from '@switchyard/plugin-sdk';
import { apply } from '../plugin-host/calls.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import { transformInstanceId } from '../plugin-host/instance-id.ts';
import type { PluginInstance } from '../plugin-host/instance.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import { compilePlans, type Plan } from './compile.ts';
import type { PipelineDefinition } from './definition.ts';
import { TransformBug, type RunningTransform } from './run.ts';

/** A transform has this long for a batch: longer than any limit of its own, so that only one that has none meets it. */
const APPLY_DEADLINE_MS = 60_000;
const CLOSE_MS = 10_000;

/**
 * One published version with its transforms open, shared by all its subscriptions. A transform that does not open makes `apply` reject:
 * the events wait in the log.
 */
export class RunningPipeline {
  readonly plans: readonly Plan[];
  readonly transforms: ReadonlyMap<string, RunningTransform>;
  private readonly instances: readonly PluginInstance<Transform>[];

  constructor(
    readonly project: string,
    readonly pipeline: string,
    readonly version: number,
    definition: PipelineDefinition,
    host: PluginHost,
    registry: PluginRegistry,
  ) {
    this.plans = compilePlans(definition);
    const transforms = new Map<string, RunningTransform>();
    const instances: PluginInstance<Transform>[] = [];
    for (const node of definition.nodes) {
      if (node.kind !== 'transform') continue;
      const plugin = registry.find('transform', node.type);
      if (plugin === undefined) {
        transforms.set(node.id, missing(node.id, node.type));
        continue;
      }
      const instance = host.transform(
        plugin.definition,
        { project, id: transformInstanceId(pipeline, node.id), name: node.id },
        node.config,
      );
      instance.start();
      instances.push(instance);
      transforms.set(node.id, running(node.id, plugin.definition.batch.maxEvents, instance));
    }
    this.transforms = transforms;
    this.instances = instances;
  }

  /** Lets what is under way finish. A walk that is between two transforms meets a closed one and begins anew with the next version. */
  async close(): Promise<void> {
    await Promise.all(this.instances.map((instance) => instance.close(CLOSE_MS)));
  }
}

function running(node: string, maxEvents: number, instance: PluginInstance<Transform>): RunningTransform {
  return {
    maxEvents,
    apply: async (batch: readonly Event[], signal: AbortSignal): Promise<TransformOutcomes> => {
      await readyOr(instance, signal);
      const result = await apply(instance, batch, { signal, deadlineMs: APPLY_DEADLINE_MS });
      if (result.ok) return result.value;
      signal.throwIfAborted();
      const { failure } = result;
      if (failure.reason === 'failed' && failure.error.kind === 'permanent')
        return new Map(batch.map(({ id }) => [id, { action: 'fail', error: failure.error }]));
      if (failure.reason === 'bug') throw new TransformBug(failure.error.code, failure.error.message);
      if (failure.reason === 'failed') throw failure.error;
      throw new Error(`The transform "${node}" was closed while it was needed.`);
    },
  };
}

async function readyOr(instance: PluginInstance<Transform>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const aborted = Promise.withResolvers<void>();
  const abort = (): void => aborted.resolve();
  signal.addEventListener('abort', abort, { once: true });
  await Promise.race([instance.ready, aborted.promise]);
  signal.removeEventListener('abort', abort);
  signal.throwIfAborted();
}

/** The plugin was there when the version was published and is not now. */
function missing(node: string, type: string): RunningTransform {
  return {
    maxEvents: 1,
    apply: () =>
      Promise.reject(
        new Error(
          `The transform "${node}" needs the plugin "${type}", which is not installed: install it again and restart.`,
        ),
      ),
  };
}
