import { ConfigError, isRawNumber, type Json, type JsonObject } from '@switchyard/plugin-sdk';

/** A place in an event: `metadata.address.city` is `['metadata', 'address', 'city']`. */
export type Path = readonly [root: Root, ...rest: string[]];

const ROOTS = ['id', 'event_name', 'user_id', 'timestamp', 'received_at', 'metadata', 'context'] as const;
export type Root = (typeof ROOTS)[number];

/** Roots that hold objects: only these have anything below them. */
export type Container = 'metadata' | 'context';

const FORBIDDEN: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);
/** Events nest at most 64 levels. */
const MAX_PARTS = 32;

const isRoot = (name: string | undefined): name is Root => (ROOTS as readonly (string | undefined)[]).includes(name);

export function isContainer(root: Root): root is Container {
  return root === 'metadata' || root === 'context';
}

/** Reads a path as people write it; `where` names the step in the error. */
export function parsePath(text: string, where: string): Path {
  const refuse = (why: string): never => {
    throw new ConfigError(`${where}: the path "${text.slice(0, 200)}" ${why}.`, { code: 'MAP_INVALID' });
  };
  const [root, ...rest] = text.split('.');
  if (!isRoot(root)) return refuse(`does not begin with a field of an event (${ROOTS.join(', ')})`);
  if (rest.length >= MAX_PARTS) return refuse(`has more than ${MAX_PARTS} parts`);
  if (rest.length > 0 && !isContainer(root)) return refuse(`goes into ${root}, which has nothing inside`);
  for (const part of rest) {
    if (part === '') return refuse('has an empty part');
    if (FORBIDDEN.has(part)) return refuse(`contains "${part}", which is refused`);
  }
  return [root, ...rest];
}

/** Whether one of two paths is the other, or lies inside it. */
export function overlap(a: Path, b: Path): boolean {
  const shorter = Math.min(a.length, b.length);
  return a.slice(0, shorter).every((part, at) => part === b[at]);
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRawNumber(value);
}

/** What stands at a path; undefined when nothing does. Paths lead through objects, not into lists. */
export function read(object: JsonObject, path: readonly string[]): Json | undefined {
  let value: Json | undefined = object;
  for (const part of path) {
    if (!isObject(value) || !Object.hasOwn(value, part)) return undefined;
    value = value[part];
  }
  return value;
}

/**
 * The object with `value` at a path: the same object when it stands there already, else a copy that shares everything else. Missing objects on the way
 * are made; undefined when something else stands in the way.
 */
export function written(object: JsonObject, [first, ...rest]: readonly string[], value: Json): JsonObject | undefined {
  if (first === undefined) return undefined;
  const there = Object.hasOwn(object, first) ? object[first] : undefined;
  if (rest.length === 0) return there === value ? object : { ...object, [first]: value };
  if (there !== undefined && !isObject(there)) return undefined;
  const inner = written(there ?? {}, rest, value);
  if (inner === undefined) return undefined;
  return inner === there ? object : { ...object, [first]: inner };
}

/** The object without what stands at a path: the same object when nothing does. */
export function without(object: JsonObject, [first, ...rest]: readonly string[]): JsonObject {
  if (first === undefined || !Object.hasOwn(object, first)) return object;
  const there = object[first];
  if (rest.length === 0) {
    const { [first]: _removed, ...others } = object;
    return others;
  }
  if (!isObject(there)) return object;
  const inner = without(there, rest);
  return inner === there ? object : { ...object, [first]: inner };
}

/** Of the object, what the paths lead to: the same object when that is everything. */
export function only(object: JsonObject, paths: readonly (readonly string[])[]): JsonObject {
  let changed = false;
  const kept: [string, Json][] = [];
  for (const [key, value] of Object.entries(object)) {
    const inside = paths.filter(([first]) => first === key).map(([, ...rest]) => rest);
    if (inside.some((rest) => rest.length === 0)) kept.push([key, value]);
    else if (inside.length > 0 && isObject(value)) {
      const part = only(value, inside);
      changed ||= part !== value;
      kept.push([key, part]);
    } else changed = true;
  }
  return changed ? Object.fromEntries(kept) : object;
}
