import { randomUUIDv7 } from 'node:crypto';
import type { PluginConfigs } from '../plugin-host/config.ts';
import type { PluginKind } from '../plugin-host/definition.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { NewInstance } from '../store/instances.ts';

/**
 * What a first start sets up. The only place where core names plugin types, and only as a configuration that a person could have made: a type that is not
 * installed is left out, and nothing else in core depends on one.
 */
export const DEFAULT_PROJECT = {
  name: 'default',
  source: { type: 'http', name: 'http' },
  destinations: [
    { type: 'timescale', name: 'timescale' },
    { type: 'analytics', name: 'analytics' },
  ],
  pipeline: 'default',
} as const;

/** An instance with the plugin's default configuration; null when the plugin is not installed. */
export function defaultInstance(
  kind: Exclude<PluginKind, 'transform'>,
  wanted: { readonly type: string; readonly name: string },
  registry: PluginRegistry,
  configs: PluginConfigs,
): NewInstance | null {
  const plugin = registry.find<'source' | 'destination'>(kind, wanted.type);
  if (plugin === undefined) return null;
  const id = randomUUIDv7();
  return { id, name: wanted.name, type: wanted.type, config: configs.accept(plugin.definition, {}, id), enabled: true };
}

/** The source that every new project begins with. */
export const defaultSource = (registry: PluginRegistry, configs: PluginConfigs): NewInstance | null =>
  defaultInstance('source', DEFAULT_PROJECT.source, registry, configs);
