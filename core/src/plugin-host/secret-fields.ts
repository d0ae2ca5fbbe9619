import { SECRET_KEYWORD } from '@switchyard/plugin-sdk';

/** Where in a configuration: property names and array indexes from the root. */
export type FieldPath = readonly string[];

type Schema = Readonly<Record<string, unknown>>;

/** What the API shows and takes for a secret that is stored. */
export const SET = { set: true } as const;

/** What is stored in place of a secret. */
export interface Sealed {
  readonly $sealed: string;
}

export function isSealed(value: unknown): value is Sealed {
  return isObject(value) && Object.keys(value).length === 1 && typeof value['$sealed'] === 'string';
}

export function isSet(value: unknown): value is typeof SET {
  return isObject(value) && Object.keys(value).length === 1 && value['set'] === true;
}

/** RFC 6901: `/headers/0/value`. */
export function pointer(path: FieldPath): string {
  return path.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/**
 * A copy of a configuration with every secret replaced: at any depth, in arrays, in records, in every branch of a union. A secret is a text,
 * a sealed text or `{"set": true}` in a place that the schema (or one branch of it) marks; when branches differ, the marked one counts.
 */
export function mapSecrets(
  schema: object,
  config: unknown,
  replace: (value: unknown, path: FieldPath) => unknown,
): unknown {
  const mayBeSecret = (value: unknown): boolean => typeof value === 'string' || isSealed(value) || isSet(value);
  return mapFields(
    schema,
    config,
    (value, schemas) => mayBeSecret(value) && schemas.some((one) => one[SECRET_KEYWORD] === true),
    replace,
  );
}

/** Where a configuration that was sent keeps what is stored. */
export function keptSecrets(schema: object, config: unknown): readonly FieldPath[] {
  const kept: FieldPath[] = [];
  mapSecrets(schema, config, (value, path) => {
    if (isSet(value)) kept.push(path);
    return value;
  });
  return kept;
}

/** Every address in a configuration: texts in places that the schema marks with `format: "uri"`. */
export function addressFields(
  schema: object,
  config: unknown,
): readonly { readonly path: FieldPath; readonly url: string }[] {
  const found: { readonly path: FieldPath; readonly url: string }[] = [];
  mapFields(
    schema,
    config,
    (value, schemas) => typeof value === 'string' && schemas.some((one) => one['format'] === 'uri'),
    (value, path) => {
      found.push({ path, url: String(value) });
      return value;
    },
  );
  return found;
}

/** A copy of a configuration with the values replaced that `isField` picks; it is asked with every schema that applies to the value. */
function mapFields(
  schema: object,
  config: unknown,
  isField: (value: unknown, schemas: readonly Schema[]) => boolean,
  replace: (value: unknown, path: FieldPath) => unknown,
): unknown {
  const walk = (schemas: readonly Schema[], value: unknown, path: FieldPath): unknown => {
    const all = schemas.flatMap(branches);
    if (isField(value, all)) return replace(value, path);
    if (Array.isArray(value))
      return value.map((item: unknown, index) =>
        walk(
          all.flatMap((one) => itemSchemas(one, index)),
          item,
          [...path, String(index)],
        ),
      );
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, item]) => [
        name,
        walk(
          all.flatMap((one) => propertySchemas(one, name)),
          item,
          [...path, name],
        ),
      ]),
    );
  };
  return walk([asSchema(schema)], config, []);
}

/** Whether a schema marks any field as a secret. */
export function hasSecrets(schema: object): boolean {
  return countMarks(schema) > 0;
}

/** How many secrets a schema marks in places that `mapSecrets` does not look at, so that they would be stored in the clear. */
export function unreachableSecrets(schema: object): number {
  const reachable = (one: Schema): number =>
    branches(one).reduce(
      (sum, branch) =>
        sum +
        (branch[SECRET_KEYWORD] === true ? 1 : 0) +
        children(branch).reduce((below, child) => below + reachable(child), 0),
      0,
    );
  return countMarks(schema) - reachable(asSchema(schema));
}

function countMarks(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = isObject(value) && value[SECRET_KEYWORD] === true ? 1 : 0;
  return Object.values(value).reduce((sum: number, item) => sum + countMarks(item), own);
}

/** The schema and all that apply to the same value. */
function branches(schema: Schema): Schema[] {
  const nested = [schema['anyOf'], schema['oneOf'], schema['allOf'], schema['then'], schema['else']]
    .flat()
    .filter(isObject);
  return [schema, ...nested.flatMap(branches)];
}

function children(schema: Schema): Schema[] {
  const groups = [schema['properties'], schema['patternProperties']]
    .filter(isObject)
    .flatMap((group) => Object.values(group));
  return [...groups, schema['additionalProperties'], schema['items'], schema['prefixItems'], schema['additionalItems']]
    .flat()
    .filter(isObject);
}

function itemSchemas(schema: Schema, index: number): Schema[] {
  const { items, prefix } = { items: schema['items'], prefix: schema['prefixItems'] };
  const tuple: readonly unknown[] | undefined = Array.isArray(prefix)
    ? prefix
    : Array.isArray(items)
      ? items
      : undefined;
  const rest = Array.isArray(items) ? schema['additionalItems'] : items;
  return [tuple !== undefined && index < tuple.length ? tuple[index] : rest].filter(isObject);
}

function propertySchemas(schema: Schema, name: string): Schema[] {
  const properties = schema['properties'];
  const patterns = isObject(schema['patternProperties']) ? Object.entries(schema['patternProperties']) : [];
  const named = isObject(properties) && Object.hasOwn(properties, name) ? [properties[name]] : [];
  const matching = patterns.filter(([pattern]) => new RegExp(pattern, 'u').test(name)).map(([, one]) => one);
  const found = [...named, ...matching];
  return (found.length > 0 ? found : [schema['additionalProperties']]).filter(isObject);
}

function asSchema(schema: object): Schema {
  return isObject(schema) ? schema : {};
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
