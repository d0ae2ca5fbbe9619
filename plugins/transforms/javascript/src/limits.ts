/** Every bound of the sandbox in one place. "Characters" are those of JSON text: UTF-16 units. */

export const BATCH_MAX_EVENTS = 200;

export const CODE_MAX_CHARS = 100_000;

export const TIMEOUT_MS = { default: 100, minimum: 50, maximum: 1000 } as const;
export const MEMORY_MB = { default: 32, minimum: 8, maximum: 128 } as const;

/** How much event text crosses into a child at once; one event may be longer. */
export const REQUEST_MAX_CHARS = 1_048_576;

export const OUTPUT_MAX_CHARS = 1_048_576;
export const OUTPUT_MAX_EVENTS = 100;
/** A slice of a batch ends once it has made this much, so that no single answer is long to read. */
export const SLICE_OUTPUT_CHARS = 1_048_576;
/** Of all slices of a batch, or twice its input if that is more: code that does not inflate events never meets it. */
export const BATCH_OUTPUT_CHARS = 10 * 1_048_576;
/** The depth that ingress allows an event. */
export const OUTPUT_MAX_DEPTH = 64;

export const LOG_LINES_PER_EVENT = 20;
export const LOG_LINE_CHARS = 1000;
export const LOG_CHARS_PER_SLICE = 65_536;

export const ERROR_MESSAGE_CHARS = 500;
export const ERROR_STACK_CHARS = 2000;

/** The parent kills a child that has not answered after this many times the budget. */
export const WATCHDOG_FACTOR = 1.5;
/**
 * A budget counts as spent only if at least this part of it, and so never less than 25 ms, was spent on a CPU: on a machine that is too busy, a child
 * that was never scheduled is no proof against an event.
 */
export const CPU_EVIDENCE = 0.5;
/**
 * On such a machine an event is tried so often, after the first time alone and with so many times the time. Meanwhile the parent looks
 * at the CPU time: code that does spend its budget is found out and killed as soon as it has.
 */
export const STARVED_TRIES = 3;
export const PATIENCE = 25;
/** How often more than that a deadline is put off for a child that gets no CPU. */
export const STARVED_EXTENSIONS = 10;

/** Isolates that a child keeps loaded; the one that was not used for longest makes room. */
export const ISOLATES_PER_CHILD = 32;
export const SHARED_CHILDREN = 2;
export const OWN_CHILDREN = 4;
export const CHILD_START_MS = 15_000;
export const OWN_CHILD_IDLE_MS = 30_000;
/** Setting an isolate up is our work and not the code's: the code's first run gets at least this. */
export const LOAD_MIN_BUDGET_MS = 250;
/** A slice that takes this much CPU is heavy; after so many heavy ones on end the instance gets a child of its own. */
export const HEAVY_SLICE_MS = 25;
export const HEAVY_SLICES = 3;
/** A child that holds more than this between two batches is replaced. */
export const CHILD_RSS_MAX_BYTES = 512 * 1_048_576;

/**
 * The signal by which a child's guard ends it for its memory, so that the parent can tell this death from others. Windows
 * has no such signals: there it reads as a kill from outside.
 */
export const MEMORY_SIGNAL = process.platform === 'win32' ? 'SIGKILL' : 'SIGUSR2';

/**
 * Only a text with a run like this can hold a number with more digits than a double keeps. Written out sixteen times and not
 * as `{16}`: in this form the engine skips through a text, which makes it many times faster.
 */
export const LONG_NUMBER = /[\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.][\d.]/;
