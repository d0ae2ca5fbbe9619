import { randomBytes } from 'node:crypto';
import type { ConfigSchema } from '../config.ts';
import { copyOf } from './events.ts';
import { secretPlaces } from './config-schema.ts';

/** Shorter ones turn up by chance. */
const SEARCHABLE = 8;

export interface Planted<Config> {
  readonly config: Config;
  /** The secrets that are in it: no text that the plugin produces may contain one. */
  readonly canaries: readonly string[];
  /** The places for which nothing was found that the plugin accepts and that can be searched for. */
  readonly unplanted: readonly string[];
}

/**
 * A copy of a configuration in which every secret is filled with something that can be found again: what `secrets` says for its place (`/secret`,
 * `/auth/token`), else what is there already, else something random, if the plugin takes it.
 */
export function plantCanaries<Config>(
  schema: ConfigSchema,
  config: Config,
  secrets: Readonly<Record<string, string>>,
  fits: (config: Config) => boolean,
): Planted<Config> {
  let planted = copyOf(config);
  const canaries: string[] = [];
  const unplanted: string[] = [];
  for (const path of secretPlaces(schema, config)) {
    const place = `/${path.join('/')}`;
    const candidates = [secrets[place], read(planted, path), `canary-${randomBytes(12).toString('hex')}`];
    const chosen = candidates.find(
      (text) => text !== undefined && text.length >= SEARCHABLE && fits(written(planted, path, text)),
    );
    if (chosen === undefined) {
      unplanted.push(place);
    } else {
      planted = written(planted, path, chosen);
      canaries.push(chosen);
    }
  }
  return { config: planted, canaries, unplanted };
}

function read(config: unknown, path: readonly string[]): string | undefined {
  let value = config;
  for (const key of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[key];
  return typeof value === 'string' ? value : undefined;
}

function written<Config>(config: Config, path: readonly string[], text: string): Config {
  const copy = copyOf(config);
  let target = copy as Record<string, unknown>;
  for (const key of path.slice(0, -1)) target = target[key] as Record<string, unknown>;
  const last = path.at(-1);
  if (last !== undefined) target[last] = text;
  return copy;
}
