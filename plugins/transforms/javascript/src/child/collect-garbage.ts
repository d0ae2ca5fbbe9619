import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What comes out of an isolate is a string whose characters lie outside of the heap, where the collector does not see them: a
 * child that does little else would hold hundreds of megabytes of dead answers before it ever collected. So it collects,
 * which takes some milliseconds of a small heap, each time that as much has come out.
 */
const EVERY_CHARS = 64 * 1_048_576;

// The flag puts `gc` into contexts that are made while it is set: it must not stay set when isolates are made.
setFlagsFromString('--expose-gc');
const gc = runInNewContext('gc') as () => void;
setFlagsFromString('--no-expose-gc');

let chars = 0;

/** Says that a string of this length has come out of an isolate. */
export function cameOut(length: number): void {
  chars += length;
  if (chars < EVERY_CHARS) return;
  chars = 0;
  gc();
}
