import { SwitchyardError } from '../errors.ts';
import { PLUGIN_KINDS, type DefinitionOf, type PluginKind } from './definition.ts';

/** A plugin that is installed, checked and loaded. */
export interface Plugin<Kind extends PluginKind = PluginKind> {
  readonly packageName: string;
  readonly version: string;
  readonly directory: string;
  readonly definition: DefinitionOf[Kind];
}

/** What `GET /plugins` says of a plugin: all of it is data. */
export interface PluginListing {
  readonly kind: PluginKind;
  readonly type: string;
  readonly title: string;
  readonly summary: string;
  readonly stability: string;
  readonly package: string;
  readonly version: string;
  readonly config: object;
  readonly config_version: number;
  readonly examples: readonly { readonly title: string; readonly config: unknown }[];
  /** A destination's batch, concurrency and ordering, a transform's batch, a source's routes. */
  readonly capabilities: Readonly<Record<string, unknown>>;
}

/** The plugins of this process. It does not change after the start. */
export class PluginRegistry {
  readonly #plugins: Readonly<Record<PluginKind, ReadonlyMap<string, Plugin>>>;

  constructor(plugins: readonly Plugin[]) {
    const byKind: Record<PluginKind, Map<string, Plugin>> = {
      source: new Map(),
      transform: new Map(),
      destination: new Map(),
    };
    for (const plugin of plugins) byKind[plugin.definition.kind].set(plugin.definition.type, plugin);
    this.#plugins = byKind;
  }

  find<Kind extends PluginKind>(kind: Kind, type: string): Plugin<Kind> | undefined {
    const plugin = this.#plugins[kind].get(type);
    return plugin !== undefined && isKind(plugin, kind) ? plugin : undefined;
  }

  /** Throws `PLUGIN_UNKNOWN`, naming what is installed. */
  get<Kind extends PluginKind>(kind: Kind, type: string): Plugin<Kind> {
    const plugin = this.find(kind, type);
    if (plugin !== undefined) return plugin;
    const installed = [...this.#plugins[kind].keys()].sort();
    const known = installed.length === 0 ? `No ${kind} is installed` : `Installed: ${installed.join(', ')}`;
    throw new SwitchyardError('PLUGIN_UNKNOWN', `There is no ${kind} of the type "${type}". ${known}.`, {
      kind,
      type,
      installed,
    });
  }

  /** Every plugin of a kind, by type. */
  all<Kind extends PluginKind>(kind: Kind): readonly Plugin<Kind>[] {
    return [...this.#plugins[kind].keys()].sort().map((type) => this.get(kind, type));
  }

  list(): readonly PluginListing[] {
    return PLUGIN_KINDS.flatMap((kind) => this.all(kind).map(listing));
  }
}

function isKind<Kind extends PluginKind>(plugin: Plugin, kind: Kind): plugin is Plugin<Kind> {
  return plugin.definition.kind === kind;
}

function listing({ packageName, version, definition }: Plugin): PluginListing {
  const { kind, type, title, summary, stability, config, configVersion, examples } = definition;
  return {
    kind,
    type,
    title,
    summary,
    stability,
    package: packageName,
    version,
    config,
    config_version: configVersion,
    examples,
    capabilities: capabilities(definition),
  };
}

function capabilities(definition: DefinitionOf[PluginKind]): PluginListing['capabilities'] {
  switch (definition.kind) {
    case 'destination':
      return { ...definition.capabilities };
    case 'transform':
      return { batch: definition.batch };
    case 'source':
      return { routes: definition.routes.map(({ name, method, path, summary }) => ({ name, method, path, summary })) };
  }
}
