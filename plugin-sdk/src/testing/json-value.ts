import { isRawNumber } from '../raw-json.ts';

const DEEPEST = 200;

/** What keeps a value from being plain JSON, with its place; null when nothing does. */
export function jsonProblem(value: unknown, path: string, depth = 0): string | null {
  if (value === null || typeof value === 'string' || typeof value === 'boolean' || isRawNumber(value)) return null;
  if (typeof value === 'number') return Number.isFinite(value) ? null : `${path} is ${value}, which JSON cannot hold`;
  if (typeof value !== 'object')
    return `${path} is ${value === undefined ? 'undefined' : `a ${typeof value}`}, which JSON cannot hold`;
  if (depth > DEEPEST) return `${path} is nested too deeply, or contains itself`;
  if (Array.isArray(value)) return firstProblem(value.entries(), path, depth);
  if (!isPlain(value)) return `${path} is not a plain object: its prototype is another`;
  return firstProblem(Object.entries(value), path, depth);
}

function firstProblem(
  parts: Iterable<readonly [string | number, unknown]>,
  path: string,
  depth: number,
): string | null {
  for (const [key, part] of parts) {
    const problem = jsonProblem(part, `${path}.${key}`, depth + 1);
    if (problem !== null) return problem;
  }
  return null;
}

/**
 * Whether an object's prototype is null or the root of some realm. An object whose prototype came from data, by an assignment to
 * `__proto__`, stands one step further from the root.
 */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}
