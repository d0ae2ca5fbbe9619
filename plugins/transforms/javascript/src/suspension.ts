export interface SuspensionPolicy {
  /** Suspended at this many guilty events, of which every `forgivenBy` good ones take one back. */
  readonly strikes: number;
  readonly forgivenBy: number;
  readonly firstMs: number;
  /** The cool-down doubles with every suspension up to this. */
  readonly longestMs: number;
}

export const EVENT_SUSPENSION: SuspensionPolicy = { strikes: 5, forgivenBy: 20, firstMs: 10_000, longestMs: 600_000 };
/** Code that cannot even be set up has nothing to be forgiven for: one strike. */
export const LOAD_SUSPENSION: SuspensionPolicy = { strikes: 1, forgivenBy: 1, firstMs: 5_000, longestMs: 300_000 };

export type Standing = 'open' | 'probe' | 'suspended';

/**
 * Keeps code that spends its whole budget again and again from burning a CPU for ever: after some strikes it is not run
 * for a cool-down, then one event probes. A probe that is guilty suspends at once, and for longer.
 */
export class Suspension {
  readonly #policy: SuspensionPolicy;
  readonly #now: () => number;
  #strikes = 0;
  #times = 0;
  #until: number | null = null;
  #probing = false;

  constructor(policy: SuspensionPolicy, now: () => number) {
    this.#policy = policy;
    this.#now = now;
  }

  /** `probe` is said to one caller only, who must report what became of it: `guilty`, `good` or `inconclusive`. */
  enter(): Standing {
    if (this.#until === null) return 'open';
    if (this.#probing || this.#now() < this.#until) return 'suspended';
    this.#probing = true;
    return 'probe';
  }

  get remainingMs(): number {
    return this.#until === null ? 0 : Math.max(0, Math.ceil(this.#until - this.#now()));
  }

  guilty(): void {
    this.#strikes += 1;
    if (!this.#probing && this.#strikes < this.#policy.strikes) return;
    this.#probing = false;
    this.#until = this.#now() + Math.min(this.#policy.firstMs * 2 ** this.#times, this.#policy.longestMs);
    this.#times += 1;
  }

  good(count: number): void {
    if (this.#probing) {
      this.#probing = false;
      this.#until = null;
      // One more guilty event suspends again, until good ones have earned more.
      this.#strikes = this.#policy.strikes - 1;
    }
    this.#strikes = Math.max(0, this.#strikes - count / this.#policy.forgivenBy);
    if (this.#strikes === 0) this.#times = 0;
  }

  inconclusive(): void {
    this.#probing = false;
  }
}
