import { Worker } from 'node:worker_threads';
import type { FromChild, ToChild, Usage } from '../sandbox/protocol.ts';
import { cameOut } from './collect-garbage.ts';
import type { GuardData } from './guard.ts';
import { CodeIsolate, LoadError } from './isolate.ts';

/**
 * The child process: holds isolates and runs one request at a time, synchronously. It answers what it is asked and decides
 * nothing; whoever started it kills it when an answer is late.
 */

const extension = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
const boundKib = new Int32Array(new SharedArrayBuffer(4));
const isolates = new Map<number, { readonly isolate: CodeIsolate; readonly memoryMb: number }>();

function answer(message: FromChild): void {
  process.send?.(message);
}

let restingBytes = 0;

function usage(): Usage {
  const { user, system } = process.cpuUsage();
  restingBytes = process.memoryUsage.rss();
  return { cpuMs: (user + system) / 1000, rssBytes: restingBytes };
}

/** An isolate's limit is soft (two or three times as much can pass) and does not see what native code allocates. */
function bounded<Result>(memoryMb: number, work: () => Result): Result {
  Atomics.store(boundKib, 0, restingBytes / 1024 + (3 * memoryMb + 64) * 1024);
  try {
    return work();
  } finally {
    Atomics.store(boundKib, 0, 0);
  }
}

function unload(key: number): void {
  isolates.get(key)?.isolate.dispose();
  isolates.delete(key);
}

process.on('message', (message: ToChild) => {
  switch (message.type) {
    case 'load': {
      const { key, code, memoryMb, budget } = message;
      unload(key);
      try {
        isolates.set(key, { isolate: bounded(memoryMb, () => new CodeIsolate(code, memoryMb, budget)), memoryMb });
        answer({ type: 'loaded', failure: null, usage: usage() });
      } catch (error) {
        if (!(error instanceof LoadError)) throw error;
        answer({ type: 'loaded', failure: error.failure, usage: usage() });
      }
      return;
    }
    case 'run': {
      const { key, text, budget } = message;
      const held = isolates.get(key);
      if (held === undefined) throw new Error('A run was asked for code that is not loaded.');
      const ran = bounded(held.memoryMb, () => held.isolate.run(text, budget));
      if (ran.end !== 'answered') unload(key);
      answer({ type: 'ran', ...ran, usage: usage() });
      cameOut(ran.text?.length ?? 0);
      return;
    }
    case 'unload':
      unload(message.key);
  }
});

process.on('disconnect', () => process.exit(0));
// A terminal sends these to the whole group. The parent decides when its children end: it may still be draining.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {});

const guardData: GuardData = { bound: boundKib.buffer, parentPid: process.ppid };
const guard = new Worker(new URL(`./guard${extension}`, import.meta.url), {
  workerData: guardData,
  env: {},
  resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
});
// Not before the guard watches: no code runs without it, and its start is not taken for the code's CPU time.
guard.once('message', () => {
  // From here on the process needs nothing but its channel.
  for (const scope of ['fs', 'addon', 'worker']) process.permission?.drop?.(scope);
  answer({ type: 'ready', usage: usage() });
});
