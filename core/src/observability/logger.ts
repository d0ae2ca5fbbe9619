import type { Logger } from '@switchyard/plugin-sdk';
import { pino, stdTimeFunctions, type DestinationStream, type Logger as Pino } from 'pino';
import { redact, redactText } from './redact.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

type LogLabels = Readonly<Record<string, string | number | boolean>>;

/** The SDK's logger, which core uses as well. Guarantees: a call never throws, whatever it is given, and secrets are taken out (see redact.ts). */
export interface CoreLogger extends Logger {
  /** A logger that adds `labels` to every line. */
  child(labels: LogLabels): CoreLogger;
}

/**
 * One JSON object a line, to standard output unless a sink is given. Lines are written before the call returns: the last ones before
 * a crash are the ones that are needed.
 */
export function createLogger(
  level: LogLevel,
  sink: DestinationStream = pino.destination({ fd: 1, sync: true }),
): CoreLogger {
  const root = pino(
    {
      level,
      base: { pid: process.pid },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
    },
    sink,
  );
  return new PinoLogger(root);
}

class PinoLogger implements CoreLogger {
  readonly #pino: Pino;

  constructor(parent: Pino) {
    this.#pino = parent;
  }

  child(labels: LogLabels): CoreLogger {
    return new PinoLogger(this.#pino.child(labels));
  }

  debug(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: Readonly<Record<string, unknown>>): void {
    this.#write('error', message, fields);
  }

  #write(
    level: 'debug' | 'info' | 'warn' | 'error',
    message: string,
    fields: Readonly<Record<string, unknown>> | undefined,
  ): void {
    if (!this.#pino.isLevelEnabled(level)) return;
    try {
      this.#pino[level](redact(fields ?? {}), redactText(message));
    } catch {
      // A field with a throwing getter, a full disk behind the sink: neither may become the caller's failure.
    }
  }
}
