import { SwitchyardError } from '../errors.ts';
import { BoundedMap } from './bounded-map.ts';

const WINDOW_MS = 15 * 60_000;
/** Behind a proxy everybody has its address, so one address gets more than one person needs. */
const PER_ADDRESS = 100;
const PER_ACCOUNT = 10;

interface Count {
  readonly since: number;
  readonly failures: number;
}

/**
 * Slows the guessing of passwords: per address, and per address and account, so that a stranger cannot lock a person out from where that person is.
 *
 * An attempt counts as a failure from its beginning, so that many at once get no further than one after the other.
 */
export class LoginLimiter {
  private readonly counts = new BoundedMap<string, Count>(20_000);

  constructor(private readonly now: () => number = () => performance.now()) {}

  /** Throws `RATE_LIMITED` when there were too many. Call what it returns when the password was right. */
  begin(address: string, email: string): () => void {
    const limits: readonly (readonly [string, number])[] = [
      [address, PER_ADDRESS],
      [`${address} ${email}`, PER_ACCOUNT],
    ];
    for (const [key, most] of limits) {
      const { since, failures } = this.countOf(key);
      if (failures < most) continue;
      const seconds = Math.ceil((since + WINDOW_MS - this.now()) / 1000);
      throw new SwitchyardError(
        'RATE_LIMITED',
        `Too many failed logins from here: try again in ${Math.ceil(seconds / 60)} minutes.`,
        { retry_after_s: seconds },
      );
    }
    for (const [key] of limits) this.add(key, 1);
    return () => {
      this.add(address, -1);
      this.counts.delete(`${address} ${email}`);
    };
  }

  private countOf(key: string): Count {
    const count = this.counts.get(key);
    return count === undefined || this.now() - count.since >= WINDOW_MS ? { since: this.now(), failures: 0 } : count;
  }

  private add(key: string, by: number): void {
    const { since, failures } = this.countOf(key);
    this.counts.set(key, { since, failures: Math.max(0, failures + by) });
  }
}
