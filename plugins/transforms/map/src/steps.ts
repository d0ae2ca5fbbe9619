import { ConfigError, Type, type Json, type Static } from '@switchyard/plugin-sdk';
import { isContainer, isObject, overlap, parsePath, type Container, type Path, type Root } from './path.ts';

const closed = { additionalProperties: false };
const Pairs = (title: string, description: string) =>
  Type.Record(Type.String(), Type.String(), { title, description, minProperties: 1 });
const Paths = (title: string, description: string) =>
  Type.Array(Type.String(), { title, description, minItems: 1, maxItems: 200 });

export const StepConfig = Type.Union([
  Type.Object(
    {
      set: Type.Record(Type.String(), Type.Unknown(), {
        title: 'Set',
        description: 'Values by path.',
        minProperties: 1,
      }),
    },
    { ...closed, title: 'Set' },
  ),
  Type.Object({ copy: Pairs('Copy', 'From path to path.') }, { ...closed, title: 'Copy' }),
  Type.Object({ rename: Pairs('Rename', 'From path to path.') }, { ...closed, title: 'Rename' }),
  Type.Object({ remove: Paths('Remove', 'Paths that go.') }, { ...closed, title: 'Remove' }),
  Type.Object(
    { keep: Paths('Keep', 'Paths in metadata or context that stay; what is beside them goes.') },
    { ...closed, title: 'Keep' },
  ),
]);
export type StepConfig = Static<typeof StepConfig>;

/** A step, looked at: every path may be used as the step uses it. */
export type Step =
  | {
      readonly action: 'set';
      readonly where: string;
      readonly values: readonly { readonly to: Path; readonly value: Json }[];
    }
  | {
      readonly action: 'copy' | 'rename';
      readonly where: string;
      readonly moves: readonly { readonly from: Path; readonly to: Path }[];
    }
  | { readonly action: 'remove'; readonly where: string; readonly paths: readonly Path[] }
  | {
      readonly action: 'keep';
      readonly where: string;
      readonly kept: readonly { readonly root: Container; readonly paths: readonly (readonly string[])[] }[];
    };

/** Literals may be this deep: with the 32 parts of a path, less than the 64 levels that an event may have. */
const MAX_LITERAL_DEPTH = 30;
const FIXED: ReadonlySet<Root> = new Set(['id', 'received_at']);
const REQUIRED: ReadonlySet<Root> = new Set(['id', 'received_at', 'event_name', 'timestamp']);

/** Reads one step; throws a `ConfigError` that names the step and the path. */
export function readStep(config: StepConfig, index: number): Step {
  const action = Object.keys(config)[0] ?? '';
  const where = `Step ${index + 1} (${action})`;
  if ('set' in config) return readSet(config.set, where);
  if ('copy' in config) return { action: 'copy', where, moves: readMoves(config.copy, where) };
  if ('rename' in config) return { action: 'rename', where, moves: readRenames(config.rename, where) };
  if ('remove' in config)
    return { action: 'remove', where, paths: config.remove.map((text) => removable(text, where)) };
  return readKeep(config.keep, where);
}

function readSet(config: Readonly<Record<string, unknown>>, where: string): Step {
  const values = Object.entries(config).map(([text, value]) => {
    const to = target(text, where);
    checkLiteral(value, text, where, 0);
    const problem = misfit(to, value as Json);
    if (problem !== null) throw invalid(where, `"${text}" ${problem}`);
    return { to, value: value as Json };
  });
  noOverlap(
    values.map(({ to }) => to),
    where,
  );
  return { action: 'set', where, values };
}

function readMoves(
  config: Readonly<Record<string, string>>,
  where: string,
): readonly { readonly from: Path; readonly to: Path }[] {
  const moves = Object.entries(config).map(([from, to]) => ({ from: parsePath(from, where), to: target(to, where) }));
  noOverlap(
    moves.map(({ to }) => to),
    where,
  );
  return moves;
}

function readRenames(
  config: Readonly<Record<string, string>>,
  where: string,
): readonly { readonly from: Path; readonly to: Path }[] {
  const moves = readMoves(config, where);
  for (const text of Object.keys(config)) removable(text, where);
  noOverlap(
    moves.map(({ from }) => from),
    where,
  );
  for (const { from, to } of moves) {
    if (from.length !== to.length && overlap(from, to))
      throw invalid(where, `"${from.join('.')}" and "${to.join('.')}" lie inside each other`);
  }
  return moves;
}

function readKeep(config: readonly string[], where: string): Step {
  const paths = config.map((text) => {
    const path = parsePath(text, where);
    if (!isContainer(path[0]) || path.length === 1)
      throw invalid(where, `the path "${text}" must lie inside metadata or context`);
    return path;
  });
  const roots = (['metadata', 'context'] as const).filter((root) => paths.some(([first]) => first === root));
  const kept = roots.map((root) => ({
    root,
    paths: paths.filter(([first]) => first === root).map(([, ...rest]) => rest),
  }));
  return { action: 'keep', where, kept };
}

function target(text: string, where: string): Path {
  const path = parsePath(text, where);
  if (FIXED.has(path[0])) throw invalid(where, `"${path[0]}" cannot be changed`);
  return path;
}

function removable(text: string, where: string): Path {
  const path = parsePath(text, where);
  if (REQUIRED.has(path[0])) throw invalid(where, `every event has "${path[0]}": it cannot be taken away`);
  return path;
}

/** In one step everything happens at once, so two targets must not touch: stored configurations do not keep the order of keys. */
function noOverlap(paths: readonly Path[], where: string): void {
  for (const [at, path] of paths.entries()) {
    const other = paths.slice(0, at).find((earlier) => overlap(earlier, path));
    if (other !== undefined)
      throw invalid(where, `"${other.join('.')}" and "${path.join('.')}" overlap; use two steps`);
  }
}

function checkLiteral(value: unknown, text: string, where: string, depth: number): void {
  if (typeof value !== 'object' || value === null) return;
  if (depth >= MAX_LITERAL_DEPTH)
    throw invalid(where, `the value of "${text}" nests deeper than ${MAX_LITERAL_DEPTH} levels`);
  for (const [key, part] of Object.entries(value)) {
    if (key === '__proto__' || key === 'constructor' || key === 'prototype')
      throw invalid(where, `the value of "${text}" contains the key "${key}", which is refused`);
    checkLiteral(part, text, where, depth + 1);
  }
}

/** Why a value cannot stand at a path, in words; null when it can. */
export function misfit(to: Path, value: Json): string | null {
  const [root, first, ...deeper] = to;
  if (root === 'context' && (first === 'ip_address' || first === 'user_agent')) {
    return deeper.length === 0 && (value === null || typeof value === 'string') ? null : 'must be a text or null';
  }
  if (first !== undefined) return null;
  switch (root) {
    case 'metadata':
    case 'context':
      return isObject(value) ? null : 'must be an object';
    case 'user_id':
      return value === null || (typeof value === 'string' && value !== '')
        ? null
        : 'must be a text that is not empty, or null';
    case 'event_name':
      return typeof value === 'string' && value !== '' ? null : 'must be a text that is not empty';
    case 'timestamp':
      return typeof value === 'string' &&
        /^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/.test(value) &&
        !Number.isNaN(Date.parse(value))
        ? null
        : 'must be a date and time with its offset, such as "2024-01-30T10:00:00Z"';
    case 'id':
    case 'received_at':
      return 'cannot be changed';
  }
}

function invalid(where: string, what: string): ConfigError {
  return new ConfigError(`${where}: ${what}.`, { code: 'MAP_INVALID' });
}
