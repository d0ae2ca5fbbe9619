import sjson from 'secure-json-parse';
import type { Json } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
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
  return source.length > 15 && String(value) !== source ? JSON.rawJSON(source) : value;
}

/**
 * Parses JSON text that came from outside. Refuses `__proto__` and `constructor.prototype`, which turn into a prototype at the first merge.
 * `exactNumbers` is what `scanJson` said of the same text; it costs a call a value, so only texts that need it pay.
 */
export function parseJson(text: string, exactNumbers: boolean): Json {
  try {
    return sjson.parse(text, exactNumbers ? keepDigits : null, { protoAction: 'error', constructorAction: 'error' }) as Json;
  } catch (error) {
    const syntax = findSyntaxError(text);
    if (syntax !== null) {
      throw new SwitchyardError('BODY_NOT_JSON', `The body is not JSON: ${syntax.expected} expected at line ${syntax.line}, column ${syntax.column}.`, { ...syntax });
    }
    const at = text.search(/"(?:_|\\u005f)(?:_|\\u005f)(?:p|\\u0070)|"(?:c|\\u0063)(?:o|\\u006f)(?:n|\\u006e)/i);
    throw new SwitchyardError('BODY_FORBIDDEN_KEY', 'The body uses the key __proto__ or constructor.prototype, which is refused.', at < 0 ? {} : { position: at }, { cause: error });
  }
}

/** Parses text of our own making (it was checked when it came in), keeping the digits of its numbers. */
export function parseExact(text: string): unknown {
  return JSON.parse(text, keepDigits);
}
