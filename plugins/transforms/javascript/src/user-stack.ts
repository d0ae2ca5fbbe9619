/** A place in the user's code, both from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

const FRAMES_SHOWN = 5;
/** The name under which the sandbox compiles the code. */
const PLACE = /transform\.js:(\d+):(\d+)/;

/** The innermost place of a stack that lies in the user's code. The stack is the code's own claim. */
export function placeIn(stack: string): Place | undefined {
  const [, line, column] = PLACE.exec(stack) ?? [];
  return line === undefined || column === undefined ? undefined : { line: Number(line), column: Number(column) };
}

export function atPlace(stack: string): string {
  const place = placeIn(stack);
  return place === undefined ? '' : `, at line ${place.line}, column ${place.column}`;
}

/** The frames of the user's code, without ours. Empty when there are fewer than two: the place then says it all. */
export function framesIn(stack: string): string {
  const frames = stack.split('\n').filter((line) => /^\s+at /.test(line) && PLACE.test(line));
  return frames.length < 2
    ? ''
    : frames
        .slice(0, FRAMES_SHOWN)
        .map((frame) => `\n${frame}`)
        .join('');
}
