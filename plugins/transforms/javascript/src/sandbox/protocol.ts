/** What parent and child say to each other. The child answers every `load` and every `run`, one at a time. */

/** `wallMs` ends the code; whether it was the code's fault depends on how much of `cpuMs` it had. */
export interface Budget {
  readonly cpuMs: number;
  readonly wallMs: number;
}

export type ToChild =
  | {
      readonly type: 'load';
      readonly key: number;
      readonly code: string;
      readonly memoryMb: number;
      readonly budget: Budget;
    }
  /** `text` is a JSON array of events. */
  | { readonly type: 'run'; readonly key: number; readonly text: string; readonly budget: Budget }
  | { readonly type: 'unload'; readonly key: number };

/** What the child has used so far, for the parent's watchdog. */
export interface Usage {
  /** CPU time of all threads since the child began. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/** Why the code has no function to run. `starved`: the machine gave the child no CPU; nothing is known of the code. */
export interface LoadFailure {
  readonly reason: 'threw' | 'timeout' | 'memory' | 'starved' | 'no-function';
  readonly message: string;
  readonly stack: string;
}

/**
 * How a run ended. After anything but `answered` the isolate is gone and the next run needs a `load`.
 * - `answered`: by itself; `text` says whether all events were reached.
 * - `timeout`: the budget was spent; `text` has the events that were done before.
 * - `starved`: as `timeout`, but too little of it was CPU time to blame an event.
 * - `memory`: over the isolate's limit; there is no text.
 */
export type RunEnd = 'answered' | 'timeout' | 'starved' | 'memory';

export interface Ran {
  readonly type: 'ran';
  readonly end: RunEnd;
  /** Made inside the isolate, next to the user's code: to be read as hostile. */
  readonly text: string | null;
  /** Where the code was when its time was up; empty for other ends. */
  readonly stack: string;
  readonly cpuMs: number;
  readonly usage: Usage;
}

interface Loaded {
  readonly type: 'loaded';
  readonly failure: LoadFailure | null;
  readonly usage: Usage;
}

export type FromChild = { readonly type: 'ready'; readonly usage: Usage } | Loaded | Ran;
