import { hash, randomBytes } from 'node:crypto';

/** An API key as a client sends it: `sy_<id>_<secret>`. */
export interface ApiKey {
  /** Public: it finds the key and may be shown. */
  readonly id: string;
  readonly secret: string;
}

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

/**
 * The id has no underscore, so the second one ends it whatever the secret holds. Keys made here have 14 and 43 characters of base62; an operator who brings
 * a key (`BOOTSTRAP_API_KEY`) may use other lengths, within what settings.ts takes.
 */
const KEY = /^sy_([0-9A-Za-z]{1,64})_([0-9A-Za-z_-]{16,256})$/;

/** Fixed width, so that every byte string of one length gives a text of one length. */
function base62(bytes: Buffer, length: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let text = '';
  for (let i = 0; i < length; i += 1) {
    text = DIGITS.charAt(Number(rest % 62n)) + text;
    rest /= 62n;
  }
  return text;
}

export const isKeyId = (text: string): boolean => /^[0-9A-Za-z]{1,64}$/.test(text);

/** 80 bits of id, 256 bits of secret. */
export function newApiKey(): ApiKey {
  return { id: base62(randomBytes(10), 14), secret: base62(randomBytes(32), 43) };
}

export function parseApiKey(text: string): ApiKey | null {
  const match = KEY.exec(text);
  return match === null ? null : { id: match[1] ?? '', secret: match[2] ?? '' };
}

export const formatApiKey = (key: ApiKey): string => `sy_${key.id}_${key.secret}`;

/** A plain hash is enough: with 256 random bits there is nothing to guess, and it stands before every event. */
export const hashSecret = (secret: string): Buffer => hash('sha256', secret, 'buffer');
