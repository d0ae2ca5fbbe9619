import type { JavaScriptConfig } from './config.ts';
import { MEMORY_MB, TIMEOUT_MS } from './limits.ts';
import type { Program } from './sandbox/lane.ts';

let lastKey = 0;

/** A program of its own for every instance: two instances never share an isolate, even with the same code. */
export function programOf(config: JavaScriptConfig): Program {
  lastKey += 1;
  return {
    key: lastKey,
    code: config.code,
    timeoutMs: config.timeout_ms ?? TIMEOUT_MS.default,
    memoryMb: config.memory_mb ?? MEMORY_MB.default,
  };
}
