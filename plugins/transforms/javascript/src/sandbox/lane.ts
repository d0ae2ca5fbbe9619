import { CHILD_RSS_MAX_BYTES, ISOLATES_PER_CHILD, LOAD_MIN_BUDGET_MS } from '../limits.ts';
import { ChildDied, SandboxChild, type DeathCause } from './child-process.ts';
import type { LoadFailure, Ran } from './protocol.ts';

/** A code with its limits. The object's identity is the instance's identity. */
export interface Program {
  readonly key: number;
  readonly code: string;
  readonly timeoutMs: number;
  readonly memoryMb: number;
}

/** `died` while `loading` or `running` the code; `unavailable`: the code never came to run. */
export type RunResult =
  | Ran
  | { readonly type: 'load-failed'; readonly failure: LoadFailure }
  | {
      readonly type: 'died';
      readonly during: 'loading' | 'running';
      readonly death: DeathCause;
      readonly detail: string;
    }
  | { readonly type: 'unavailable'; readonly detail: string };

export interface Job {
  readonly text: string;
  /** How many times its time the code gets, on a machine that is too busy. */
  readonly patience: number;
  readonly signal: AbortSignal;
  readonly resolve: (result: RunResult) => void;
  readonly reject: (reason: unknown) => void;
}

export interface LaneOptions {
  readonly niceness: number;
  /** Ends a child that had nothing to do for so long; null keeps it while the lane has programs. */
  readonly idleMs: number | null;
  /** Sees every result before the lane goes on to its next job, so that a program can be taken out in time. */
  readonly inspect: (program: Program, result: RunResult) => void;
}

/**
 * One child at a time and the work that waits for it. Programs take turns: many waiting batches of one do not delay
 * another's by more than one slice each. A child that died is replaced at the next job.
 */
export class Lane {
  readonly #niceness: number;
  readonly #idleMs: number | null;
  readonly #inspect: LaneOptions['inspect'];
  readonly #waiting = new Map<Program, Job[]>();
  /** In the order of their last use. */
  readonly #loaded = new Set<Program>();
  readonly programs = new Set<Program>();
  #child: SandboxChild | null = null;
  #busy = false;
  #pumped: Promise<void> = Promise.resolve();
  #idle: NodeJS.Timeout | undefined;

  constructor(options: LaneOptions) {
    this.#niceness = options.niceness;
    this.#idleMs = options.idleMs;
    this.#inspect = options.inspect;
  }

  /** The process, if one runs. */
  get pid(): number | undefined {
    return this.#child?.alive === true ? this.#child.pid : undefined;
  }

  /** Rejects with the signal's reason only, and only before the work began. */
  run(program: Program, text: string, patience: number, signal: AbortSignal): Promise<RunResult> {
    return new Promise((resolve, reject) => {
      this.#enqueue(program, { text, patience, signal, resolve, reject });
    });
  }

  /** The program goes elsewhere or ends: takes it out with whatever of it still waits. */
  surrender(program: Program): readonly Job[] {
    this.programs.delete(program);
    if (this.#loaded.delete(program)) this.#child?.tell({ type: 'unload', key: program.key });
    const jobs = this.#waiting.get(program) ?? [];
    this.#waiting.delete(program);
    return jobs;
  }

  adopt(program: Program, jobs: readonly Job[]): void {
    this.programs.add(program);
    for (const job of jobs) this.#enqueue(program, job);
  }

  /** Ends the process, unless a program has come in the meantime. */
  async endIfUnused(): Promise<void> {
    await this.#pumped;
    if (this.programs.size > 0 || this.#busy) return;
    clearTimeout(this.#idle);
    await this.#discard();
  }

  #enqueue(program: Program, job: Job): void {
    const jobs = this.#waiting.get(program);
    if (jobs === undefined) this.#waiting.set(program, [job]);
    else jobs.push(job);
    if (this.#busy) return;
    this.#busy = true;
    this.#pumped = this.#pump();
  }

  async #pump(): Promise<void> {
    clearTimeout(this.#idle);
    for (let turn = this.#next(); turn !== undefined; turn = this.#next()) {
      const { program, job } = turn;
      if (job.signal.aborted) {
        job.reject(job.signal.reason);
        continue;
      }
      const result = await this.#work(program, job);
      this.#inspect(program, result);
      job.resolve(result);
    }
    this.#busy = false;
    if (this.#idleMs !== null) {
      this.#idle = setTimeout(() => void this.#discard(), this.#idleMs);
      this.#idle.unref();
    }
  }

  /** The first job of the program that has waited for its turn longest. */
  #next(): { readonly program: Program; readonly job: Job } | undefined {
    for (const [program, jobs] of this.#waiting) {
      const job = jobs.shift();
      this.#waiting.delete(program);
      if (jobs.length > 0) this.#waiting.set(program, jobs);
      if (job !== undefined) return { program, job };
    }
    return undefined;
  }

  async #work(program: Program, { text, patience }: Job): Promise<RunResult> {
    let during: 'starting' | 'loading' | 'running' = 'starting';
    try {
      // Without a pause when all is in place: the child then works while this process reads its last answer.
      const child = this.#child?.alive === true ? this.#child : await this.#start();
      if (!this.#loaded.has(program)) {
        during = 'loading';
        const failure = await this.#load(child, program, patience);
        if (failure !== null) return { type: 'load-failed', failure };
      }
      during = 'running';
      const budget = { cpuMs: program.timeoutMs, wallMs: program.timeoutMs * patience };
      const ran = await child.ask({ type: 'run', key: program.key, text, budget });
      if (ran.type !== 'ran') throw new Error(`The sandbox answered "${ran.type}" to a run.`);
      this.#loaded.delete(program);
      if (ran.end === 'answered') this.#loaded.add(program);
      if (child.rssBytes > CHILD_RSS_MAX_BYTES) await this.#discard();
      return ran;
    } catch (error) {
      await this.#discard();
      const detail = error instanceof Error ? error.message : String(error);
      if (!(error instanceof ChildDied) || during === 'starting') return { type: 'unavailable', detail };
      return { type: 'died', during, death: error.death, detail };
    }
  }

  async #start(): Promise<SandboxChild> {
    this.#loaded.clear();
    this.#child = new SandboxChild(this.#niceness);
    await this.#child.started();
    return this.#child;
  }

  async #load(child: SandboxChild, program: Program, patience: number): Promise<LoadFailure | null> {
    if (this.#loaded.size >= ISOLATES_PER_CHILD) {
      const [oldest] = this.#loaded;
      if (oldest !== undefined && this.#loaded.delete(oldest)) child.tell({ type: 'unload', key: oldest.key });
    }
    const { key, code, memoryMb } = program;
    const cpuMs = Math.max(program.timeoutMs, LOAD_MIN_BUDGET_MS);
    const budget = { cpuMs, wallMs: cpuMs * patience };
    const loaded = await child.ask({ type: 'load', key, code, memoryMb, budget });
    if (loaded.type !== 'loaded') throw new Error(`The sandbox answered "${loaded.type}" to a load.`);
    return loaded.failure;
  }

  async #discard(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    this.#loaded.clear();
    await child?.end();
  }
}
