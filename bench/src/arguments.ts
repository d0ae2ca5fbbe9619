import { parseArgs } from 'node:util';

export interface Wanted {
  /** The names of the rows to run. */
  readonly rows: readonly string[];
  readonly rounds: number;
  readonly json: string | null;
  readonly profile: string | null;
}

/** A word on the command line that means nothing: to be shown without a stack. */
export class UsageError extends Error {}

const USAGE = `Usage: npm run bench -- [row …] [--rounds N] [--json FILE] [--profile FOLDER]

  row        rows to run, by name ("javascript" is short for both sizes); all of them if none is named
  --rounds   measured rounds of each side, 5 or more (default 5)
  --json     also writes the results to FILE
  --profile  writes CPU profiles of the router to FOLDER (it then runs slower)`;

export function readArguments(words: readonly string[], known: readonly string[]): Wanted {
  const { values, positionals } = parse(words);
  const named = positionals.map((word) => ({
    word,
    rows: known.includes(word) ? [word] : known.filter((name) => name.startsWith(`${word}-`)),
  }));
  const unknown = named.filter(({ rows }) => rows.length === 0).map(({ word }) => word);
  if (unknown.length > 0)
    throw new UsageError(`There is no row called ${unknown.join(', ')}. Rows: ${known.join(', ')}\n\n${USAGE}`);
  const chosen = named.flatMap(({ rows }) => rows);
  const rows = known.filter((name) => positionals.length === 0 || chosen.includes(name));
  const rounds = Number(values.rounds ?? 5);
  if (!Number.isInteger(rounds) || rounds < 5)
    throw new UsageError(`--rounds must be a whole number, 5 or more.\n\n${USAGE}`);
  return { rows, rounds, json: values.json ?? null, profile: values.profile ?? null };
}

function parse(words: readonly string[]) {
  try {
    const options = { rounds: { type: 'string' }, json: { type: 'string' }, profile: { type: 'string' } } as const;
    return parseArgs({ args: [...words], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  }
}
