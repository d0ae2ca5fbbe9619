import ivm from 'isolated-vm';
import {
  CPU_EVIDENCE,
  ERROR_MESSAGE_CHARS,
  ERROR_STACK_CHARS,
  LOG_CHARS_PER_SLICE,
  LOG_LINES_PER_EVENT,
  LOG_LINE_CHARS,
  LONG_NUMBER,
  OUTPUT_MAX_CHARS,
  OUTPUT_MAX_EVENTS,
  SLICE_OUTPUT_CHARS,
} from '../limits.ts';
import type { Budget, LoadFailure, Ran, RunEnd } from '../sandbox/protocol.ts';
import { createHarness, type Harness, type HarnessLimits } from './harness.ts';

const limits: HarnessLimits = {
  outputChars: OUTPUT_MAX_CHARS,
  outputEvents: OUTPUT_MAX_EVENTS,
  sliceChars: SLICE_OUTPUT_CHARS,
  logLines: LOG_LINES_PER_EVENT,
  logLineChars: LOG_LINE_CHARS,
  logChars: LOG_CHARS_PER_SLICE,
  messageChars: ERROR_MESSAGE_CHARS,
  stackChars: ERROR_STACK_CHARS,
};
const harnessSource = `(${createHarness.toString()})(${JSON.stringify(limits)})`;

interface Entry {
  readonly run: ivm.Reference<Harness['run']>;
  readonly collect: ivm.Reference<Harness['collect']>;
}

export class LoadError extends Error {
  readonly failure: LoadFailure;

  constructor(failure: LoadFailure) {
    super(failure.message);
    this.failure = failure;
  }
}

/**
 * One isolate with one code in it. User code never sees an object of isolated-vm: what crosses is text, numbers and
 * booleans inwards, one string outwards.
 */
export class CodeIsolate {
  readonly #isolate: ivm.Isolate;
  readonly #entry: Entry;

  /** Throws `LoadError`; the isolate is then gone. */
  constructor(code: string, memoryMb: number, budget: Budget) {
    const before = cpuMs();
    this.#isolate = new ivm.Isolate({ memoryLimit: memoryMb });
    try {
      this.#entry = this.#load(code, budget.wallMs);
    } catch (error) {
      const failure = error instanceof LoadError ? error.failure : this.#explain(error, cpuMs() - before, budget);
      this.dispose();
      throw new LoadError(failure);
    }
  }

  #load(code: string, timeout: number): Entry {
    const context = this.#isolate.createContextSync();
    const harness = context.evalSync(harnessSource, { reference: true, timeout }) as ivm.Reference<Harness>;
    const module = this.#isolate.compileModuleSync(code, { filename: 'transform.js' });
    module.instantiateSync(context, (specifier) => {
      throw new LoadError({
        reason: 'threw',
        message: `the code imports "${specifier}": there is nothing to import in the sandbox`,
        stack: '',
      });
    });
    module.evaluateSync({ timeout });
    const transform = module.namespace.getSync('default', { reference: true });
    if (transform.typeof !== 'function') {
      throw new LoadError({ reason: 'no-function', message: 'the default export is not a function', stack: '' });
    }
    harness.getSync('start', { reference: true }).applySync(undefined, [transform.derefInto()]);
    return {
      run: harness.getSync('run', { reference: true }),
      collect: harness.getSync('collect', { reference: true }),
    };
  }

  /** Runs as many of the events as the budget allows. After any end but `answered` the isolate is gone. */
  run(text: string, budget: Budget): Omit<Ran, 'type' | 'usage'> {
    const timeout = budget.wallMs;
    const before = cpuMs();
    let end: RunEnd = 'answered';
    let stack = '';
    try {
      this.#entry.run.applySync(undefined, [text, LONG_NUMBER.test(text), timeout / 2], { timeout });
    } catch (error) {
      end = this.#endOf(error, cpuMs() - before, budget);
      if (error instanceof Error) stack = (error.stack ?? '').slice(0, ERROR_STACK_CHARS);
    }
    let answer: string | null = null;
    if (end !== 'memory') {
      try {
        answer = this.#entry.collect.applySync(undefined, [end !== 'answered'], { timeout });
      } catch (error) {
        end = this.#endOf(error, cpuMs() - before, budget);
      }
    }
    if (end !== 'answered') this.dispose();
    return { end, text: typeof answer === 'string' ? answer : null, stack, cpuMs: cpuMs() - before };
  }

  dispose(): void {
    if (!this.#isolate.isDisposed) this.#isolate.dispose();
  }

  /** The harness catches whatever the code throws, so what comes out is the isolate's own doing. */
  #endOf(error: unknown, usedMs: number, budget: Budget): RunEnd {
    if (this.#isolate.isDisposed || !isTimeout(error)) return 'memory';
    return usedMs < budget.cpuMs * CPU_EVIDENCE ? 'starved' : 'timeout';
  }

  #explain(error: unknown, usedMs: number, budget: Budget): LoadFailure {
    if (this.#isolate.isDisposed) {
      return {
        reason: 'memory',
        message: 'the code outside of the function needs more memory than it may have',
        stack: '',
      };
    }
    if (isTimeout(error)) {
      const reason = usedMs < budget.cpuMs * CPU_EVIDENCE ? 'starved' : 'timeout';
      return { reason, message: `the code outside of the function did not end within ${budget.cpuMs} ms`, stack: '' };
    }
    const { message, stack } = error instanceof Error ? error : { message: 'a value that is no error', stack: '' };
    const name = error instanceof Error ? error.name : 'thrown';
    return {
      reason: 'threw',
      message: `${name}: ${message}`.slice(0, ERROR_MESSAGE_CHARS),
      stack: (stack ?? '').slice(0, ERROR_STACK_CHARS),
    };
  }
}

/** Of the whole process: the engine also works in other threads. What an isolate says of its own CPU time is wall time. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.message === 'Script execution timed out.';
}
