import { ConfigError, PermanentError, RetryableError, type Event } from '@switchyard/plugin-sdk';
import { readAnswer } from './answer.ts';
import { Batch, type BatchObserver } from './batch.ts';
import { PATIENCE } from './limits.ts';
import type { Program, RunResult } from './sandbox/lane.ts';
import type { SandboxPool } from './sandbox/pool.ts';
import type { LoadFailure, Ran } from './sandbox/protocol.ts';
import { EVENT_SUSPENSION, LOAD_SUSPENSION, Suspension } from './suspension.ts';
import { atPlace } from './user-stack.ts';

/**
 * Runs batches of one instance, and finds out which event is to blame when one goes wrong.
 *
 * The isolate runs a batch in slices. What stops a slice from inside leaves the outcomes of the events before; the next
 * slice begins with the event that was under way, so that it has the whole budget to itself, and it is guilty if that is
 * not enough. What takes the isolate or the child with it leaves nothing: the events of that slice are run one by one.
 */
export class BatchRunner {
  readonly #pool: SandboxPool;
  readonly #program: Program;
  readonly #events: Suspension;
  readonly #loads: Suspension;
  #lastGuilt = '';
  #loadError: ConfigError | null = null;

  constructor(pool: SandboxPool, program: Program, now: () => number) {
    this.#pool = pool;
    this.#program = program;
    this.#events = new Suspension(EVENT_SUSPENSION, now);
    this.#loads = new Suspension(LOAD_SUSPENSION, now);
  }

  /** Starts a process and sets the code up. Throws `ConfigError` when that fails, `RetryableError` when there is no process. */
  async prepare(signal: AbortSignal): Promise<void> {
    this.#refuseWhileBroken();
    const result = await this.#pool.run(this.#program, '[]', PATIENCE, signal);
    this.#judgeLoad(result);
    if (result.type !== 'ran') throw unavailable(result);
  }

  /** Reports one outcome for every event. Throws `ConfigError` for the whole batch when the code cannot be set up. */
  async run(events: readonly Event[], signal: AbortSignal, observer: BatchObserver): Promise<void> {
    this.#refuseWhileBroken();
    const batch = new Batch(events, observer);
    while (!batch.done) {
      const standing = this.#events.enter();
      if (standing === 'suspended') {
        batch.failRest(this.#suspended());
        return;
      }
      if (standing === 'probe') batch.isolateNext();
      try {
        const result = await this.#pool.run(this.#program, batch.nextSlice(), batch.patience, signal);
        this.#judgeLoad(result);
        this.#judge(result, batch, observer);
      } finally {
        if (standing === 'probe') this.#events.inconclusive();
      }
    }
  }

  #judge(result: RunResult, batch: Batch, observer: BatchObserver): void {
    switch (result.type) {
      case 'ran':
        observer.cpu(result.cpuMs);
        if (result.end === 'timeout')
          observer.incident('timeout', `the budget of ${this.#program.timeoutMs} ms was spent`);
        return this.#judgeRan(result, batch);
      case 'died':
        observer.incident('kill', result.detail);
        if (result.death === 'lost' || result.death === 'starved') return batch.setback(unavailable(result));
        if (batch.lost() || (batch.alone && result.death === 'overdue'))
          this.#guilty(batch, this.#sentence(result.death), '');
        return;
      case 'load-failed':
        // For want of CPU: failures that are the code's fault were thrown before.
        return batch.setback(unavailable(result));
      case 'unavailable':
        return batch.failRest(unavailable(result));
    }
  }

  #judgeRan(ran: Ran, batch: Batch): void {
    const answer = ran.text === null ? null : readAnswer(ran.text, batch.sliceLength);
    if (answer === null && ran.end === 'starved') return batch.setback(tooBusy());
    if (answer === null || (ran.end === 'answered' && answer.results.length === 0)) {
      if (batch.lost()) this.#guilty(batch, ran.end === 'memory' ? this.#sentence('memory') : this.#unreadable(), '');
      return;
    }
    const reached = answer.results.length;
    if (ran.end !== 'answered' && reached === batch.sliceLength) {
      // All events have results, but what one of them left behind would not end. Only a run alone says which.
      if (ran.end === 'starved') batch.setback(tooBusy());
      else if (batch.alone) this.#guilty(batch, this.#sentence('overdue'), ran.stack);
      else batch.isolateSlice();
      return;
    }
    batch.accept(answer, ran.text?.length ?? 0);
    if (reached > 0) this.#events.good(reached);
    else if (ran.end === 'timeout') this.#guilty(batch, this.#sentence('overdue'), ran.stack);
    else batch.setback(tooBusy());
  }

  #guilty(batch: Batch, error: PermanentError, stack: string): void {
    const place = atPlace(stack);
    const told =
      place === '' ? error : new PermanentError(`${error.message} It was${place.slice(1)}.`, { code: error.code });
    this.#lastGuilt = told.message;
    this.#events.guilty();
    batch.failNext(told, stack);
  }

  #sentence(death: 'overdue' | 'memory' | 'crashed'): PermanentError {
    switch (death) {
      case 'overdue':
        return new PermanentError(`The code did not finish with this event within ${this.#program.timeoutMs} ms.`, {
          code: 'TRANSFORM_TIMEOUT',
        });
      case 'memory':
        return new PermanentError(
          `The code needs more than its ${this.#program.memoryMb} MB of memory for this event.`,
          {
            code: 'TRANSFORM_MEMORY',
          },
        );
      case 'crashed':
        return new PermanentError('The code brought its process down with this event, twice.', {
          code: 'TRANSFORM_CRASHED',
        });
    }
  }

  #unreadable(): PermanentError {
    return new PermanentError('What the sandbox answered for this event cannot be read.', {
      code: 'TRANSFORM_BAD_OUTPUT',
    });
  }

  #suspended(): PermanentError {
    const seconds = Math.ceil(this.#events.remainingMs / 1000);
    return new PermanentError(
      `The code is suspended for another ${seconds} s because too many events spent its whole time or memory. ` +
        `The last one: ${this.#lastGuilt} Mend the code or raise its limits, publish, and replay this event.`,
      { code: 'TRANSFORM_SUSPENDED' },
    );
  }

  #refuseWhileBroken(): void {
    if (this.#loads.enter() === 'suspended' && this.#loadError !== null) throw this.#loadError;
  }

  /** Throws when the code outside of the function is at fault. */
  #judgeLoad(result: RunResult): void {
    const fault = loadFault(result);
    if (fault === null) {
      if (result.type === 'ran') this.#loads.good(1);
      else this.#loads.inconclusive();
      return;
    }
    this.#loadError = new ConfigError(
      `The code cannot be set up: ${fault.message}${atPlace(`${fault.message}\n${fault.stack}`)}. Mend it and publish; events wait until then.`,
      { code: 'TRANSFORM_LOAD_FAILED' },
    );
    this.#loads.guilty();
    throw this.#loadError;
  }
}

function loadFault(result: RunResult): Pick<LoadFailure, 'message' | 'stack'> | null {
  if (result.type === 'load-failed') return result.failure.reason === 'starved' ? null : result.failure;
  if (result.type !== 'died' || result.during !== 'loading' || result.death === 'lost' || result.death === 'starved')
    return null;
  const did = { overdue: 'does not end', memory: 'needs too much memory', crashed: 'brings its process down' }[
    result.death
  ];
  return { message: `what stands outside of the function ${did}`, stack: '' };
}

function tooBusy(): RetryableError {
  return new RetryableError('The machine is too busy to run the code: it got no CPU within its time.', {
    code: 'TRANSFORM_UNAVAILABLE',
  });
}

function unavailable(result: Exclude<RunResult, Ran>): RetryableError {
  const detail = result.type === 'load-failed' ? result.failure.message : result.detail;
  return new RetryableError(`The code could not be run, for no fault of the event: ${detail}.`, {
    code: 'TRANSFORM_UNAVAILABLE',
  });
}
