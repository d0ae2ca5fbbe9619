import { fork, type ChildProcess } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFile } from 'node:fs';
import { createRequire } from 'node:module';
import { setPriority } from 'node:os';
import { dirname, join, parse } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CHILD_START_MS, CPU_EVIDENCE, MEMORY_SIGNAL, STARVED_EXTENSIONS, WATCHDOG_FACTOR } from '../limits.ts';
import type { Budget, FromChild, ToChild } from './protocol.ts';

/**
 * Why a child is gone.
 * - `overdue`: we killed it; it used its budget up and could not be stopped from inside.
 * - `memory`: its guard killed it.
 * - `crashed`: it died of a fault in native code, which user code can provoke.
 * - `starved`: we killed it; the machine gave it no CPU.
 * - `lost`: killed from outside, or failed by a mistake of ours; no event is to blame.
 */
export type DeathCause = 'overdue' | 'memory' | 'crashed' | 'starved' | 'lost';

export class ChildDied extends Error {
  readonly death: DeathCause;

  constructor(death: DeathCause, message: string) {
    super(message);
    this.death = death;
  }
}

const CRASH_SIGNALS: ReadonlySet<string> = new Set(['SIGSEGV', 'SIGABRT', 'SIGTRAP', 'SIGILL', 'SIGBUS', 'SIGFPE']);
const STDERR_KEPT_CHARS = 2000;

interface Pending {
  readonly resolve: (message: FromChild) => void;
  readonly reject: (error: ChildDied) => void;
}

/** One child process and its watchdog. It is asked one thing at a time; whoever asks waits for the answer. */
export class SandboxChild {
  readonly pid: number | undefined;
  /** Memory that the child held when it last answered. */
  rssBytes = 0;
  readonly #process: ChildProcess;
  readonly #niceness: number;
  readonly #exited: Promise<void>;
  #pending: Pending | null = null;
  #killedFor: DeathCause | null = null;
  #gone: ChildDied | null = null;
  #cpuMs = 0;
  #stderr = '';

  constructor(niceness: number) {
    this.#process = fork(entry, [], {
      execPath: process.execPath,
      execArgv: nodeFlags(),
      // Nothing of the router's environment, which holds its secrets. Dates are then the same wherever it runs.
      env: { TZ: 'UTC' },
      cwd: parse(process.execPath).root,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    this.pid = this.#process.pid;
    this.#exited = new Promise((resolve) => {
      this.#process.once('exit', (code, signal) => {
        this.#bury(code, signal);
        resolve();
      });
      this.#process.on('error', (error) => {
        this.#gone ??= new ChildDied('lost', `the sandbox process could not be started: ${error.message}`);
        this.#fail(this.#gone);
        resolve();
      });
    });
    this.#process.on('message', (message) => this.#answered(message as FromChild));
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT_CHARS);
    });
    this.#niceness = niceness;
  }

  get alive(): boolean {
    return this.#gone === null;
  }

  /** Resolves when the child can be asked. Rejects with `ChildDied`. */
  async started(): Promise<void> {
    const timer = setTimeout(() => this.kill('lost'), CHILD_START_MS);
    try {
      await this.#next();
      if (this.pid !== undefined) yieldToTheRouter(this.pid, this.#niceness);
    } finally {
      clearTimeout(timer);
    }
  }

  /**
   * Rejects with `ChildDied`, at the latest when the budget has passed one and a half times: at first the one of CPU time, and if the
   * child had no CPU to spend, the one of time on the wall.
   */
  async ask(message: Extract<ToChild, { readonly budget: Budget }>): Promise<FromChild> {
    const answer = this.#next();
    this.tell(message);
    const stopWatching = this.#watch(message.budget);
    try {
      return await answer;
    } finally {
      stopWatching();
    }
  }

  /** What needs no answer. */
  tell(message: ToChild): void {
    // A channel that is closed shows as the child's exit; there is nothing more to do about it here.
    if (this.alive) this.#process.send(message, () => {});
  }

  kill(cause: DeathCause): void {
    this.#killedFor ??= cause;
    this.#process.kill('SIGKILL');
  }

  /** Resolves when the process is gone. */
  async end(): Promise<void> {
    if (this.alive) {
      this.#killedFor ??= 'lost';
      this.#process.kill('SIGKILL');
    }
    await this.#exited;
  }

  #next(): Promise<FromChild> {
    return new Promise((resolve, reject) => {
      if (this.#gone !== null) reject(this.#gone);
      else this.#pending = { resolve, reject };
    });
  }

  #answered(message: FromChild): void {
    this.#cpuMs = message.usage.cpuMs;
    this.rssBytes = message.usage.rssBytes;
    const pending = this.#pending;
    this.#pending = null;
    pending?.resolve(message);
  }

  #watch({ cpuMs, wallMs }: Budget): () => void {
    let timer: NodeJS.Timeout;
    let waitedMs = cpuMs * WATCHDOG_FACTOR;
    const asked = this.#pending;
    const overdue = (): void => {
      // The answer may lie unread in the channel because this process was busy: let it be read first.
      setImmediate(() => {
        if (this.#pending !== asked || asked === null) return;
        const used = this.#cpuSinceLastAnswer();
        if (used === undefined ? waitedMs >= wallMs * WATCHDOG_FACTOR : used >= cpuMs * CPU_EVIDENCE) {
          return this.kill('overdue');
        }
        if (waitedMs >= wallMs + cpuMs * STARVED_EXTENSIONS) return this.kill('starved');
        waitedMs += cpuMs;
        timer = setTimeout(overdue, cpuMs);
      });
    };
    timer = setTimeout(overdue, waitedMs);
    return () => clearTimeout(timer);
  }

  /** Linux only: elsewhere a child that is late is taken to have used its time. */
  #cpuSinceLastAnswer(): number | undefined {
    try {
      const threads = `/proc/${this.pid}/task`;
      let nanoseconds = 0;
      for (const thread of readdirSync(threads)) {
        nanoseconds += Number(readFileSync(join(threads, thread, 'schedstat'), 'utf8').split(' ')[0]);
      }
      const cpuMs = nanoseconds / 1e6;
      return cpuMs > 0 ? cpuMs - this.#cpuMs : undefined;
    } catch {
      return undefined;
    }
  }

  #bury(code: number | null, signal: string | null): void {
    const how = signal === null ? `exit code ${code}` : signal;
    const said = this.#stderr.trim() === '' ? '' : `; it said: ${this.#stderr.trim()}`;
    let cause: DeathCause = this.#killedFor ?? 'lost';
    if (this.#killedFor === null && signal !== null) {
      if (CRASH_SIGNALS.has(signal)) cause = 'crashed';
      else if (signal === MEMORY_SIGNAL && signal !== 'SIGKILL') cause = 'memory';
    }
    this.#gone ??= new ChildDied(cause, `the sandbox process ended (${how})${said}`);
    this.#fail(this.#gone);
  }

  #fail(error: ChildDied): void {
    const pending = this.#pending;
    this.#pending = null;
    pending?.reject(error);
  }
}

/** This file runs as TypeScript in tests and from `dist` otherwise; the child runs as what this file is. */
const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const entry = fileURLToPath(new URL(`../child/main${extension}`, import.meta.url));

function nodeFlags(): string[] {
  const isolatedVm = foldersOf('isolated-vm', import.meta.url);
  const nodeGypBuild = foldersOf('node-gyp-build', join(isolatedVm.real, 'package.json'));
  const readable = [
    join(dirname(entry), '..'),
    fileURLToPath(new URL('../../package.json', import.meta.url)),
    ...isolatedVm.all,
    ...nodeGypBuild.all,
    // node-gyp-build asks whether it exists, to tell musl from glibc.
    '/etc/alpine-release',
  ];
  return [
    // isolated-vm asks for it.
    '--no-node-snapshot',
    '--max-old-space-size=64',
    '--permission',
    '--allow-addons',
    '--allow-worker',
    ...readable.map((path) => `--allow-fs-read=${path}`),
    '--disable-warning=SecurityWarning',
    '--disable-warning=ExperimentalWarning',
  ];
}

/** Where a package lies for who imports it: its real folder, and the links by which it is found. */
function foldersOf(name: string, from: string): { readonly real: string; readonly all: readonly string[] } {
  const { resolve } = createRequire(from);
  const real = dirname(resolve(`${name}/package.json`));
  const found = (resolve.paths(name) ?? []).map((folder) => join(folder, name)).filter((folder) => existsSync(folder));
  return { real, all: [...new Set([real, ...found])] };
}

/**
 * The router comes first when CPU or memory is short. Both are favours of the system: without them nothing is less correct. Not
 * before the child has started, which is our own work and takes seconds on a busy machine at a low priority. On Linux this
 * concerns the thread that runs user code, not the guard.
 */
function yieldToTheRouter(pid: number, niceness: number): void {
  try {
    setPriority(pid, niceness);
  } catch {
    // Not permitted here, or the child is gone already.
  }
  if (process.platform === 'linux') writeFile(`/proc/${pid}/oom_score_adj`, '1000', () => {});
}
