import { Type, type TSchema, type TString } from 'typebox';

/** The JSON Schema keyword that marks a field as a secret. */
export const SECRET_KEYWORD = 'x-secret';

/**
 * A string that is encrypted at rest, written once and never returned by the API (it reads `{"set": true}`).
 * The plugin gets it in plain text in `create` and must not log it or put it into an error. Sources and destinations only: the configuration of a
 * transform is a part of its pipeline's definition, which people read.
 */
export function Secret(
  options: {
    readonly title?: string;
    readonly description?: string;
    readonly minLength?: number;
    readonly pattern?: string;
  } = {},
): TString {
  return Type.String({ ...options, [SECRET_KEYWORD]: true });
}

/**
 * A configuration schema: a TypeBox object with `additionalProperties: false`. It validates (strictly), types, documents, and
 * draws the form. Keywords that are ours: `x-secret`, `x-widget` (`"code"`, `"json"`), `x-advanced`.
 */
export type ConfigSchema = TSchema;

/** A configuration that is tested with the plugin and shown to people. */
export interface ConfigExample<Config> {
  readonly title: string;
  readonly config: Config;
}

export type Stability = 'experimental' | 'stable' | 'deprecated';

/** What every plugin says of itself. All of it is data. */
export interface PluginMeta<Config> {
  /** The name in pipelines, the API and the discovery key: `webhook`. Lower case, digits and hyphens. */
  readonly type: string;
  readonly title: string;
  /** One sentence for the person who chooses a plugin from a list. */
  readonly summary: string;
  readonly stability: Stability;
  readonly config: ConfigSchema;
  /** Raised when an older stored configuration no longer fits. */
  readonly configVersion: number;
  /** At least one. */
  readonly examples: readonly [ConfigExample<Config>, ...ConfigExample<Config>[]];
  /** The doors beside the common ones that the plugin needs; see `PluginContext`. */
  readonly requires?: readonly 'database'[];
}
