import type { Logger } from '@switchyard/plugin-sdk';

const LINES = 100;
const PERIOD_MS = 10_000;

type Level = keyof Logger;
type Fields = Readonly<Record<string, unknown>>;

/** A plugin's logger: at most `LINES` lines a period and instance, so that a plugin in a loop neither fills the disk nor slows its neighbours. */
export class PluginLogger implements Logger {
  readonly #logger: Logger;
  #periodBegan = performance.now();
  #lines = 0;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  debug(message: string, fields?: Fields): void {
    this.#write('debug', message, fields);
  }

  info(message: string, fields?: Fields): void {
    this.#write('info', message, fields);
  }

  warn(message: string, fields?: Fields): void {
    this.#write('warn', message, fields);
  }

  error(message: string, fields?: Fields): void {
    this.#write('error', message, fields);
  }

  #write(level: Level, message: string, fields: Fields | undefined): void {
    const now = performance.now();
    if (now - this.#periodBegan >= PERIOD_MS) {
      if (this.#lines > LINES)
        this.#logger.warn('The plugin logged too much; lines were left out.', { left_out: this.#lines - LINES });
      this.#periodBegan = now;
      this.#lines = 0;
    }
    this.#lines++;
    if (this.#lines <= LINES) this.#logger[level](message, fields);
    else if (this.#lines === LINES + 1)
      this.#logger.warn(
        `The plugin logged more than ${LINES} lines in ${PERIOD_MS / 1000} s; further ones are left out.`,
      );
  }
}
