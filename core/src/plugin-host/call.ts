import { bug, failureOf, timedOut, type CallFailure, type CallResult } from './failure.ts';
import { inPlugin, type PluginScope } from './scope.ts';

export interface CallLimits {
  /** Ends the call from outside. */
  readonly signal?: AbortSignal;
  /** Null for a call that runs until its signal aborts, such as a source's `run`. */
  readonly deadlineMs: number | null;
  /** How long a call may go on after its signal was aborted before it is left to itself. */
  readonly graceMs?: number;
}

const GRACE_MS = 2_000;

/**
 * Calls into a plugin and waits, but not for ever. Resolves exactly once and never rejects. After an abort or at the deadline the plugin's signal
 * is aborted; a result that still comes within the grace period counts, since what it tells has happened. A call that outlives
 * even that is abandoned: what it does later changes nothing here.
 */
export function callContained<Value>(
  scope: PluginScope,
  what: string,
  run: (signal: AbortSignal) => Value | PromiseLike<Value>,
  { signal, deadlineMs, graceMs = GRACE_MS }: CallLimits,
): Promise<CallResult<Value>> {
  if (signal?.aborted === true) return Promise.resolve({ ok: false, failure: { reason: 'aborted' } });
  return new Promise((resolve) => {
    const controller = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    let ended: CallFailure | undefined;

    const finish = (result: CallResult<Value>): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', onAbort);
      resolve(result);
    };
    const end = (failure: CallFailure, reason: unknown): void => {
      if (ended !== undefined) return;
      ended = failure;
      clearTimeout(timer);
      timer = setTimeout(() => finish({ ok: false, failure }), graceMs);
      // In the plugin's scope: what its abort listeners throw comes out in the scope of whoever aborts.
      inPlugin(scope, () => controller.abort(reason));
    };
    const onAbort = (): void => end({ reason: 'aborted' }, signal?.reason);

    signal?.addEventListener('abort', onAbort, { once: true });
    if (deadlineMs !== null) {
      timer = setTimeout(
        () =>
          end(
            timedOut(what, deadlineMs),
            new DOMException(`${what} took longer than ${deadlineMs} ms`, 'TimeoutError'),
          ),
        deadlineMs,
      );
    }
    // The async function turns a throw, and a `then` that throws, into a rejection.
    inPlugin(scope, async () => run(controller.signal)).then(
      (value) => finish({ ok: true, value }),
      (thrown: unknown) => finish({ ok: false, failure: ended ?? failureOf(what, thrown) }),
    );
  });
}

/** Calls a part of a plugin that must answer at once. A promise instead of an answer is a bug of the plugin, and its rejection is taken care of. */
export function callAtOnce<Value>(scope: PluginScope, what: string, run: () => Value): CallResult<Value> {
  try {
    const value = inPlugin(scope, run);
    if (!isThenable(value)) return { ok: true, value };
    inPlugin(scope, async () => value).catch(() => undefined);
    return { ok: false, failure: bug('PLUGIN_THREW', `${what} returned a promise where it must answer at once`) };
  } catch (thrown) {
    return { ok: false, failure: failureOf(what, thrown) };
  }
}

function isThenable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
