/** How a failure is told to core. There are these three and no more; anything else that is thrown is a bug of the plugin. */
export type FailureKind = 'retryable' | 'permanent' | 'config';

export interface FailureOptions {
  /**
   * A stable UPPER_SNAKE word for the kind of failure, such as `HTTP_503` or `DNS_FAILED`. Dead letters are grouped by it,
   * so it must not contain anything that differs from event to event.
   */
  readonly code?: string;
  readonly cause?: unknown;
}

/** What the three errors share. Not exported: a plugin throws one of the three. */
abstract class PluginFailure extends Error {
  abstract readonly kind: FailureKind;
  readonly code: string;

  protected constructor(message: string, defaultCode: string, options: FailureOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = options.code ?? defaultCode;
  }
}

/**
 * It may work later. Core schedules the next attempt: no earlier than `retryAfterMs` (when given) and no earlier than
 * its own backoff, with jitter. The plugin never sleeps and never loops.
 */
export class RetryableError extends PluginFailure {
  readonly kind = 'retryable';
  readonly retryAfterMs: number | undefined;

  constructor(message: string, options: FailureOptions & { readonly retryAfterMs?: number } = {}) {
    super(message, 'RETRYABLE', options);
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** It will never work for this event as it is: dead-lettered now, with this message. Its neighbours are not touched. */
export class PermanentError extends PluginFailure {
  readonly kind = 'permanent';

  constructor(message: string, options: FailureOptions = {}) {
    super(message, 'PERMANENT', options);
  }
}

/**
 * The destination itself is set up wrongly (bad credentials, address refused). Core pauses the destination, tells its owner
 * and keeps its events; it tries again slowly and as soon as the configuration changes.
 */
export class ConfigError extends PluginFailure {
  readonly kind = 'config';

  constructor(message: string, options: FailureOptions = {}) {
    super(message, 'CONFIG', options);
  }
}

export type DeliveryError = RetryableError | PermanentError | ConfigError;

const kinds: ReadonlySet<unknown> = new Set<FailureKind>(['retryable', 'permanent', 'config']);

/**
 * Whether a caught value is one of the three. It looks at the shape, not at the class: a plugin may have been installed
 * with its own copy of this package.
 */
export function isDeliveryError(error: unknown): error is DeliveryError {
  return (
    error instanceof Error &&
    'kind' in error &&
    kinds.has(error.kind) &&
    'code' in error &&
    typeof error.code === 'string'
  );
}
