import sjson from 'secure-json-parse';
import type { Json } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import { findForbiddenKey } from './forbidden-key.ts';
import { fidelityOf } from './number.ts';
import { placeOf } from './place.ts';
import { findSyntaxError } from './syntax.ts';

declare global {
  // TypeScript's libraries do not know these two functions yet.
  interface JSON {
    rawJSON(text: string): unknown;
    isRawJSON(value: unknown): boolean;
  }
}

/** Keeps the digits of a number that a double would round: `JSON.stringify` writes what was read. */
function keepDigits(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  if (typeof value !== 'number' || context?.source === undefined) return value;
  const { source } = context;
  return source.length > 15 && fidelityOf(source) === 'rounded' ? JSON.rawJSON(source) : value;
}

/**
 * Parses JSON text that came from outside. Refuses `__proto__` and `constructor.prototype`, which turn into a prototype at the first merge.
 * `exactNumbers` is what `scanJson` said of the same text; it costs a call a value, so only texts that need it pay.
 */
export function parseJson(text: string, exactNumbers: boolean): Json {
  // The parser below takes one silently.
  if (text.startsWith('\ufeff')) {
    throw new SwitchyardError(
      'BODY_NOT_JSON',
      'The body begins with a byte order mark: send it as UTF-8 without one.',
      { byte: 0, line: 1, column: 1 },
    );
  }
  try {
    return sjson.parse(text, exactNumbers ? keepDigits : null, {
      protoAction: 'error',
      constructorAction: 'error',
    }) as Json;
  } catch (error) {
    const syntax = findSyntaxError(text);
    if (syntax !== null) {
      const { position, line, column, expected } = syntax;
      const { details } = placeIn(text, position);
      const inEvent = details.event === undefined ? '' : `, in the event with index ${details.event}`;
      throw new SwitchyardError(
        'BODY_NOT_JSON',
        `The body is not JSON: ${expected} expected at line ${line}, column ${column}${inEvent}.`,
        { ...details, line, column, expected },
      );
    }
    const forbidden = findForbiddenKey(text);
    if (forbidden === null) throw error;
    const { position, key } = forbidden;
    const place = placeIn(text, position);
    throw new SwitchyardError(
      'BODY_FORBIDDEN_KEY',
      `The body uses the key ${key}, which is refused (${place.words}): rename it.`,
      { ...place.details, key },
      { cause: error },
    );
  }
}

const placeIn = (text: string, position: number) => placeOf(text, position, Buffer.byteLength(text.slice(0, position)));

/** Parses text of our own making (it was checked when it came in), keeping the digits of its numbers. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, keepDigits);
}
