import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import { ConfigError } from '@switchyard/plugin-sdk';
import { configInvalid, type FieldProblem } from './field-problem.ts';
import { SET, isSealed, isSet, mapSecrets, pointer, type FieldPath, type Sealed } from './secret-fields.ts';

const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const VERSION = 'v1';

/** What the API may show of a stored configuration: secrets read `{"set": true}`. Needs no key. */
export function maskSecrets(schema: object, config: unknown): unknown {
  return mapSecrets(schema, config, () => SET);
}

/**
 * Encrypts the secrets of configurations with AES-256-GCM. A sealed secret is bound to its instance and its field, so one
 * that is copied elsewhere in the database does not open there.
 */
export class SecretBox {
  readonly #key: Uint8Array;

  /** `key` has 32 bytes. */
  constructor(key: Uint8Array) {
    this.#key = key;
  }

  /**
   * Encrypts every secret of a configuration in plain text. Where it says `{"set": true}`, the secret of `previousSealed` is kept.
   * Throws `CONFIG_INVALID` where there is none to keep.
   */
  seal(config: unknown, schema: object, instanceId: string, previousSealed?: unknown): unknown {
    const plain = this.restore(config, schema, instanceId, previousSealed);
    return mapSecrets(schema, plain, (value, path) =>
      typeof value === 'string' ? this.#encrypt(value, instanceId, path) : value,
    );
  }

  /**
   * A configuration as the API got it, with the plain text of each stored secret where it says `{"set": true}`: what the plugin's
   * schema can validate.
   *
   * Inside a list, a stored secret follows its item: it is kept when the item is otherwise unchanged and it is clear which one
   * it was. Else it must be sent again, so that a secret never lands beside another item's address.
   */
  restore(config: unknown, schema: object, instanceId: string, previousSealed?: unknown): unknown {
    const problems: FieldProblem[] = [];
    const stored = mapSecrets(schema, previousSealed, (value, path) => new Stored(value, path));
    const masks = { now: maskSecrets(schema, config), before: maskSecrets(schema, previousSealed) };
    const plain = mapSecrets(schema, config, (value, path) => {
      if (typeof value === 'string') return value;
      const kept = isSet(value) ? findStored(path, stored, masks) : undefined;
      if (kept !== undefined) return this.#open(kept.value, instanceId, kept.path);
      problems.push({
        field: pointer(path),
        message: isSet(value) ? 'there is no stored secret to keep here: send its value' : 'must be a text',
      });
      return value;
    });
    if (problems.length > 0) throw configInvalid(problems);
    return plain;
  }

  /**
   * The configuration in plain text, for the plugin alone. Throws `ConfigError` (`SECRET_UNREADABLE`) when a secret does not open, so that it becomes the
   * status of the instance that it belongs to.
   */
  unseal(config: unknown, schema: object, instanceId: string): unknown {
    return mapSecrets(schema, config, (value, path) => this.#open(value, instanceId, path));
  }

  #encrypt(text: string, instanceId: string, path: FieldPath): Sealed {
    const nonce = randomBytes(NONCE_BYTES);
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(binding(instanceId, path));
    const parts = [nonce, Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]), cipher.getAuthTag()];
    return { $sealed: [VERSION, ...parts.map((part) => part.toString('base64url'))].join('.') };
  }

  /** A text that is stored in the clear (the field became a secret in a later version of the plugin) is its own plain text. */
  #open(value: unknown, instanceId: string, path: FieldPath): unknown {
    if (!isSealed(value)) return value;
    try {
      const [version, nonce, text, tag] = value.$sealed.split('.');
      if (version !== VERSION || nonce === undefined || text === undefined || tag === undefined)
        throw new Error('unknown format');
      const decipher = createDecipheriv(CIPHER, this.#key, Buffer.from(nonce, 'base64url'), { authTagLength: 16 });
      decipher.setAAD(binding(instanceId, path)).setAuthTag(Buffer.from(tag, 'base64url'));
      return Buffer.concat([decipher.update(Buffer.from(text, 'base64url')), decipher.final()]).toString('utf8');
    } catch {
      throw new ConfigError(
        `The stored secret at ${pointer(path)} cannot be decrypted: ENCRYPTION_KEY is not the one that it was stored with, or the stored value was changed. ` +
          'Start with the former key, or enter the secret again.',
        { code: 'SECRET_UNREADABLE' },
      );
    }
  }
}

/** A secret of the previous configuration, with the place that it is bound to. */
class Stored {
  readonly value: unknown;
  readonly path: FieldPath;

  constructor(value: unknown, path: FieldPath) {
    this.value = value;
    this.path = path;
  }
}

interface Masks {
  readonly now: unknown;
  readonly before: unknown;
}

function findStored(path: FieldPath, stored: unknown, masks: Masks): Stored | undefined {
  let [here, now, before] = [stored, masks.now, masks.before];
  for (const name of path) {
    const from = Array.isArray(now) ? formerIndex(now, before, Number(name)) : name;
    if (from === undefined) return undefined;
    [here, now, before] = [child(here, from), child(now, name), child(before, from)];
  }
  return here instanceof Stored ? here : undefined;
}

function formerIndex(now: readonly unknown[], before: unknown, index: number): string | undefined {
  if (!Array.isArray(before)) return undefined;
  if (now.length === before.length && isDeepStrictEqual(now[index], before[index])) return String(index);
  const same = before.flatMap((item: unknown, at) => (isDeepStrictEqual(item, now[index]) ? [String(at)] : []));
  return same.length === 1 ? same[0] : undefined;
}

function child(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}

function binding(instanceId: string, path: FieldPath): Buffer {
  return Buffer.from(JSON.stringify([instanceId, pointer(path)]));
}
