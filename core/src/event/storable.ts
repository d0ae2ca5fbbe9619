import type { Json, JsonObject } from '@switchyard/plugin-sdk';
import { fidelityOf } from './number.ts';
import { JSON_LIMITS } from './scan.ts';

/** What one event may hold, whoever made it. The size is in characters of JSON, roughly; it only keeps the absurd away. */
const MAX_KEYS = 10_000;
const MAX_SIZE = 64 * 1024 * 1024;

/** Why a value cannot be stored: a sentence without its full stop. */
export class NotStorable extends Error {}

/**
 * A copy of what a plugin made, as JSON holds it: whatever the plugin does with its own object later, and whatever getters and proxies it is made of,
 * the copy stays what was looked at here. Properties that are undefined are left out, as `JSON.stringify` does.
 *
 * Throws `NotStorable` for what JSON cannot write or a database cannot hold: it would be accepted here and then fail at every later stage.
 * `known` holds parts of an event that came through here before; they are taken as they are.
 */
export function storableCopy(value: object, known: ReadonlySet<unknown> = NOTHING): JsonObject {
  const copier = new Copier(known);
  try {
    return copier.object(value, 1, false);
  } catch (error) {
    if (error instanceof NotStorable) throw error;
    throw new NotStorable(`${copier.here()} throws when it is read`, { cause: error });
  }
}

const NOTHING: ReadonlySet<unknown> = new Set();

class Copier {
  private keys = 0;
  private size = 0;
  /** The way to the value that is looked at, by depth. */
  private readonly path: (string | number)[] = [];

  constructor(private readonly known: ReadonlySet<unknown>) {}

  /** `depth` counts brackets, this one included. */
  object(value: object, depth: number, isConstructor: boolean): JsonObject {
    const prototype: unknown = Object.getPrototypeOf(value);
    // A plain object of any realm.
    if (prototype !== null && Object.getPrototypeOf(prototype) !== null)
      throw new NotStorable(`${this.place(depth - 1)} is ${named(value)}, which JSON cannot hold`);
    const copy: Record<string, Json> = {};
    for (const key of Object.keys(value)) {
      this.path[depth] = key;
      const child = (value as Readonly<Record<string, unknown>>)[key];
      if (child === undefined) continue;
      this.key(key, depth, isConstructor);
      copy[key] =
        depth === 1 && this.known.has(child) ? (child as Json) : this.value(child, depth, key === 'constructor');
    }
    this.path.length = depth;
    return copy;
  }

  private array(value: readonly unknown[], depth: number): readonly Json[] {
    const copy: Json[] = [];
    const { length } = value;
    for (let index = 0; index < length; index += 1) {
      this.path[depth] = index;
      copy.push(this.value(value[index], depth, false));
    }
    this.path.length = depth;
    return copy;
  }

  private key(key: string, depth: number, isConstructor: boolean): void {
    if (key === '__proto__') throw new NotStorable('It has a key __proto__, which is refused');
    if (isConstructor && key === 'prototype')
      throw new NotStorable('It has a key constructor.prototype, which is refused');
    if (key.length * 3 > JSON_LIMITS.maxKeyBytes && Buffer.byteLength(key) > JSON_LIMITS.maxKeyBytes)
      throw new NotStorable(`A key is longer than ${JSON_LIMITS.maxKeyBytes} bytes`);
    this.keys += 1;
    if (this.keys > MAX_KEYS) throw new NotStorable(`It has more than ${MAX_KEYS} keys`);
    this.text(key, depth);
  }

  private value(value: unknown, depth: number, isConstructor: boolean): Json {
    if (typeof value === 'string') return this.text(value, depth);
    if (typeof value === 'number') {
      if (!Number.isFinite(value)) throw new NotStorable(`${this.place(depth)} is ${value}, which JSON cannot hold`);
      this.grow(8);
      // Without the minus of -0, which JSON text does not keep.
      return value + 0;
    }
    if (typeof value === 'boolean' || value === null) {
      this.grow(5);
      return value;
    }
    if (typeof value !== 'object')
      throw new NotStorable(`${this.place(depth)} is ${named(value)}, which JSON cannot hold`);
    if (JSON.isRawJSON(value)) return this.raw(value as { readonly rawJSON: string }, depth);
    if (depth >= JSON_LIMITS.maxDepth) throw new NotStorable(`It nests deeper than ${JSON_LIMITS.maxDepth} levels`);
    this.grow(2);
    return Array.isArray(value) ? this.array(value, depth + 1) : this.object(value, depth + 1, isConstructor);
  }

  private text(text: string, depth: number): string {
    this.grow(text.length + 3);
    if (text.includes('\u0000'))
      throw new NotStorable(`${this.place(depth)} holds a NUL character, which cannot be stored`);
    if (!text.isWellFormed())
      throw new NotStorable(`${this.place(depth)} holds half of a surrogate pair, which cannot be stored`);
    return text;
  }

  /** Such a value can hold any scalar; only a number that a double would round has a reason to. */
  private raw(value: { readonly rawJSON: string }, depth: number): Json {
    const scalar: unknown = JSON.parse(value.rawJSON);
    if (typeof scalar !== 'number') return this.value(scalar, depth, false);
    this.grow(value.rawJSON.length);
    const fidelity = fidelityOf(value.rawJSON);
    if (fidelity === 'lost')
      throw new NotStorable(
        `${this.place(depth)} is a number outside of what can be stored (1e-308 to 1e308, at most 1000 digits)`,
      );
    return fidelity === 'rounded' ? value : scalar + 0;
  }

  private grow(by: number): void {
    this.size += by;
    if (this.size > MAX_SIZE) throw new NotStorable(`It is larger than ${MAX_SIZE} characters as JSON`);
  }

  here(): string {
    return this.place(this.path.length - 1);
  }

  /** A name for a value that a person can find: "metadata.items[3]". */
  private place(depth: number): string {
    let name = '';
    for (const key of this.path.slice(1, depth + 1))
      name += typeof key === 'number' ? `[${key}]` : `${name === '' ? '' : '.'}${key}`;
    return name === '' ? 'It' : `"${name.slice(0, 200).replaceAll('\u0000', '').toWellFormed()}"`;
  }
}

/** "a function", "a Date", "undefined": what a value is, for a person. */
function named(value: unknown): string {
  if (value === undefined) return 'undefined';
  if (typeof value !== 'object' || value === null) return `a ${typeof value}`;
  const make: unknown = value.constructor;
  return typeof make === 'function' && make.name !== ''
    ? `a ${make.name.slice(0, 80)}`
    : 'an object with a prototype of its own';
}
