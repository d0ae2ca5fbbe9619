import { types } from 'node:util';
import {
  ConfigError,
  PermanentError,
  RetryableError,
  isDeliveryError,
  type DeliveryError,
} from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';

/** How a call into a plugin came out. A call never throws and never rejects. */
export type CallResult<Value> =
  { readonly ok: true; readonly value: Value } | { readonly ok: false; readonly failure: CallFailure };

/**
 * - `failed`: one of the plugin's three errors; or `RetryableError` with the code `PLUGIN_TIMED_OUT`, when the call did not end in time and nobody knows
 *   what it has done.
 * - `bug`: the plugin threw something else (`PLUGIN_THREW`) or gave back something of the wrong shape (`PLUGIN_MISSING_OUTCOME`): few attempts, then parked.
 * - `aborted`: the caller's signal, or `close`, ended it. No attempt is spent.
 * - `not_open`: the instance is still opening, is paused, or was closed; its `status` says which.
 */
export type CallFailure =
  | { readonly reason: 'failed'; readonly error: DeliveryError }
  | { readonly reason: 'bug'; readonly error: SwitchyardError }
  | { readonly reason: 'aborted' }
  | { readonly reason: 'not_open' };

/** What is counted in `switchyard_contained_faults_total`. */
export type Fault = 'threw' | 'timed_out' | 'bad_result' | 'escaped';

const MAX_MESSAGE = 2000;
const TIMED_OUT = 'PLUGIN_TIMED_OUT';
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/;

/** A value that a plugin threw, as a failure that is safe to record. Never throws, whatever the value is. */
export function failureOf(what: string, thrown: unknown): CallFailure {
  try {
    if (isDeliveryError(thrown)) return { reason: 'failed', error: wellFormed(thrown) };
  } catch {
    // A value that throws when it is looked at: described below as far as that is possible.
  }
  return bug('PLUGIN_THREW', `${what} threw ${describe(thrown)}`, stackOf(thrown));
}

export function bug(code: 'PLUGIN_THREW' | 'PLUGIN_MISSING_OUTCOME', message: string, stack?: string): CallFailure {
  return {
    reason: 'bug',
    error: new SwitchyardError(code, `${message}. It is a bug of the plugin.`, undefined, { cause: stack }),
  };
}

export function timedOut(what: string, deadlineMs: number): CallFailure {
  const error = new RetryableError(
    `${what} did not end within ${deadlineMs / 1000} s; whether it has done its work is unknown.`,
    { code: TIMED_OUT },
  );
  return { reason: 'failed', error };
}

export function isTimeout(failure: CallFailure): failure is Extract<CallFailure, { reason: 'failed' }> {
  return failure.reason === 'failed' && failure.error.code === TIMED_OUT;
}

/** One of the three errors with a code to group by, a message of bearable length and a wait that is a number. */
export function wellFormed(error: DeliveryError): DeliveryError {
  // From another copy of the SDK, or made by hand: the type is only a promise.
  const { message: given }: { readonly message: unknown } = error;
  const message = String(given).slice(0, MAX_MESSAGE);
  const options = CODE.test(error.code) ? { code: error.code } : {};
  switch (error.kind) {
    case 'retryable': {
      const { retryAfterMs } = error;
      return new RetryableError(
        message,
        typeof retryAfterMs === 'number' && retryAfterMs >= 0 && Number.isFinite(retryAfterMs)
          ? { ...options, retryAfterMs }
          : options,
      );
    }
    case 'permanent':
      return new PermanentError(message, options);
    case 'config':
      return new ConfigError(message, options);
  }
}

/** For a message. Never throws. */
export function describe(value: unknown): string {
  try {
    const text = types.isNativeError(value) ? `${value.name}: ${value.message}` : `${typeof value} ${String(value)}`;
    return text.slice(0, MAX_MESSAGE);
  } catch {
    return 'a value that cannot be shown';
  }
}

/** Where a thrown value came from. A text, because the value itself may throw when it is looked at later. Never throws. */
export function stackOf(value: unknown): string | undefined {
  try {
    return types.isNativeError(value) && typeof value.stack === 'string' ? value.stack : undefined;
  } catch {
    return undefined;
  }
}
