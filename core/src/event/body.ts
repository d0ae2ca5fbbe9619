import { isUtf8 } from 'node:buffer';
import { gunzipSync } from 'node:zlib';
import type { Json } from '@switchyard/plugin-sdk';
import { hasErrno } from '../errno.ts';
import { SwitchyardError } from '../errors.ts';
import { parseJson } from './json.ts';
import { placeOf } from './place.ts';
import { scanJson } from './scan.ts';

/**
 * From the bytes of a request to JSON that every later stage can hold: inflated under a cap, valid UTF-8, bounded in depth and keys, parsed safely.
 * gzip is told by the header or by its magic bytes, whatever the content type says: one widely used client sends gzip
 * labelled as a form.
 */
export function readBody(raw: Uint8Array, contentEncoding: string | undefined, maxBytes: number): Json {
  const bytes = inflate(raw, contentEncoding, maxBytes);
  if (bytes.length === 0) throw new SwitchyardError('BODY_EMPTY', 'The request has no body: send an event as JSON.');
  if (!isUtf8(bytes)) throw notUtf8(bytes);
  const { exactNumbers } = scanJson(bytes);
  return parseJson(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'), exactNumbers);
}

function inflate(raw: Uint8Array, contentEncoding: string | undefined, maxBytes: number): Uint8Array {
  const encoding = contentEncoding?.trim().toLowerCase() ?? '';
  const zipped = raw[0] === 0x1f && raw[1] === 0x8b;
  if (!zipped) {
    if (encoding === '' || encoding === 'identity' || raw.length === 0) {
      if (raw.length > maxBytes)
        throw new SwitchyardError('BODY_TOO_LARGE', `The body is larger than ${maxBytes} bytes: send smaller batches.`);
      return raw;
    }
    if (encoding === 'gzip' || encoding === 'x-gzip')
      throw new SwitchyardError('BODY_ENCODING_INVALID', 'Content-Encoding says gzip, but the body is not gzip.');
    throw new SwitchyardError(
      'BODY_ENCODING_INVALID',
      `Content-Encoding "${encoding.slice(0, 40)}" is not supported: send gzip, or no compression.`,
    );
  }
  try {
    return gunzipSync(raw, { maxOutputLength: maxBytes });
  } catch (error) {
    if (hasErrno(error, 'ERR_BUFFER_TOO_LARGE')) {
      throw new SwitchyardError(
        'BODY_TOO_LARGE',
        `The inflated body is larger than ${maxBytes} bytes: send smaller batches.`,
        undefined,
        { cause: error },
      );
    }
    throw new SwitchyardError('BODY_ENCODING_INVALID', 'The body begins like gzip but cannot be inflated.', undefined, {
      cause: error,
    });
  }
}

function notUtf8(bytes: Uint8Array): SwitchyardError {
  const at = firstInvalidByte(bytes);
  const { details, words } = placeOf(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1'),
    at,
    at,
  );
  return new SwitchyardError(
    'BODY_NOT_UTF8',
    `The body is not valid UTF-8 (${words}): encode it as UTF-8 before sending.`,
    details,
  );
}

/** Chunk after chunk and then character by character, so that a large body costs no more than a small one. */
function firstInvalidByte(bytes: Uint8Array): number {
  let at = 0;
  for (;;) {
    let end = at + 1024;
    while (isContinuation(bytes[end])) end += 1;
    if (end >= bytes.length || !isUtf8(bytes.subarray(at, end))) break;
    at = end;
  }
  for (;;) {
    const length = lengthOf(bytes[at] ?? 0);
    if (at >= bytes.length || !isUtf8(bytes.subarray(at, at + length))) return at;
    at += length;
  }
}

/** Of a character, by its first byte. */
const lengthOf = (lead: number): number => (lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1);

const isContinuation = (byte: number | undefined): boolean => byte !== undefined && (byte & 0xc0) === 0x80;
