import jsonLogic from 'json-logic-js';
import { charge } from './budget.ts';
import { lookup } from './lookup.ts';

type Operator = (this: unknown, ...values: unknown[]) => unknown;

/** json-logic-js evaluates these itself, since they decide which of their parts are evaluated. */
const LAZY = ['if', '?:', 'and', 'or', 'filter', 'map', 'reduce', 'all', 'none', 'some'] as const;

/** The lazy ones that evaluate their second part once for each item of their first. */
export const LOOPS: ReadonlySet<string> = new Set(['filter', 'map', 'reduce', 'all', 'none', 'some']);

/**
 * The operators of json-logic-js, with its semantics, in a form that is charged for. `log` is not among them: it writes to the console of the
 * process. `method`, which versions before 2 had, ran methods of values.
 */
const METERED: Readonly<Record<string, Operator>> = {
  // Loose comparison is what JSON Logic's `==` means.
  '==': coercing((a, b) => a == b),
  '!=': coercing((a, b) => a != b),
  '===': comparing((a, b) => a === b),
  '!==': comparing((a, b) => a !== b),
  '>': coercing((a, b) => (a as number) > (b as number)),
  '>=': coercing((a, b) => (a as number) >= (b as number)),
  '<': coercing((a, b, c) => between(a, b, c, (low, high) => low < high)),
  '<=': coercing((a, b, c) => between(a, b, c, (low, high) => low <= high)),
  '!!': (value) => jsonLogic.truthy(value),
  '!': (value) => !jsonLogic.truthy(value),
  '%': coercing((a, b) => (a as number) % (b as number)),
  '+': coercing((...values) => values.reduce<number>((sum, value) => sum + toFloat(value), 0)),
  '*': coercing((...values) => times(values)),
  '-': coercing((a, b) => (b === undefined ? -(a as number) : (a as number) - (b as number))),
  '/': coercing((a, b) => (a as number) / (b as number)),
  min: coercing((...values) => Math.min(...(values as number[]))),
  max: coercing((...values) => Math.max(...(values as number[]))),
  cat: coercing((...values) => values.join('')),
  substr: coercing((source, start, length) => substr(String(source), start as number, length as number | undefined)),
  in: (item, whole) => isIn(item, whole),
  merge: (...values) => merge(values),
  var(key, fallback) {
    weigh(key);
    return lookup(this, key, fallback === undefined ? null : fallback);
  },
  missing(...keys) {
    return missing(this, keys);
  },
  missing_some(needed, options) {
    const keys = Array.isArray(options) ? (options as readonly unknown[]) : [options];
    const absent = missing(this, keys);
    return keys.length - absent.length >= (needed as number) ? [] : absent;
  },
};

export const KNOWN_OPERATORS: ReadonlySet<string> = new Set([...LAZY, ...Object.keys(METERED)]);

/** Wraps the part of a loop that is evaluated for each item: `[units, part]`. */
export const TICK = 'switchyard tick';

const lazy: ReadonlySet<string> = new Set(LAZY);

/** The name under which json-logic-js knows the operator that is charged for. No rule can contain it: it is not a known operator. */
export function meteredName(operator: string): string {
  return lazy.has(operator) ? operator : `switchyard ${operator}`;
}

for (const [name, operator] of Object.entries(METERED)) {
  jsonLogic.add_operation(meteredName(name), function metered(this: unknown, ...values: unknown[]) {
    charge(1);
    return operator.apply(this, values);
  });
}
jsonLogic.add_operation(TICK, (units: number, value: unknown) => {
  charge(units);
  return value;
});

/** For operators that may turn their values into numbers or strings, which costs what the values are long. */
function coercing(operator: Operator): Operator {
  return (...values) => {
    for (const value of values) weigh(value);
    return operator(...values);
  };
}

/** For operators that at most compare strings. */
function comparing(operator: Operator): Operator {
  return (...values) => {
    for (const value of values) if (typeof value === 'string') charge(value.length / 64);
    return operator(...values);
  };
}

/** Charges for a value that is about to be written out or read as a whole. */
function weigh(value: unknown): void {
  if (typeof value === 'string') charge(value.length / 64);
  else if (Array.isArray(value)) {
    charge(value.length);
    for (const item of value) weigh(item);
  }
}

function between(a: unknown, b: unknown, c: unknown, inOrder: (low: number, high: number) => boolean): boolean {
  const [low, middle, high] = [a, b, c] as [number, number, number | undefined];
  return inOrder(low, middle) && (high === undefined || inOrder(middle, high));
}

function toFloat(value: unknown): number {
  return Number.parseFloat(value as string);
}

/** A single value is handed back as it is, as json-logic-js does it. */
function times(values: readonly unknown[]): unknown {
  const [first, ...rest] = values;
  if (values.length === 0) throw new TypeError('"*" needs a value');
  return rest.reduce((product, value) => toFloat(product) * toFloat(value), first);
}

/** A negative `length` leaves out as many characters from the end. */
function substr(source: string, start: number, length: number | undefined): string {
  const from = source.substr(start);
  return length !== undefined && length < 0
    ? from.slice(0, Math.max(0, from.length + length))
    : source.substr(start, length);
}

function isIn(item: unknown, whole: unknown): boolean {
  if (whole === '') return false;
  if (typeof whole === 'string') {
    weigh(item);
    const text = String(item);
    // Searching for a long text that almost repeats itself comes close to comparing everything with everything.
    charge(whole.length / 64 + (whole.length * text.length) / 4096);
    return whole.includes(text);
  }
  if (!Array.isArray(whole)) return false;
  charge(whole.length / 16);
  return whole.indexOf(item) !== -1;
}

function merge(values: readonly unknown[]): unknown[] {
  const merged: unknown[] = [];
  for (const value of values) {
    if (!Array.isArray(value)) merged.push(value);
    else {
      charge(value.length / 16);
      for (const item of value) merged.push(item);
    }
  }
  return merged;
}

function missing(data: unknown, keys: readonly unknown[]): unknown[] {
  const wanted = Array.isArray(keys[0]) ? (keys[0] as readonly unknown[]) : keys;
  return wanted.filter((key) => {
    charge(1);
    weigh(key);
    const value = lookup(data, key, null);
    return value === null || value === '';
  });
}
