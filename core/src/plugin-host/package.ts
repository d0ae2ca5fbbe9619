import { readFile, realpath, stat } from 'node:fs/promises';
import path from 'node:path';
import { hasErrno } from '../errno.ts';
import { PLUGIN_KINDS, PLUGIN_TYPE, type PluginKind } from './definition.ts';

/** A plugin package on disk, before any of its code has run. */
export interface PluginPackage {
  readonly name: string;
  readonly version: string;
  /** Real path: a workspace link and its target are one package. */
  readonly directory: string;
  readonly kind: PluginKind;
  readonly type: string;
  /** The range of core versions that it works with. */
  readonly engine: string;
  /** Absolute path of the module whose default export is the definition. */
  readonly entry: string;
}

/** Why a package cannot be used. The message completes "the package X: …" and says what to do. */
export class PackageProblem extends Error {}

type Manifest = Readonly<Record<string, unknown>>;

/**
 * Reads a package's `package.json`. Undefined when the folder has none or the file has no `switchyard` key: then it is not a plugin.
 *
 * The entry is found through the package's own `exports` with `conditions`, rather than by importing the package's name, because a name is
 * resolved from the importer's place: it would find neither a package at an absolute path nor one beside a different node_modules.
 */
export async function readPluginPackage(
  folder: string,
  conditions: ReadonlySet<string>,
): Promise<PluginPackage | undefined> {
  const manifest = await readManifest(folder);
  if (manifest === undefined || manifest['switchyard'] === undefined) return undefined;
  const directory = await realpath(folder);
  const { kind, type, engine, entry } = discoveryKey(manifest['switchyard']);
  const name = manifest['name'];
  const version = manifest['version'];
  if (typeof name !== 'string' || typeof version !== 'string')
    throw new PackageProblem('its package.json needs a name and a version');
  return {
    name,
    version,
    directory,
    kind,
    type,
    engine,
    entry: await resolveEntry(directory, manifest, entry, conditions),
  };
}

/** The folder of an installed package: looked for in the node_modules of each place and of the folders above it. */
export async function findInstalledPackage(name: string, places: readonly string[]): Promise<string | undefined> {
  for (const place of places) {
    for (let folder = path.resolve(place); ; folder = path.dirname(folder)) {
      const candidate = path.join(folder, 'node_modules', name);
      if (await isFile(path.join(candidate, 'package.json'))) return candidate;
      if (path.dirname(folder) === folder) break;
    }
  }
  return undefined;
}

async function readManifest(folder: string): Promise<Manifest | undefined> {
  let text: string;
  try {
    text = await readFile(path.join(folder, 'package.json'), 'utf8');
  } catch (error) {
    if (hasErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new PackageProblem(`its package.json cannot be read (${reason(error)})`);
  }
  try {
    const manifest: unknown = JSON.parse(text);
    if (isObject(manifest)) return manifest;
  } catch (error) {
    throw new PackageProblem(`its package.json is not JSON (${reason(error)})`);
  }
  throw new PackageProblem('its package.json is not a JSON object');
}

function discoveryKey(key: unknown): Pick<PluginPackage, 'kind' | 'type' | 'engine'> & { readonly entry: string } {
  const example = 'such as {"kind": "destination", "type": "webhook", "engine": "^0.1.0", "entry": "."}';
  if (!isObject(key)) throw new PackageProblem(`"switchyard" in its package.json must be an object, ${example}`);
  const kind = PLUGIN_KINDS.find((candidate) => candidate === key['kind']);
  if (kind === undefined)
    throw new PackageProblem(
      `"switchyard.kind" in its package.json must be one of ${PLUGIN_KINDS.join(', ')}, ${example}`,
    );
  const { type, engine, entry = '.' } = { type: key['type'], engine: key['engine'], entry: key['entry'] };
  if (typeof type !== 'string' || !PLUGIN_TYPE.test(type)) {
    throw new PackageProblem(
      `"switchyard.type" in its package.json must be lower-case letters, digits and hyphens, ${example}`,
    );
  }
  if (typeof engine !== 'string')
    throw new PackageProblem(`"switchyard.engine" in its package.json must be a version range, ${example}`);
  if (typeof entry !== 'string' || !/^\.(\/[^/]|$)/.test(entry)) {
    throw new PackageProblem(
      `"switchyard.entry" in its package.json must be one of the package's exports ("." or "./name"), ${example}`,
    );
  }
  return { kind, type, engine, entry };
}

async function resolveEntry(
  directory: string,
  manifest: Manifest,
  entry: string,
  conditions: ReadonlySet<string>,
): Promise<string> {
  const exported = manifest['exports'];
  const target = exported === undefined ? withoutExports(manifest, entry) : fromExports(exported, entry, conditions);
  if (target === undefined)
    throw new PackageProblem(
      `its package.json exports nothing for the entry "${entry}" with the conditions ${[...conditions].join(', ')}`,
    );
  const file = path.resolve(directory, target);
  if (!file.startsWith(directory + path.sep))
    throw new PackageProblem(`its entry "${target}" lies outside of the package`);
  if (!(await isFile(file)))
    throw new PackageProblem(
      `its entry ${target} does not exist: build the package (in this repository: npm run build)`,
    );
  return realpath(file);
}

function withoutExports(manifest: Manifest, entry: string): string | undefined {
  if (entry !== '.') return entry;
  return typeof manifest['main'] === 'string' ? manifest['main'] : './index.js';
}

/** The part of Node's algorithm that applies to a literal entry (no `*` patterns). */
function fromExports(exported: unknown, entry: string, conditions: ReadonlySet<string>): string | undefined {
  const hasSubpaths = isObject(exported) && Object.keys(exported).some((key) => key.startsWith('.'));
  if (hasSubpaths) return pickTarget(exported[entry], conditions);
  return entry === '.' ? pickTarget(exported, conditions) : undefined;
}

function pickTarget(target: unknown, conditions: ReadonlySet<string>): string | undefined {
  if (typeof target === 'string') return target;
  const candidates = Array.isArray(target)
    ? target
    : Object.entries(isObject(target) ? target : {})
        .filter(([condition]) => conditions.has(condition))
        .map(([, value]) => value);
  for (const candidate of candidates) {
    const found = pickTarget(candidate, conditions);
    if (found !== undefined) return found;
  }
  return undefined;
}

async function isFile(file: string): Promise<boolean> {
  try {
    return (await stat(file)).isFile();
  } catch {
    return false;
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
