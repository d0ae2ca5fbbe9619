import { AsyncLocalStorage } from 'node:async_hooks';
import type { PluginKind } from './definition.ts';

/** Whose code runs. `instance` is null while a package is imported and while a definition looks at a configuration. */
export interface PluginScope {
  readonly kind: PluginKind;
  readonly type: string;
  readonly instance: string | null;
}

const current = new AsyncLocalStorage<PluginScope | undefined>();

/** Runs a plugin's code. Timers, sockets and promises that it starts stay its own: see `containEscapes`. */
export function inPlugin<Result>(scope: PluginScope, run: () => Result): Result {
  return current.run(scope, run);
}

/** Runs core's code on a plugin's behalf, so that a bug of ours is not taken for the plugin's. Every door of the context leads through here. */
export function inCore<Result>(run: () => Result): Result {
  return current.run(undefined, run);
}

export interface EscapeHandlers {
  /** A plugin left a promise without a handler, or threw in a timer or an event listener. Nothing else is wrong with the process. */
  plugin(scope: PluginScope, error: unknown): void;
  /** Our own bug, as far as anybody knows: what state the process is in is unknown. */
  core(error: unknown): void;
}

/**
 * Catches what no call of ours can: errors that a plugin lets go of outside of the promise that it returned. Node would end the process.
 * Call it once, at start; the returned function undoes it.
 *
 * What cannot be contained: code that blocks the thread or allocates without end, `process.exit`, `process.abort`, a native crash, and changes to
 * shared built-ins. Plugins are trusted not to be malicious; user code runs elsewhere, in processes of its own.
 */
export function containEscapes(handlers: EscapeHandlers): () => void {
  // Without a listener of their own, unhandled rejections come here too, both in the asynchronous context that they arose in.
  const listener = (error: unknown): void => {
    const scope = current.getStore();
    inCore(() => (scope === undefined ? handlers.core(error) : handlers.plugin(scope, error)));
  };
  process.on('uncaughtException', listener);
  return () => void process.off('uncaughtException', listener);
}
