import { AsyncResource, createHook, executionAsyncId } from 'node:async_hooks';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { attempt, type Settled } from './case.ts';

/** Plain language: they do nothing outside the process. */
const HARMLESS: ReadonlySet<string> = new Set(['PROMISE', 'Microtask', 'TickObject']);

/** What libraries look at for themselves. */
const NOBODYS: ReadonlySet<string> = new Set(['NODE_ENV']);

export interface Observed<T> {
  readonly outcome: Settled<T>;
  /** What it reached for, in words; empty when it was pure. */
  readonly effects: readonly string[];
}

/**
 * Runs a synchronous function and sees what it starts: timers (unreferenced ones too), sockets, files, look-ups, threads, now or in what it leaves
 * running until the next turn of the event loop; and which environment variables it reads. Synchronous file access
 * leaves no trace that Node could show.
 */
export async function observe<T>(work: () => T): Promise<Observed<T>> {
  const effects = new Set<string>();
  const descendants = new Set<number>();
  const scope = new AsyncResource('switchyard-kit');
  descendants.add(scope.asyncId());
  const hook = createHook({
    init(id, type, trigger) {
      if (!descendants.has(trigger) && !descendants.has(executionAsyncId())) return;
      descendants.add(id);
      if (!HARMLESS.has(type)) effects.add(`it started something asynchronous (${type})`);
    },
  });
  const { env } = process;
  const { fetch } = globalThis;
  hook.enable();
  process.env = watched(env, (name) => effects.add(`it read the environment variable ${name}`));
  globalThis.fetch = (...args) => {
    effects.add('it called the global fetch');
    return fetch(...args);
  };
  const outcome = attempt(() => scope.runInAsyncScope(work));
  process.env = env;
  // What an asynchronous function that nobody awaits does after its first await belongs to it.
  await nextTurn();
  globalThis.fetch = fetch;
  hook.disable();
  return { outcome, effects: [...effects] };
}

function watched(env: NodeJS.ProcessEnv, read: (name: string) => void): NodeJS.ProcessEnv {
  const note = (key: string | symbol): void => {
    if (typeof key === 'string' && !NOBODYS.has(key)) read(key);
  };
  return new Proxy(env, {
    get(target, key) {
      note(key);
      return Reflect.get(target, key);
    },
    has(target, key) {
      note(key);
      return Reflect.has(target, key);
    },
  });
}
