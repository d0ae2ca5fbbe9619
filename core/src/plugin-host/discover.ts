import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import semver from 'semver';
import { hasErrno } from '../errno.ts';
import { SwitchyardError } from '../errors.ts';
import { compileConfig } from './config.ts';
import { PLUGIN_KINDS, definitionProblems, type Definition } from './definition.ts';
import { PackageProblem, findInstalledPackage, readPluginPackage, type PluginPackage } from './package.ts';
import { PluginRegistry, type Plugin } from './registry.ts';
import { inPlugin } from './scope.ts';
import { unreachableSecrets } from './secret-fields.ts';

export interface DiscoveryOptions {
  /** The folder with sources, transforms and destinations; null when there is none. */
  readonly pluginsDirectory: string | null;
  /** Setting `PLUGINS`: paths, and names of installed packages. */
  readonly listed: readonly string[];
  /** What relative paths are relative to, and whose node_modules are searched first. */
  readonly workingDirectory: string;
  /** The version that a plugin's engine range is held against. */
  readonly coreVersion: string;
}

/** A module that awaits something endless at its top would otherwise stop the start without a word. */
const IMPORT_DEADLINE_MS = 30_000;

/** Plugins are loaded the way core itself was: from their sources in tests and checks, else as built. */
const runsFromSources = import.meta.url.endsWith('.ts');
const conditions: ReadonlySet<string> = new Set([
  ...(runsFromSources ? ['@switchyard/source'] : []),
  'node',
  'import',
  'module-sync',
  'default',
]);

/**
 * Finds, checks and imports every plugin. All or nothing: a plugin that cannot be used is an error at start rather than a
 * destination that is missing at night. One `PLUGIN_NOT_LOADABLE` lists everything that is wrong.
 */
export async function discoverPlugins(options: DiscoveryOptions): Promise<PluginRegistry> {
  const problems: string[] = [];
  const attempt = async <Value>(what: string, run: () => Promise<Value>): Promise<Value | undefined> => {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof PackageProblem)) throw error;
      problems.push(`${what}: ${error.message}`);
      return undefined;
    }
  };

  const packages = new Map<string, PluginPackage>();
  for (const candidate of await candidates(options)) {
    const found = await attempt(candidate.label, () => readCandidate(candidate, options));
    if (found !== undefined) packages.set(found.directory, found);
  }

  const plugins = new Map<string, Plugin>();
  for (const found of packages.values()) {
    const plugin = await attempt(`package ${found.name}`, () => load(found, options.coreVersion));
    if (plugin === undefined) continue;
    const key = `${found.kind} ${found.type}`;
    const other = plugins.get(key);
    if (other === undefined) plugins.set(key, plugin);
    else
      problems.push(
        `package ${found.name}: ${key} is already provided by package ${other.packageName}: remove one of the two, or give it another type`,
      );
  }

  if (problems.length > 0) {
    const text =
      problems.length === 1
        ? String(problems[0])
        : `${problems.length} problems:${problems.map((problem) => `\n  - ${problem}`).join('')}`;
    throw new SwitchyardError('PLUGIN_NOT_LOADABLE', `Not every plugin can be loaded. ${text}`);
  }
  return new PluginRegistry([...plugins.values()]);
}

interface Candidate {
  readonly label: string;
  /** Where PLUGINS names it, it must be there and be a plugin; a folder under plugins/ may be something else. */
  readonly listed: string | null;
  readonly folder: string | null;
}

async function candidates(options: DiscoveryOptions): Promise<readonly Candidate[]> {
  const result: Candidate[] = [];
  for (const kind of PLUGIN_KINDS) {
    const parent = options.pluginsDirectory === null ? null : path.join(options.pluginsDirectory, `${kind}s`);
    for (const name of parent === null ? [] : await folderNames(parent)) {
      result.push({ label: `plugins/${kind}s/${name}`, listed: null, folder: path.join(String(parent), name) });
    }
  }
  for (const listed of options.listed) {
    const isPath = listed.startsWith('.') || path.isAbsolute(listed);
    result.push({
      label: `PLUGINS names ${listed}`,
      listed,
      folder: isPath ? path.resolve(options.workingDirectory, listed) : null,
    });
  }
  return result;
}

async function folderNames(parent: string): Promise<string[]> {
  try {
    const entries = await readdir(parent, { withFileTypes: true });
    return entries
      .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
      .map((entry) => entry.name)
      .sort();
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

async function readCandidate(
  { listed, folder }: Candidate,
  options: DiscoveryOptions,
): Promise<PluginPackage | undefined> {
  const places = [options.workingDirectory, import.meta.dirname];
  const place = folder ?? (await findInstalledPackage(String(listed), places));
  if (place === undefined)
    throw new PackageProblem(
      `no such package is installed: run npm install ${listed}, or write a path beginning with ./`,
    );
  const found = await readPluginPackage(place, conditions);
  if (found === undefined && listed !== null) {
    throw new PackageProblem(
      'there is no package.json with a "switchyard" key: it is not a Switchyard plugin, or the path is wrong',
    );
  }
  return found;
}

async function load(found: PluginPackage, coreVersion: string): Promise<Plugin> {
  if (semver.validRange(found.engine) === null)
    throw new PackageProblem(`its engine range "${found.engine}" is not a version range`);
  if (!semver.satisfies(coreVersion, found.engine, { includePrerelease: true })) {
    throw new PackageProblem(
      `it works with Switchyard ${found.engine}, and this is ${coreVersion}: install a version of the plugin that fits, or remove it`,
    );
  }
  const exported = await importDefault(found);
  const problems = definitionProblems(exported, found);
  if (problems.length > 0) throw new PackageProblem(`${problems.join('; ')}: this is for its author to mend`);
  // Every field that the type promises has just been looked at.
  const definition = exported as Definition;
  try {
    compileConfig(definition);
  } catch (error) {
    throw new PackageProblem(
      `its config schema is not strict JSON Schema (${reason(error)}): this is for its author to mend`,
    );
  }
  const unreachable = unreachableSecrets(definition.config);
  if (unreachable > 0) {
    throw new PackageProblem(
      'its config schema has a secret where it would not be encrypted: a Secret() may stand in properties, items and unions, not behind $ref or in other keywords: this is for its author to mend',
    );
  }
  return { packageName: found.name, version: found.version, directory: found.directory, definition };
}

async function importDefault({ entry, kind, type }: PluginPackage): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`the module was still loading after ${IMPORT_DEADLINE_MS / 1000} s`)),
      IMPORT_DEADLINE_MS,
    );
  });
  try {
    const module: unknown = await Promise.race([
      inPlugin({ kind, type, instance: null }, () => import(pathToFileURL(entry).href)),
      late,
    ]);
    return typeof module === 'object' && module !== null && 'default' in module ? module.default : undefined;
  } catch (error) {
    throw new PackageProblem(`importing it failed (${reason(error)})`);
  } finally {
    clearTimeout(timer);
  }
}

function reason(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}
