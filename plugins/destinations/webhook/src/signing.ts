import { createHmac, createPrivateKey, createPublicKey, createSecretKey, sign, type KeyObject } from 'node:crypto';
import { ConfigError } from '@switchyard/plugin-sdk';

/** Fewer can be guessed. The specification asks for 24 to 64. */
const MIN_SECRET_BYTES = 16;
const SEED_BYTES = 32;

/** What stands before the 32 bytes of an ed25519 seed in PKCS #8, and before those of a public key in SPKI (RFC 8410). */
const PKCS8_HEAD = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_HEAD_BYTES = 12;

export type SigningKey =
  | { readonly scheme: 'v1'; readonly key: KeyObject }
  | { readonly scheme: 'v1a'; readonly key: KeyObject; readonly publicKey: string };

/**
 * A secret in one of its three forms: `whsec_` and base64 (HMAC-SHA256), `whsk_` and base64 (ed25519: the seed of 32 bytes, or seed and public key,
 * 64), anything else as the UTF-8 bytes of the text (HMAC-SHA256). Throws `ConfigError`, which names the field and not the secret.
 */
export function parseKey(secret: string, field: string): SigningKey {
  if (secret.startsWith('whsk_')) return privateKey(decode(secret.slice(5), field), field);
  const bytes = secret.startsWith('whsec_') ? decode(secret.slice(6), field) : Buffer.from(secret, 'utf8');
  if (bytes.length < MIN_SECRET_BYTES) {
    throw new ConfigError(`${field}: ${bytes.length} bytes are too few to sign with; use 24 or more.`);
  }
  return { scheme: 'v1', key: createSecretKey(bytes) };
}

function decode(base64: string, field: string): Buffer {
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) throw new ConfigError(`${field}: what follows the prefix is not base64.`);
  return Buffer.from(base64, 'base64');
}

function privateKey(bytes: Buffer, field: string): SigningKey {
  if (bytes.length !== SEED_BYTES && bytes.length !== 2 * SEED_BYTES) {
    throw new ConfigError(`${field}: an ed25519 private key has 32 or 64 bytes, this has ${bytes.length}.`);
  }
  const der = Buffer.concat([PKCS8_HEAD, bytes.subarray(0, SEED_BYTES)]);
  const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  const publicBytes = createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(SPKI_HEAD_BYTES);
  if (bytes.length === 2 * SEED_BYTES && !bytes.subarray(SEED_BYTES).equals(publicBytes)) {
    throw new ConfigError(`${field}: the public half of the key does not belong to its private half.`);
  }
  return { scheme: 'v1a', key, publicKey: `whpk_${publicBytes.toString('base64')}` };
}

/**
 * The value of `webhook-signature`: one signature a key, of `id.timestamp.body` (Standard Webhooks). An id with a full stop in it could be read in two ways;
 * event ids are UUIDs.
 */
export function signature(keys: readonly SigningKey[], id: string, timestamp: string, body: Uint8Array): string {
  const head = `${id}.${timestamp}.`;
  return keys.map((key) => `${key.scheme},${signOne(key, head, body)}`).join(' ');
}

function signOne({ scheme, key }: SigningKey, head: string, body: Uint8Array): string {
  if (scheme === 'v1') return createHmac('sha256', key).update(head).update(body).digest('base64');
  return sign(null, Buffer.concat([Buffer.from(head), body]), key).toString('base64');
}
