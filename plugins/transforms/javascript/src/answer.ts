import type { EventOutput } from '@switchyard/plugin-sdk';
import { LONG_NUMBER, OUTPUT_MAX_DEPTH } from './limits.ts';

/** What became of one event inside the sandbox. */
export type EventResult =
  | { readonly kind: 'emit'; readonly events: readonly EventOutput[] }
  | { readonly kind: 'drop' }
  | { readonly kind: 'fail'; readonly code: FailureCode; readonly message: string; readonly stack: string };

type FailureCode = (typeof FAILURE_CODES)[number];

/** What the harness may say of an event. */
const FAILURE_CODES = [
  'TRANSFORM_THREW',
  'TRANSFORM_BAD_OUTPUT',
  'TRANSFORM_OUTPUT_TOO_LARGE',
  'TRANSFORM_NEVER_SETTLED',
] as const;

export interface LogLine {
  /** Which event of the run; the first also has what the code said while it was set up. */
  readonly index: number;
  readonly level: string;
  readonly text: string;
}

export interface Answer {
  readonly results: readonly EventResult[];
  readonly logs: readonly LogLine[];
  /** How many lines were over the limits. */
  readonly lostLines: number;
}

/**
 * Reads what an isolate answered to a run of `count` events. The text was made next to hostile code: null when it is not what
 * the harness writes. Outputs are checked for what would hurt whoever reads them; whether they are good events is core's to say.
 */
export function readAnswer(text: string, count: number): Answer | null {
  let answer: unknown;
  try {
    answer = parseExactly(text);
  } catch {
    return null;
  }
  if (!isRecord(answer)) return null;
  const { results, logs, lost } = answer;
  if (!Array.isArray(results) || results.length > count || !Array.isArray(logs) || typeof lost !== 'number')
    return null;
  // NUL and halves of surrogate pairs stand in JSON text as escapes: without any, no text needs a look of its own.
  const escapes = text.includes('\\u');
  const read = results.map((result: unknown) => readResult(result, escapes));
  if (!read.every((result) => result !== null)) return null;
  return { results: read, logs: logs.flatMap(readLine), lostLines: lost };
}

function readResult(result: unknown, escapes: boolean): EventResult | null {
  if (!Array.isArray(result)) return null;
  const parts = result as readonly unknown[];
  switch (parts[0]) {
    case 'emit':
      return readEvents(parts, escapes);
    case 'drop':
      return { kind: 'drop' };
    case 'fail': {
      const [, said, message, stack] = parts;
      const code = FAILURE_CODES.find((known) => known === said);
      if (code === undefined || typeof message !== 'string' || typeof stack !== 'string') return null;
      return { kind: 'fail', code, message, stack };
    }
    default:
      return null;
  }
}

/** This runs for every event that passes: by index, because destructuring the rest of an array costs more than the checks. */
function readEvents(parts: readonly unknown[], escapes: boolean): EventResult | null {
  if (parts.length < 2) return null;
  const events: EventOutput[] = [];
  for (let at = 1; at < parts.length; at += 1) {
    const output = parts[at];
    const fault = faultOfShape(output) ?? faultIn(output as object, 1, escapes);
    if (fault !== null) return { kind: 'fail', code: 'TRANSFORM_BAD_OUTPUT', message: fault, stack: '' };
    events.push(output as EventOutput);
  }
  return { kind: 'emit', events };
}

function readLine(line: unknown): readonly LogLine[] {
  if (!Array.isArray(line)) return [];
  const [index, level, text] = line as readonly unknown[];
  if (typeof index !== 'number' || typeof level !== 'string' || typeof text !== 'string') return [];
  return [{ index, level, text }];
}

/** Null when each of the fields that make an event has its type. */
function faultOfShape(output: unknown): string | null {
  if (!isRecord(output)) return 'What the code returned is not an event.';
  const { event_name: name, user_id: user, timestamp, metadata, context } = output;
  if (typeof name !== 'string') return 'The returned event has no event_name, or one that is not a string.';
  if (user !== undefined && user !== null && typeof user !== 'string') {
    return 'The user_id of the returned event is neither a string nor null.';
  }
  if (timestamp !== undefined && typeof timestamp !== 'string')
    return 'The timestamp of the returned event is not a string.';
  if (metadata !== undefined && !isRecord(metadata)) return 'The metadata of the returned event is not an object.';
  if (context !== undefined && !isRecord(context)) return 'The context of the returned event is not an object.';
  return null;
}

/** What would poison a reader further on: depth, keys that become prototypes, text that databases cannot hold. */
function faultIn(value: object, depth: number, escapes: boolean): string | null {
  if (depth > OUTPUT_MAX_DEPTH) return `The returned event is nested deeper than ${OUTPUT_MAX_DEPTH} levels.`;
  const record = value as Record<string, unknown>;
  for (const key in record) {
    const inner = record[key];
    if (key === '__proto__') return 'The returned event has a key "__proto__".';
    if (key === 'constructor' && isRecord(inner) && Object.hasOwn(inner, 'prototype')) {
      return 'The returned event has a key "constructor" with a "prototype" in it.';
    }
    let fault: string | null = null;
    if (typeof inner === 'object' && inner !== null) fault = faultIn(inner, depth + 1, escapes);
    else if (escapes && typeof inner === 'string') fault = faultOfText(inner);
    if (escapes) fault ??= faultOfText(key);
    if (fault !== null) return fault;
  }
  return null;
}

function faultOfText(text: string): string | null {
  if (text.includes('\u0000')) return 'The returned event has a text with the character U+0000 in it.';
  return text.isWellFormed() ? null : 'The returned event has a text with half a surrogate pair in it.';
}

const rawJSON: (text: string) => unknown = Reflect.get(JSON, 'rawJSON');

/** As `JSON.parse`, but a number that a double cannot hold keeps its digits. */
function parseExactly(text: string): unknown {
  if (!LONG_NUMBER.test(text)) return JSON.parse(text);
  const revive = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined || source.length < 16) return value;
    return String(value) === source ? value : rawJSON(source);
  };
  return JSON.parse(text, revive);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
