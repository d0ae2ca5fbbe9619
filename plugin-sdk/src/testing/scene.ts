import { within } from './case.ts';
import type { Evidence } from './evidence.ts';

const CLEAN_UP_MS = 1000;

/** What a case has around it: somewhere to note what the plugin says, and a list of what to clear away at the end. */
export class Scene {
  readonly evidence: Evidence;
  readonly #cleanups: (() => unknown)[] = [];
  readonly #over = new AbortController();

  constructor(evidence: Evidence) {
    this.evidence = evidence;
  }

  /** Aborts when the case is over, however it ended: a signal for calls that the case itself never aborts. */
  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Runs at the end of the case, last one first. It is given a second, and what it throws is noted and forgotten. */
  defer(cleanup: () => unknown): void {
    this.#cleanups.push(cleanup);
  }

  /** Calls the plugin, noting what it returns or throws. */
  async hear<T>(where: string, call: () => T | Promise<T>): Promise<T> {
    try {
      const value = await call();
      this.evidence.add(where, value);
      return value;
    } catch (error) {
      this.evidence.add(where, error);
      throw error;
    }
  }

  async end(): Promise<void> {
    this.#over.abort(new Error('The case is over.'));
    for (const cleanup of this.#cleanups.reverse()) {
      // One after the other: a server goes only after the instance that talks to it.
      await within(this.hear('clean-up', cleanup), CLEAN_UP_MS, () => new Error('too slow')).catch(() => {});
    }
  }
}
