import { isRawNumber } from '@switchyard/plugin-sdk';
import { charge } from './budget.ts';

/** No rule reaches these, whether it names them or computes their names. */
export const FORBIDDEN_KEYS: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * What `var` reads. It differs from json-logic-js in two ways: it sees only what an event itself has, never what JavaScript objects inherit;
 * and a number that a double cannot hold is read as the nearest double.
 */
export function lookup(data: unknown, key: unknown, fallback: unknown): unknown {
  if (key === undefined || key === null || key === '') return readable(data);
  const path = textOf(key);
  charge(path.length / 16);
  let value = data;
  for (const part of path.split('.')) {
    if (value === null || value === undefined || FORBIDDEN_KEYS.has(part)) return fallback;
    if (!Object.hasOwn(value, part) || isRawNumber(value)) return fallback;
    value = (value as Readonly<Record<string, unknown>>)[part];
  }
  return value === undefined ? fallback : readable(value);
}

const textOf = (value: unknown): string => String(value);

/** The value with raw numbers as numbers, through arrays; what is inside objects is read by another `var`. */
function readable(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (isRawNumber(value)) return Number(value.rawJSON);
  if (!Array.isArray(value)) return value;
  charge(value.length / 16);
  return value.some((item) => isRawNumber(item) || Array.isArray(item)) ? value.map(readable) : value;
}
