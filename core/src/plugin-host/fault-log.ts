import type { Logger } from '@switchyard/plugin-sdk';
import type { Fault } from './failure.ts';

const QUIET_MS = 10_000;

/** Counts every fault of an instance and logs the first of each quiet period: a plugin that fails on every batch must not fill the disk. */
export class FaultLog {
  readonly #logger: Logger;
  readonly #count: (fault: Fault) => void;
  #loggedAt = Number.NEGATIVE_INFINITY;
  #suppressed = 0;

  constructor(logger: Logger, count: (fault: Fault) => void) {
    this.#logger = logger;
    this.#count = count;
  }

  note(fault: Fault, call: string, message: string, stack: unknown): void {
    this.#count(fault);
    const now = performance.now();
    if (now - this.#loggedAt < QUIET_MS) {
      this.#suppressed++;
      return;
    }
    this.#logger.error(message, { fault, call, suppressed: this.#suppressed, stack });
    this.#loggedAt = now;
    this.#suppressed = 0;
  }
}
