import { Value } from 'typebox/value';
import { SECRET_KEYWORD, type ConfigSchema } from '../config.ts';

/** A JSON Schema, seen as the plain data that it is. */
type Node = Readonly<Record<string, unknown>>;

/** Core validates with ajv in strict mode: a keyword that it does not know is refused when the plugin is loaded. */
const KEYWORDS: ReadonlySet<string> = new Set(
  `$schema $id $ref $defs $comment $anchor definitions title description default examples deprecated readOnly writeOnly
  type enum const format minLength maxLength pattern contentEncoding contentMediaType contentSchema
  minimum maximum exclusiveMinimum exclusiveMaximum multipleOf
  items prefixItems additionalItems minItems maxItems uniqueItems contains minContains maxContains unevaluatedItems
  properties required additionalProperties patternProperties propertyNames minProperties maxProperties dependencies
  dependentRequired dependentSchemas unevaluatedProperties
  allOf anyOf oneOf not if then else ${SECRET_KEYWORD} x-widget x-advanced`.split(/\s+/),
);

const SINGLE = [
  'items',
  'additionalProperties',
  'not',
  'if',
  'then',
  'else',
  'contains',
  'propertyNames',
  'additionalItems',
  'unevaluatedProperties',
];
const LISTS = ['allOf', 'anyOf', 'oneOf', 'prefixItems', 'items'];
const MAPS = ['properties', 'patternProperties', '$defs', 'definitions', 'dependentSchemas'];

const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Every schema inside a schema with its place, itself first. */
function* subschemas(schema: unknown, path = 'config'): Generator<{ readonly path: string; readonly node: Node }> {
  if (!isNode(schema)) return;
  yield { path, node: schema };
  for (const key of SINGLE) yield* subschemas(schema[key], `${path}/${key}`);
  for (const key of LISTS) {
    const list = schema[key];
    if (Array.isArray(list)) for (const [at, part] of list.entries()) yield* subschemas(part, `${path}/${key}/${at}`);
  }
  for (const key of MAPS) {
    const map = schema[key];
    if (isNode(map)) for (const [name, part] of Object.entries(map)) yield* subschemas(part, `${path}/${name}`);
  }
}

/** The places at which the schema lets keys through that it does not name. A record (keys by pattern) is meant to. */
export function openObjects(schema: ConfigSchema): readonly string[] {
  const open: string[] = [];
  for (const { path, node } of subschemas(schema)) {
    const isObject = node['type'] === 'object' || isNode(node['properties']);
    const isRecord =
      node['properties'] === undefined && (isNode(node['patternProperties']) || isNode(node['additionalProperties']));
    const closed = node['additionalProperties'] === false || node['unevaluatedProperties'] === false;
    if (isObject && !isRecord && !closed) open.push(path);
  }
  return open;
}

export function unknownKeywords(schema: ConfigSchema): readonly string[] {
  return [...subschemas(schema)].flatMap(({ path, node }) =>
    Object.keys(node)
      .filter((key) => !KEYWORDS.has(key))
      .map((key) => `${path}: ${key}`),
  );
}

export function hasSecrets(schema: ConfigSchema): boolean {
  return [...subschemas(schema)].some(({ node }) => node[SECRET_KEYWORD] === true);
}

/** What the schema finds wrong, in one line; null when nothing. */
export function schemaProblem(schema: ConfigSchema, config: unknown): string | null {
  if (Value.Check(schema, config)) return null;
  const [first] = Value.Errors(schema, config);
  return first === undefined
    ? 'it does not fit the schema'
    : `${first.instancePath === '' ? 'the whole' : first.instancePath} ${first.message}`;
}

/** The places of secrets in a configuration: those that are filled, and those that could be. */
export function* secretPlaces(
  schema: unknown,
  value: unknown,
  path: readonly string[] = [],
): Generator<readonly string[]> {
  if (!isNode(schema)) return;
  if (schema[SECRET_KEYWORD] === true) {
    yield path;
    return;
  }
  for (const part of variants(schema, value)) yield* secretPlaces(part, value, path);
  if (Array.isArray(value)) {
    for (const [at, item] of value.entries()) yield* secretPlaces(schema['items'], item, [...path, String(at)]);
  } else if (isNode(value)) {
    yield* secretsOfObject(schema, value, path);
  }
}

function* secretsOfObject(schema: Node, value: Node, path: readonly string[]): Generator<readonly string[]> {
  const properties = isNode(schema['properties']) ? schema['properties'] : {};
  for (const [name, part] of Object.entries(properties)) yield* secretPlaces(part, value[name], [...path, name]);
  const patterns = isNode(schema['patternProperties']) ? Object.values(schema['patternProperties']) : [];
  for (const part of [...patterns, schema['additionalProperties']]) {
    for (const [name, item] of Object.entries(value)) {
      if (!(name in properties)) yield* secretPlaces(part, item, [...path, name]);
    }
  }
}

/** The alternatives that the value is one of; all parts of an intersection. */
function variants(schema: Node, value: unknown): readonly unknown[] {
  const all = Array.isArray(schema['allOf']) ? (schema['allOf'] as unknown[]) : [];
  const any = [schema['anyOf'], schema['oneOf']].flatMap((list) => (Array.isArray(list) ? (list as unknown[]) : []));
  return [...all, ...any.filter((part) => isNode(part) && Value.Check(part, value))];
}
