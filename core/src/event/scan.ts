import { SwitchyardError, type ErrorCode } from '../errors.ts';
import { fidelityOf } from './number.ts';
import { placeOf } from './place.ts';

/** What a body may hold. Sizes in bytes; depth counts brackets. */
export interface JsonLimits {
  readonly maxDepth: number;
  readonly maxKeys: number;
  readonly maxKeyBytes: number;
}

/** Depth 64 is far below what breaks `JSON.stringify` (some thousand levels) and far above what events need. */
export const JSON_LIMITS: JsonLimits = { maxDepth: 64, maxKeys: 100_000, maxKeyBytes: 256 };

export interface Scan {
  /** Some number has more digits than a double keeps: parse it so that they are kept. */
  readonly exactNumbers: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const MINUS = 0x2d;

const isDigit = (byte: number | undefined): boolean => byte !== undefined && byte >= 0x30 && byte <= 0x39;
const isSpace = (byte: number | undefined): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

/**
 * Looks at a body before anything parses it. `JSON.parse` takes a million levels that `JSON.stringify` then dies of, and takes values that no
 * database holds: an event like that would be accepted and then fail at every later stage.
 *
 * It does not judge the syntax (`parse` does); on a body that is not JSON it returns or throws, but always ends.
 */
export function scanJson(bytes: Uint8Array, limits: JsonLimits = JSON_LIMITS): Scan {
  const scanner = new Scanner(bytes, limits);
  scanner.run();
  return { exactNumbers: scanner.exactNumbers };
}

class Scanner {
  exactNumbers = false;
  private at = 0;
  private depth = 0;
  private keys = 0;

  constructor(
    private readonly bytes: Uint8Array,
    private readonly limits: JsonLimits,
  ) {}

  run(): void {
    const { bytes } = this;
    const end = bytes.length;
    while (this.at < end) {
      const byte = bytes[this.at];
      if (byte === QUOTE) this.string();
      else if (byte === 0x7b || byte === 0x5b) this.open();
      else if (byte === 0x7d || byte === 0x5d) {
        this.depth -= 1;
        this.at += 1;
      } else if (byte === MINUS || isDigit(byte)) this.number();
      else this.at += 1;
    }
  }

  private open(): void {
    this.depth += 1;
    if (this.depth > this.limits.maxDepth) {
      this.refuse('BODY_TOO_DEEP', `The body nests deeper than ${this.limits.maxDepth} levels`, this.at);
    }
    this.at += 1;
  }

  private string(): void {
    const { bytes } = this;
    const start = this.at;
    let at = start + 1;
    for (;;) {
      const byte = bytes[at];
      if (byte === QUOTE || byte === undefined) break;
      if (byte === BACKSLASH) at = bytes[at + 1] === 0x75 ? this.unicodeEscape(at) : at + 2;
      else at += 1;
    }
    this.at = at + 1;
    let after = this.at;
    while (isSpace(bytes[after])) after += 1;
    if (bytes[after] !== COLON) return;
    this.keys += 1;
    if (this.keys > this.limits.maxKeys)
      this.refuse('BODY_TOO_MANY_KEYS', `The body has more than ${this.limits.maxKeys} keys`, start);
    if (at - start - 1 > this.limits.maxKeyBytes)
      this.refuse('BODY_TOO_MANY_KEYS', `A key is longer than ${this.limits.maxKeyBytes} bytes`, start);
  }

  /** PostgreSQL's jsonb holds neither a NUL nor half of a surrogate pair, and both can only be written as escapes in valid UTF-8. */
  private unicodeEscape(at: number): number {
    const unit = this.hex4(at + 2);
    // No escape at all: the string may end before four characters are over.
    if (unit < 0) return at + 2;
    if (unit === 0)
      this.refuse('BODY_NOT_JSON', 'A string holds a NUL character (\\u0000), which cannot be stored', at);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const low = this.bytes[at + 6] === BACKSLASH && this.bytes[at + 7] === 0x75 ? this.hex4(at + 8) : -1;
      if (low >= 0xdc00 && low <= 0xdfff) return at + 12;
      this.refuse('BODY_NOT_JSON', 'A string holds half of a surrogate pair, which cannot be stored', at);
    }
    if (unit >= 0xdc00 && unit <= 0xdfff)
      this.refuse('BODY_NOT_JSON', 'A string holds half of a surrogate pair, which cannot be stored', at);
    return at + 6;
  }

  private hex4(at: number): number {
    const text = String.fromCharCode(...this.bytes.subarray(at, at + 4));
    return /^[0-9a-fA-F]{4}$/.test(text) ? Number.parseInt(text, 16) : -1;
  }

  private number(): void {
    const { bytes } = this;
    const start = this.at;
    let at = start + 1;
    let exponent = false;
    for (;;) {
      const byte = bytes[at];
      if (isDigit(byte) || byte === 0x2e) at += 1;
      else if (byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === MINUS) {
        exponent = true;
        at += 1;
      } else break;
    }
    this.at = at;
    if (!exponent && at - start <= 15) return;
    // One more than is looked at, so that a longer one is told from one that just fits.
    const fidelity = fidelityOf(String.fromCharCode(...bytes.subarray(start, Math.min(at, start + 1001))));
    if (fidelity === 'lost')
      this.refuse(
        'BODY_NOT_JSON',
        'A number is outside of what can be stored (1e-308 to 1e308, at most 1000 digits)',
        start,
      );
    if (fidelity === 'rounded') this.exactNumbers = true;
  }

  private refuse(code: ErrorCode, what: string, at: number): never {
    const { buffer, byteOffset, byteLength } = this.bytes;
    // One character a byte, so that positions are bytes.
    const place = placeOf(Buffer.from(buffer, byteOffset, byteLength).toString('latin1'), at, at);
    throw new SwitchyardError(code, `${what} (${place.words}).`, place.details);
  }
}
