import {
  PermanentError,
  RetryableError,
  drop,
  emit,
  fail,
  type DeliveryError,
  type Event,
  type TransformOutcome,
} from '@switchyard/plugin-sdk';
import type { Answer, EventResult, LogLine } from './answer.ts';
import { BATCH_OUTPUT_CHARS, PATIENCE, REQUEST_MAX_CHARS, STARVED_TRIES } from './limits.ts';
import { atPlace, framesIn } from './user-stack.ts';

/** Hears what happens during a batch. `index` is the event's place in the batch. */
export interface BatchObserver {
  outcome(index: number, outcome: TransformOutcome, stack: string): void;
  log(line: LogLine): void;
  lostLines(count: number): void;
  cpu(ms: number): void;
  incident(kind: 'timeout' | 'kill', detail: string): void;
}

/** How far a batch has come: which events have outcomes, which are in the slice that runs, and which must run alone. */
export class Batch {
  readonly #events: readonly Event[];
  readonly #observer: BatchObserver;
  /** Of the events that have outcomes. The router holds all outputs of a batch at once, so they are bounded together. */
  #inputChars = 0;
  #outputChars = 0;
  #at = 0;
  #sliceLength = 0;
  #sliceChars = 0;
  #aloneUntil = 0;
  /** Events that were there when an isolate or a child was lost. */
  readonly #lossesSeen = new Set<number>();
  #setbacks = 0;

  constructor(events: readonly Event[], observer: BatchObserver) {
    this.#events = events;
    this.#observer = observer;
  }

  get done(): boolean {
    return this.#at >= this.#events.length;
  }

  get sliceLength(): number {
    return this.#sliceLength;
  }

  get alone(): boolean {
    return this.#sliceLength === 1;
  }

  /** How many times its time the next slice gets. */
  get patience(): number {
    return this.#setbacks === 0 ? 1 : PATIENCE;
  }

  /** The next events, as a JSON array: one if it must run alone, else as many as may cross at once. */
  nextSlice(): string {
    const most = this.#at < this.#aloneUntil ? 1 : this.#events.length - this.#at;
    for (let length = most; ; length = Math.ceil(length / 2)) {
      const text = JSON.stringify(this.#events.slice(this.#at, this.#at + length));
      if (text.length > REQUEST_MAX_CHARS && length > 1) continue;
      this.#sliceLength = length;
      this.#sliceChars = text.length;
      return text;
    }
  }

  isolateNext(): void {
    this.#aloneUntil = Math.max(this.#aloneUntil, this.#at + 1);
  }

  isolateSlice(): void {
    this.#aloneUntil = this.#at + this.#sliceLength;
  }

  /**
   * The isolate was lost with everything in it. Says whether the blame is clear: the event was alone, and it was there at a
   * loss before. Until then the events of the slice run alone, each beginning with a fresh isolate after a loss.
   */
  lost(): boolean {
    if (this.alone && this.#lossesSeen.has(this.#at)) return true;
    for (let index = this.#at; index < this.#at + this.#sliceLength; index += 1) this.#lossesSeen.add(index);
    this.isolateSlice();
    return false;
  }

  accept(answer: Answer, chars: number): void {
    for (const { index, level, text } of answer.logs) this.#observer.log({ index: this.#at + index, level, text });
    if (answer.lostLines > 0) this.#observer.lostLines(answer.lostLines);
    for (const result of answer.results) {
      this.#observer.outcome(this.#at, outcomeOf(result), result.kind === 'fail' ? result.stack : '');
      this.#at += 1;
    }
    if (answer.results.length > 0) this.#setbacks = 0;
    this.#inputChars += (this.#sliceChars * answer.results.length) / this.#sliceLength;
    this.#outputChars += chars;
    if (this.#outputChars <= Math.max(BATCH_OUTPUT_CHARS, 2 * this.#inputChars)) return;
    const message = `The events before this one in its batch made ${this.#outputChars} characters of output, more than a batch may hold.`;
    this.failRest(new RetryableError(message, { code: 'TRANSFORM_BATCH_FULL' }));
  }

  /** Something went wrong that says nothing about an event. The slice is tried again, but not for ever. */
  setback(error: RetryableError): void {
    this.#setbacks += 1;
    if (this.#setbacks >= STARVED_TRIES) this.failRest(error);
    else this.isolateNext();
  }

  failNext(error: PermanentError, stack: string): void {
    this.#observer.outcome(this.#at, fail(error), stack);
    this.#at += 1;
  }

  failRest(error: DeliveryError): void {
    for (; !this.done; this.#at += 1) this.#observer.outcome(this.#at, fail(error), '');
  }
}

function outcomeOf(result: EventResult): TransformOutcome {
  switch (result.kind) {
    case 'emit':
      return emit(...result.events);
    case 'drop':
      return drop('dropped by code');
    case 'fail': {
      const { code, message, stack } = result;
      return fail(new PermanentError(`${message}${atPlace(stack)}${framesIn(stack)}`, { code }));
    }
  }
}
