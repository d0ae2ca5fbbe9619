import { parentPort, workerData } from 'node:worker_threads';
import { MEMORY_SIGNAL } from '../limits.ts';

/**
 * A thread beside the one that runs user code, which may be stuck in native code where nothing else can reach it. It ends the
 * process when its memory passes the bound, and when the parent is gone.
 */
export interface GuardData {
  /** One cell: how many KiB the process may hold while code runs; 0 while none does. */
  readonly bound: SharedArrayBuffer;
  readonly parentPid: number;
}

const TICK_MS = 25;
const { bound, parentPid } = workerData as GuardData;
const boundKib = new Int32Array(bound);
const never = new Int32Array(new SharedArrayBuffer(4));

parentPort?.postMessage('watching');

for (;;) {
  Atomics.wait(never, 0, 0, TICK_MS);
  const kib = Atomics.load(boundKib, 0);
  if (kib > 0 && process.memoryUsage.rss() / 1024 > kib) process.kill(process.pid, MEMORY_SIGNAL);
  if (process.ppid !== parentPid) process.kill(process.pid, 'SIGKILL');
}
