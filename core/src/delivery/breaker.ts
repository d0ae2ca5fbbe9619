import type { DeliveryError } from '@switchyard/plugin-sdk';

/** Failures in a row that open the breaker. More than the attempts that one bad event makes before its second retry. */
const THRESHOLD = 5;
const COOL_DOWN = { first: 2_000, most: 30_000 };
/** A wrong configuration does not mend itself within seconds, but credentials do heal: it is tried slowly, and at once after a change. */
const CONFIG_COOL_DOWN = { first: 15_000, most: 15 * 60_000 };

export interface OpenBreaker {
  readonly code: string;
  readonly reason: string;
  /** Epoch milliseconds. */
  readonly until: number;
}

/** Leave to make one delivery, and the duty to say what became of it. Exactly one of the three is called, once. */
export interface Permit {
  /** This delivery is the one that finds out whether the destination is back: a failure is not charged to its event. */
  readonly probe: boolean;
  succeeded(): void;
  failed(error: DeliveryError): void;
  /** The delivery said nothing about the destination: it was aborted, or the event itself was refused. */
  released(): void;
}

/**
 * Stands before a destination. Closed it lets everything through; after some failures in a row, or one that says that the configuration is wrong,
 * it opens and nobody passes until the cool-down is over; then one passes, and by what becomes of it the breaker closes or opens for longer.
 *
 * Waiting here spends no attempt of any event.
 */
export class Breaker {
  private failures = 0;
  private openings = 0;
  private opened: OpenBreaker | null = null;
  private probing = false;
  /** The cool-down is over by the timer, whatever the clock says: it may have been set back, and timers fire a little early by it. */
  private cooled = false;
  private disposed = false;
  /** Grows with every change of state: a delivery that began before it says nothing about the state after it. */
  private generation = 0;
  private readonly waiting = new Set<() => void>();
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly onChange: (state: OpenBreaker | null) => void,
    private readonly now: () => number = Date.now,
  ) {}

  get state(): OpenBreaker | null {
    return this.opened;
  }

  /** Whether `enter` would resolve at once. */
  get admits(): boolean {
    return this.opened === null || (!this.probing && (this.cooled || this.now() >= this.opened.until));
  }

  /** Resolves when a delivery may be made; rejects with the signal's reason, or when the destination is closed. */
  async enter(signal: AbortSignal): Promise<Permit> {
    while (!this.admits && !this.disposed) await this.change(signal);
    signal.throwIfAborted();
    if (this.disposed) throw new DOMException('The destination is closed.', 'AbortError');
    const probe = this.opened !== null;
    if (probe) this.probing = true;
    return this.permit(probe, this.generation);
  }

  private permit(probe: boolean, generation: number): Permit {
    const current = (): boolean => generation === this.generation;
    return {
      probe,
      succeeded: () => {
        if (!current()) return;
        this.failures = 0;
        if (probe) this.close();
      },
      failed: (error) => {
        if (!current()) return;
        this.failures += 1;
        if (probe || error.kind === 'config' || this.failures >= THRESHOLD) this.open(error);
      },
      released: () => {
        if (!current() || !probe) return;
        this.probing = false;
        this.wake();
      },
    };
  }

  /** Forgets what was: the configuration changed. */
  reset(): void {
    if (this.opened !== null) this.close();
    this.failures = 0;
  }

  private open(error: DeliveryError): void {
    const { first, most } = error.kind === 'config' ? CONFIG_COOL_DOWN : COOL_DOWN;
    const asked = error.kind === 'retryable' ? Math.min(error.retryAfterMs ?? 0, CONFIG_COOL_DOWN.most) : 0;
    const coolDown = Math.max(Math.min(first * 2 ** this.openings, most), asked);
    this.generation += 1;
    this.openings += 1;
    this.probing = false;
    this.cooled = false;
    this.opened = { code: error.code, reason: error.message, until: this.now() + coolDown };
    clearTimeout(this.timer);
    if (!this.disposed)
      this.timer = setTimeout(() => {
        this.cooled = true;
        this.wake();
      }, coolDown);
    this.onChange(this.opened);
  }

  private close(): void {
    this.generation += 1;
    this.openings = 0;
    this.failures = 0;
    this.probing = false;
    this.opened = null;
    clearTimeout(this.timer);
    this.onChange(null);
    this.wake();
  }

  private wake(): void {
    // Each leaves the set as it goes, and one that has to wait again waits for the next change.
    const waiting = Array.from(this.waiting);
    for (const resume of waiting) resume();
  }

  private change(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        this.waiting.delete(resume);
        signal.removeEventListener('abort', abort);
      };
      const resume = (): void => {
        leave();
        resolve();
      };
      const abort = (): void => {
        leave();
        reject(signal.reason as Error);
      };
      this.waiting.add(resume);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** Nobody passes any more: who waits, retries too, is turned away. */
  dispose(): void {
    this.disposed = true;
    clearTimeout(this.timer);
    this.wake();
  }
}
