import { types } from 'node:util';

const MAX_DEPTH = 6;
const MAX_ENTRIES = 100;
const MAX_TEXT = 8192;
const REDACTED = '[redacted]';

/** The last word of a field's name: `api_key`, `apiKey`, `JWT_SECRET` and `set-cookie` are secrets, `key_id` and `keyword` are not. */
const SECRET_NAME = /(?:^|[^a-z])(?:authorization|cookies?|passwords?|passwd|secrets?|tokens?|keys?|credentials?)$/;
const URL_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/[^\s/:@]*):[^\s/@]+@/gi;
const API_KEY = /\bsy_([A-Za-z0-9]+)_[A-Za-z0-9_-]+/g;

/**
 * A copy of a value that is fit for a log: fields with a secret's name are emptied, passwords in URLs and API keys in text are taken out, and
 * what is endless (a circle, a huge text, a deep tree) is cut. Errors become objects with their code, stack and cause.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return copyFields(fields, 0);
}

/** The same for a text, or for what a caller without types gave for one. */
export function redactText(message: unknown): string {
  return text(String(message));
}

function copy(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return text(value);
  if (typeof value === 'bigint' || typeof value === 'symbol') return String(value);
  if (typeof value === 'function') return '[function]';
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[cut: nested too deeply]';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (Array.isArray(value)) return value.slice(0, MAX_ENTRIES).map((item) => copy(item, depth + 1));
  if (value instanceof Map) return copy(Object.fromEntries(value), depth);
  if (value instanceof Set) return copy([...value], depth);
  return copyFields(value, depth);
}

function copyFields(value: object, depth: number): Record<string, unknown> {
  const result: Record<string, unknown> = {};
  if (types.isNativeError(value)) {
    result['type'] = value.name;
    result['message'] = text(value.message);
    if (value.stack !== undefined) result['stack'] = text(value.stack);
    if (value.cause !== undefined) result['cause'] = copy(value.cause, depth + 1);
  }
  for (const [name, item] of Object.entries(value).slice(0, MAX_ENTRIES)) {
    result[name] = isSecretName(name) && item !== null && item !== undefined ? REDACTED : copy(item, depth + 1);
  }
  return result;
}

function isSecretName(name: string): boolean {
  return SECRET_NAME.test(name.replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2').toLowerCase());
}

function text(value: string): string {
  const cut = value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT)}… [cut: ${value.length} characters]` : value;
  return cut.replaceAll(URL_PASSWORD, `$1:${REDACTED}@`).replaceAll(API_KEY, `sy_$1_${REDACTED}`);
}
