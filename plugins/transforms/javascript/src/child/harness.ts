/**
 * What runs inside the isolate around the user's function. `createHarness` is turned into text and evaluated there, so it
 * may use nothing but its argument and the language.
 *
 * It shares its realm with hostile code. Every built-in is taken before that code runs, nothing of the harness is reachable
 * from it (strict functions, closures, strings instead of arrays that patched prototypes could watch), and whatever the
 * code's objects do when they are read (getters, `toJSON`, proxies) happens here, under the isolate's time and memory limits.
 */

export interface HarnessLimits {
  readonly outputChars: number;
  readonly outputEvents: number;
  readonly sliceChars: number;
  readonly logLines: number;
  readonly logLineChars: number;
  readonly logChars: number;
  readonly messageChars: number;
  readonly stackChars: number;
}

export interface Harness {
  readonly start: (transform: (event: unknown) => unknown) => void;
  /** Runs the events of a JSON array one after the other until they are done, or until `yieldAfterMs` have passed. */
  readonly run: (text: string, exactNumbers: boolean, yieldAfterMs: number) => void;
  /** The answer to the last `run`, as JSON. Once the jobs of a run have ended, a promise that is pending will stay so. */
  readonly collect: (interrupted: boolean) => string;
}

export function createHarness(limits: HarnessLimits): Harness {
  'use strict';
  const { parse, stringify } = JSON;
  const rawJSON: (text: string) => unknown = Reflect.get(JSON, 'rawJSON');
  const { apply, deleteProperty, defineProperty } = Reflect;
  const { isArray } = Array;
  const { now } = Date;
  const slice = Reflect.get(String.prototype, 'slice');

  // Shared memory and WebAssembly bring threads and memory beside the limits; a finalizer would run outside of any deadline.
  const removed = { WebAssembly: 0, SharedArrayBuffer: 0, Atomics: 0, FinalizationRegistry: 0, ShadowRealm: 0, gc: 0 };
  for (const name in removed) deleteProperty(globalThis, name);
  // JSON.stringify asks even plain strings for it: without this lock the code could rewrite the harness's own texts.
  defineProperty(String.prototype, 'toJSON', { value: undefined, writable: false, configurable: false });

  let transform: (event: unknown) => unknown;
  let events: readonly unknown[] = [];
  let index = 0;
  let results = '';
  let stop: 'end' | 'yield' | 'pending' = 'end';
  let startedAt = 0;
  let yieldAfter = 0;
  /** Of the event that is running: what comes of an earlier one after its turn is ignored. */
  let turn = 0;
  let logs = '';
  let linesOfEvent = 0;
  let linesLost = 0;

  const cut = (text: string, length: number): string =>
    text.length > length ? `${apply(slice, text, [0, length])}…` : text;

  const failure = (code: string, message: string, stack: string): string =>
    `["fail",${stringify(code)},${stringify(cut(message, limits.messageChars))},${stringify(cut(stack, limits.stackChars))}]`;

  const printed = (value: unknown): string => {
    try {
      if (typeof value === 'string') return value;
      if (typeof value === 'object' && value !== null) {
        const { stack } = value as { stack?: unknown };
        if (typeof stack === 'string') return stack;
        const text: unknown = stringify(value);
        return typeof text === 'string' ? text : '[object]';
      }
      if (typeof value === 'function') return '[function]';
      return typeof value === 'symbol' ? '[symbol]' : `${value as number}`;
    } catch {
      return '[unprintable]';
    }
  };

  const threw = (error: unknown): string => {
    let message = 'the code threw a value that cannot be printed';
    let stack = '';
    try {
      if (typeof error === 'object' && error !== null) {
        const seen = error as { name?: unknown; message?: unknown; stack?: unknown };
        const { name, message: said, stack: trace } = seen;
        if (typeof said === 'string') message = typeof name === 'string' ? `${name}: ${said}` : said;
        else message = `thrown: ${printed(error)}`;
        if (typeof trace === 'string') stack = trace;
      } else {
        message = `thrown: ${printed(error)}`;
      }
    } catch {
      // An error whose own properties throw: the sentence above says it.
    }
    return failure('TRANSFORM_THREW', message, stack);
  };

  /** The JSON of one event that the code returned, or else a sentence on what is wrong with it: only JSON begins with a brace. */
  const written = (value: unknown, what: string): string => {
    if (typeof value !== 'object' || value === null || isArray(value)) {
      const kind = value === null ? 'null' : isArray(value) ? 'an array' : typeof value;
      return `${what} is ${kind}; return an event, an array of events, or null to drop it.`;
    }
    try {
      const text: unknown = stringify(value);
      return typeof text === 'string' && text[0] === '{' ? text : `${what} does not become a JSON object.`;
    } catch (error) {
      return `${what} cannot be written as JSON: ${printed((error as { message?: unknown } | null)?.message)}`;
    }
  };

  const badOutput = (message: string): string => failure('TRANSFORM_BAD_OUTPUT', message, '');

  const recorded = (returned: unknown): string => {
    try {
      if (returned === undefined || returned === null) return '["drop"]';
      if (!isArray(returned)) {
        const text = written(returned, 'What the code returned');
        if (text[0] !== '{') return badOutput(text);
        return text.length > limits.outputChars ? tooLarge(text.length) : `["emit",${text}]`;
      }
      const many = returned.length;
      if (!(many > 0)) return '["drop"]';
      if (many > limits.outputEvents) {
        const message = `The code made ${many} events of one; the limit is ${limits.outputEvents}.`;
        return failure('TRANSFORM_OUTPUT_TOO_LARGE', message, '');
      }
      let piece = '["emit"';
      for (let at = 0; at < many; at += 1) {
        const text = written(returned[at], `Element ${at} of the array that the code returned`);
        if (text[0] !== '{') return badOutput(text);
        piece += `,${text}`;
        if (piece.length > limits.outputChars) return tooLarge(piece.length);
      }
      return `${piece}]`;
    } catch {
      return badOutput('What the code returned cannot be read: reading it throws.');
    }
  };

  const tooLarge = (length: number): string =>
    failure(
      'TRANSFORM_OUTPUT_TOO_LARGE',
      `What the code returned is ${length} characters of JSON or more; the limit is ${limits.outputChars} an event.`,
      '',
    );

  const push = (piece: string): void => {
    results = results === '' ? piece : `${results},${piece}`;
    index += 1;
  };

  const settled = async (mine: number, promise: unknown): Promise<void> => {
    let piece: string;
    try {
      const value = await promise;
      if (mine !== turn) return;
      piece = recorded(value);
    } catch (error) {
      if (mine !== turn) return;
      piece = threw(error);
    }
    push(piece);
    step();
  };

  const step = (): void => {
    while (index < events.length) {
      if (index > 0 && (now() - startedAt >= yieldAfter || results.length >= limits.sliceChars)) {
        stop = 'yield';
        return;
      }
      turn += 1;
      linesOfEvent = 0;
      let returned: unknown;
      try {
        returned = transform(events[index]);
        if (typeof returned === 'object' && returned !== null) {
          if (typeof (returned as { then?: unknown }).then === 'function') {
            stop = 'pending';
            void settled(turn, returned);
            return;
          }
        }
      } catch (error) {
        push(threw(error));
        continue;
      }
      push(recorded(returned));
    }
    stop = 'end';
  };

  /** How many digits of a number mean something: without leading zeros and exponent. */
  const significant = (source: string): number => {
    let digits = 0;
    for (let at = 0; at < source.length; at += 1) {
      const char = source[at] ?? '';
      if (char === 'e' || char === 'E') break;
      if (char >= '0' && char <= '9' && (digits > 0 || char !== '0')) digits += 1;
    }
    return digits;
  };

  /** A number whose digits a double would change keeps them: it stands in the event as `JSON.rawJSON`, as it does everywhere. */
  const exactly = (_key: string, value: unknown, context?: { readonly source?: string }): unknown => {
    const source = context?.source;
    if (typeof value !== 'number' || source === undefined || source.length < 16) return value;
    return `${value}` === source || significant(source) < 16 ? value : rawJSON(source);
  };

  const logger =
    (level: string) =>
    (...values: readonly unknown[]): void => {
      if (linesOfEvent >= limits.logLines || logs.length >= limits.logChars) {
        linesLost += 1;
        return;
      }
      linesOfEvent += 1;
      let line = '';
      for (let at = 0; at < values.length && line.length <= limits.logLineChars; at += 1) {
        line += at === 0 ? printed(values[at]) : ` ${printed(values[at])}`;
      }
      const entry = `[${index},${stringify(level)},${stringify(cut(line, limits.logLineChars))}]`;
      logs = logs === '' ? entry : `${logs},${entry}`;
    };
  // The isolate's own console writes nowhere; its other methods stay and do nothing.
  for (const level of ['debug', 'log', 'info', 'warn', 'error']) {
    defineProperty(console, level, { value: logger(level), writable: false, configurable: false, enumerable: true });
  }

  return {
    start: (given) => {
      transform = given;
    },
    run: (text, exactNumbers, yieldAfterMs) => {
      events = (exactNumbers ? parse(text, exactly) : parse(text)) as readonly unknown[];
      index = 0;
      results = '';
      yieldAfter = yieldAfterMs;
      startedAt = now();
      step();
    },
    collect: (interrupted) => {
      if (stop === 'pending' && !interrupted) {
        turn += 1;
        push(
          failure(
            'TRANSFORM_NEVER_SETTLED',
            'The code returned a promise that can never settle: nothing is left that could resolve it.',
            '',
          ),
        );
        stop = index < events.length ? 'yield' : 'end';
      }
      const answer = `{"results":[${results}],"logs":[${logs}],"lost":${linesLost}}`;
      results = '';
      logs = '';
      linesLost = 0;
      return answer;
    },
  };
}
