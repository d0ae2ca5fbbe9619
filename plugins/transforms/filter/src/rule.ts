import { ConfigError } from '@switchyard/plugin-sdk';
import jsonLogic, { type RulesLogic } from 'json-logic-js';
import { charge, spending, type Spent } from './budget.ts';
import { FORBIDDEN_KEYS } from './lookup.ts';
import { KNOWN_OPERATORS, LOOPS, TICK, meteredName } from './operators.ts';

const MAX_DEPTH = 32;
const MAX_NODES = 500;

/** The arguments of an operator: `{"!": x}` is short for `{"!": [x]}`. */
function argumentsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [value];
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;

/**
 * Throws a `ConfigError` that says what is wrong with a rule and where (`/and/0/var`). A rule that passes nests at most 32 operators and lists,
 * has at most 500 values, and uses known operators only.
 */
export function checkRule(rule: unknown): void {
  if (typeof rule === 'boolean') return;
  if (!isObject(rule) || Array.isArray(rule))
    throw wrong('', 'a rule is an object with one operator, such as {"==": [{"var": "event_name"}, "signup"]}');
  let nodes = 0;

  const check = (value: unknown, path: string, depth: number): void => {
    nodes += 1;
    if (nodes > MAX_NODES) throw wrong(path, `the rule has more than ${MAX_NODES} values`);
    if (!isObject(value)) return;
    if (depth > MAX_DEPTH) throw wrong(path, `the rule nests deeper than ${MAX_DEPTH} levels`);
    if (Array.isArray(value)) checkAll(value, path, depth);
    else checkOperator(value, path, depth);
  };
  const checkAll = (values: readonly unknown[], path: string, depth: number): void => {
    for (const [at, value] of values.entries()) check(value, `${path}/${at}`, depth + 1);
  };
  const checkOperator = (value: object, path: string, depth: number): void => {
    const [entry, ...others] = Object.entries(value);
    if (entry === undefined || others.length > 0) {
      throw wrong(
        path,
        `an object in a rule has one operator as its key; this one has ${others.length === 0 ? 'none' : others.length + 1}`,
      );
    }
    const [operator, values] = entry as readonly [string, unknown];
    if (!KNOWN_OPERATORS.has(operator)) {
      throw wrong(
        path,
        `there is no operator ${JSON.stringify(operator.slice(0, 50))}; there are ${[...KNOWN_OPERATORS].join(' ')}`,
      );
    }
    const list = argumentsOf(values);
    checkKeys(operator, list, `${path}/${operator}`);
    checkAll(list, `${path}/${operator}`, depth);
  };
  check(rule, '', 1);
}

/** Refuses paths to what an object inherits, where they are written in the rule. Where they are computed, nothing is found there. */
function checkKeys(operator: string, values: readonly unknown[], path: string): void {
  const keys =
    { var: values.slice(0, 1), missing: values.flat(), missing_some: argumentsOf(values[1]) }[operator] ?? [];
  for (const key of keys) {
    const part = typeof key === 'string' ? key.split('.').find((name) => FORBIDDEN_KEYS.has(name)) : undefined;
    if (part !== undefined) throw wrong(path, `"${part}" cannot be read`);
  }
}

function wrong(path: string, what: string): ConfigError {
  return new ConfigError(`In the rule${path === '' ? '' : ` at ${path}`}: ${what}.`, { code: 'RULE_INVALID' });
}

/** Says what a rule comes to, and what that cost; throws `OverBudget` when it costs more than `budget`. */
export type Evaluate = (data: unknown, budget: number) => Spent<boolean>;

/** Prepares a rule that `checkRule` accepts. */
export function compileRule(rule: unknown): Evaluate {
  const metered = meter(rule) as RulesLogic;
  const nodes = countNodes(rule);
  return (data, budget) =>
    spending(budget, () => {
      charge(nodes / 16);
      return jsonLogic.truthy(jsonLogic.apply(metered, data));
    });
}

/** The same rule with operators that are charged for, and with a charge for each round of a loop. */
function meter(rule: unknown): unknown {
  if (Array.isArray(rule)) return rule.map(meter);
  if (!isObject(rule)) return rule;
  const [[operator, value] = ['', undefined]] = Object.entries(rule) as [string, unknown][];
  const plain = argumentsOf(value);
  const values = plain.map(meter);
  if (LOOPS.has(operator) && plain.length > 1) values[1] = { [TICK]: [countNodes(plain[1]), values[1]] };
  return { [meteredName(operator)]: values };
}

function countNodes(rule: unknown): number {
  if (!isObject(rule)) return 1;
  return Object.values(rule).reduce<number>((sum, part) => sum + countNodes(part), 1);
}
