import type { PluginConfigs } from '../plugin-host/config.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { StoredInstance } from '../store/instances.ts';

/**
 * A stored configuration as the API shows it, secrets masked. Which fields are secrets is the plugin's to say: of a plugin that is no longer installed, nothing
 * is shown.
 */
export function shownConfig(
  kind: 'source' | 'destination',
  stored: StoredInstance,
  registry: PluginRegistry,
  configs: PluginConfigs,
): Record<string, unknown> {
  const plugin = registry.find<'source' | 'destination'>(kind, stored.type);
  return plugin === undefined
    ? {}
    : Object.fromEntries(Object.entries(configs.mask(plugin.definition, stored.config) ?? {}));
}
