import type { DestinationDefinition, SourceDefinition, TransformDefinition } from '@switchyard/plugin-sdk';
import { hasSecrets } from './secret-fields.ts';

/** What each kind of plugin exports. The configuration type is the plugin's own affair. */
export interface DefinitionOf {
  readonly source: SourceDefinition<unknown>;
  readonly transform: TransformDefinition<unknown>;
  readonly destination: DestinationDefinition<unknown>;
}

export type PluginKind = keyof DefinitionOf;
export const PLUGIN_KINDS = ['source', 'transform', 'destination'] as const satisfies readonly PluginKind[];

export type Definition = DefinitionOf[PluginKind];

export const PLUGIN_TYPE = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/;

type Fields = Readonly<Record<string, unknown>>;

/**
 * What is wrong with a plugin's default export, one sentence each; nothing when it is a definition. Plugins are also written in JavaScript, so
 * what the types promise is looked at.
 */
export function definitionProblems(
  value: unknown,
  expected: { readonly kind: PluginKind; readonly type: string },
): string[] {
  if (!isFields(value))
    return [
      'its default export is not a definition: write `export default defineDestination({ … })` (or defineSource, defineTransform)',
    ];
  const problems: string[] = [];
  const want = (ok: boolean, problem: string): void => void (ok || problems.push(problem));
  want(
    value['kind'] === expected.kind,
    `package.json says kind "${expected.kind}", the definition ${quoted(value['kind'])}`,
  );
  want(
    value['type'] === expected.type,
    `package.json says type "${expected.type}", the definition ${quoted(value['type'])}`,
  );
  for (const name of ['title', 'summary'] as const) want(isText(value[name]), `"${name}" must be a text`);
  want(
    ['experimental', 'stable', 'deprecated'].includes(String(value['stability'])),
    '"stability" must be experimental, stable or deprecated',
  );
  want(isCount(value['configVersion']), '"configVersion" must be a whole number from 1');
  problems.push(...configProblems(value['config']), ...exampleProblems(value['examples']));
  const requires = value['requires'];
  want(
    requires === undefined || (Array.isArray(requires) && requires.every((door) => door === 'database')),
    '"requires" knows only "database"',
  );
  want(typeof value['create'] === 'function', '"create" must be a function');
  want(value['validate'] === undefined || typeof value['validate'] === 'function', '"validate" must be a function');
  problems.push(...kindProblems[expected.kind](value));
  return problems;
}

function configProblems(config: unknown): string[] {
  if (!isFields(config) || config['type'] !== 'object')
    return ['"config" must be the JSON Schema of an object: Type.Object({ … }, { additionalProperties: false })'];
  if (config['additionalProperties'] !== false)
    return ['"config" must set additionalProperties to false, so that a misspelt field is an error'];
  return [];
}

function exampleProblems(examples: unknown): string[] {
  const ok =
    Array.isArray(examples) &&
    examples.length > 0 &&
    examples.every((example) => isFields(example) && isText(example['title']) && 'config' in example);
  return ok ? [] : ['"examples" must hold at least one { title, config }'];
}

const kindProblems: Readonly<Record<PluginKind, (value: Fields) => string[]>> = {
  source: (value) => {
    const problems: string[] = [];
    const routes = value['routes'];
    if (!Array.isArray(routes)) return ['"routes" must be an array (empty for a source that pulls)'];
    for (const [index, route] of routes.entries()) {
      const ok =
        isFields(route) &&
        isText(route['name']) &&
        (route['method'] === 'GET' || route['method'] === 'POST') &&
        typeof route['path'] === 'string' &&
        /^(\/[A-Za-z0-9._~-]+)+$/.test(route['path']) &&
        isText(route['summary']) &&
        isFields(route['responses']);
      if (!ok)
        problems.push(
          `"routes[${index}]" needs a name, the method GET or POST, a literal absolute path without a slash at its end, a summary and responses`,
        );
    }
    if (typeof value['credential'] !== 'function') problems.push('"credential" must be a function');
    return problems;
  },
  transform: (value) => {
    const problems = batchProblems(value['batch'], 'batch');
    // A transform's configuration is a part of the pipeline's definition, which is stored and shown as it is.
    if (isFields(value['config']) && hasSecrets(value['config']))
      problems.push(
        '"config" has a Secret() field: a pipeline shows the configuration of its transforms, so they take no secrets',
      );
    return problems;
  },
  destination: (value) => {
    const capabilities = value['capabilities'];
    if (!isFields(capabilities)) return ['"capabilities" must be { batch, concurrency, ordering }'];
    const problems = batchProblems(capabilities['batch'], 'capabilities.batch');
    if (!isCount(capabilities['concurrency']))
      problems.push('"capabilities.concurrency" must be a whole number from 1');
    if (!['none', 'key', 'partition'].includes(String(capabilities['ordering'])))
      problems.push('"capabilities.ordering" must be none, key or partition');
    return problems;
  },
};

function batchProblems(batch: unknown, name: string): string[] {
  if (!isFields(batch) || !isCount(batch['maxEvents'])) return [`"${name}.maxEvents" must be a whole number from 1`];
  const wait = batch['maxWaitMs'];
  return wait === undefined || (typeof wait === 'number' && wait >= 0 && wait <= 60_000)
    ? []
    : [`"${name}.maxWaitMs" must be from 0 to 60000`];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 1;
}

function quoted(value: unknown): string {
  return typeof value === 'string' ? `"${value}"` : 'has none';
}
