import { SwitchyardError, type ErrorCode } from '../errors.ts';

/** What a body may hold. Sizes in bytes; depth counts brackets. */
export interface JsonLimits {
  readonly maxDepth: number;
  readonly maxKeys: number;
  readonly maxKeyBytes: number;
}

/** Depth 64 is far below what breaks `JSON.stringify` (some thousand levels) and far above what events need. */
export const JSON_LIMITS: JsonLimits = { maxDepth: 64, maxKeys: 100_000, maxKeyBytes: 256 };

export interface Scan {
  /** Some number has more digits than a double keeps: parse it with `parseExact`. */
  readonly exactNumbers: boolean;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
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
  /** Commas seen at depth 1 and 2, and whether depth 1 is an array: enough to name the event of a batch in either shape. */
  private readonly commas = [0, 0, 0];
  private topIsArray = false;

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
      else if (byte === 0x7b || byte === 0x5b) this.open(byte);
      else if (byte === 0x7d || byte === 0x5d) {
        this.depth -= 1;
        this.at += 1;
      } else if (byte === COMMA) {
        if (this.depth === 1 || this.depth === 2) this.commas[this.depth] = (this.commas[this.depth] ?? 0) + 1;
        this.at += 1;
      } else if (byte === MINUS || isDigit(byte)) this.number();
      else this.at += 1;
    }
  }

  private open(byte: number): void {
    if (this.depth === 0) this.topIsArray = byte === 0x5b;
    this.depth += 1;
    if (this.depth === 2) this.commas[2] = 0;
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
    if (this.keys > this.limits.maxKeys) this.refuse('BODY_TOO_MANY_KEYS', `The body has more than ${this.limits.maxKeys} keys`, start);
    if (at - start - 1 > this.limits.maxKeyBytes) this.refuse('BODY_TOO_MANY_KEYS', `A key is longer than ${this.limits.maxKeyBytes} bytes`, start);
  }

  /** PostgreSQL's jsonb holds neither a NUL nor half of a surrogate pair, and both can only be written as escapes in valid UTF-8. */
  private unicodeEscape(at: number): number {
    const unit = this.hex4(at + 2);
    if (unit === 0) this.refuse('BODY_NOT_JSON', 'A string holds a NUL character (\\u0000), which cannot be stored', at);
    if (unit >= 0xd800 && unit <= 0xdbff) {
      const low = this.bytes[at + 6] === BACKSLASH && this.bytes[at + 7] === 0x75 ? this.hex4(at + 8) : -1;
      if (low >= 0xdc00 && low <= 0xdfff) return at + 12;
      this.refuse('BODY_NOT_JSON', 'A string holds half of a surrogate pair, which cannot be stored', at);
    }
    if (unit >= 0xdc00 && unit <= 0xdfff) this.refuse('BODY_NOT_JSON', 'A string holds half of a surrogate pair, which cannot be stored', at);
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
    let simple = true;
    for (;;) {
      const byte = bytes[at];
      if (isDigit(byte)) at += 1;
      else if (byte === 0x2e || byte === 0x65 || byte === 0x45 || byte === 0x2b || byte === MINUS) {
        simple = false;
        at += 1;
      } else break;
    }
    this.at = at;
    if (simple && at - start <= 15) return;
    const text = String.fromCharCode(...bytes.subarray(start, Math.min(at, start + 1000)));
    const mantissa = text.replace(/[eE].*$/, '');
    const value = Number(text);
    if (Number.isNaN(value)) return;
    if (at - start > 1000 || !Number.isFinite(value) || (value === 0 && /[1-9]/.test(mantissa))) {
      this.refuse('BODY_NOT_JSON', 'A number is outside of what can be stored (1e-308 to 1e308, at most 1000 digits)', start);
    }
    if (mantissa.replace(/\D/g, '').replace(/^0+/, '').length > 15 && String(value) !== text) this.exactNumbers = true;
  }

  private refuse(code: ErrorCode, what: string, at: number): never {
    const inBatch = this.topIsArray ? this.depth >= 2 : this.depth >= 3;
    const event = this.commas[this.topIsArray ? 1 : 2] ?? 0;
    const where = inBatch && this.bytes.length > 0 ? { byte: at, event } : { byte: at };
    throw new SwitchyardError(code, `${what} (at byte ${at}).`, where);
  }
}
