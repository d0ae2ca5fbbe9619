export interface SyntaxPlace {
  readonly position: number;
  readonly line: number;
  readonly column: number;
  readonly expected: string;
}

const LITERAL = /true|false|null/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/**
 * Where a text stops being JSON (RFC 8259), or null if it is JSON. Engines word their syntax errors differently and leave the position out of
 * some; this runs only after a parse failed. It keeps its own stack, so depth cannot hurt it.
 */
export function findSyntaxError(text: string): SyntaxPlace | null {
  const stack: ('{' | '[')[] = [];
  let at = 0;
  let expect: 'value' | 'firstValue' | 'key' | 'firstKey' | 'after' = 'value';

  const take = (pattern: RegExp): boolean => {
    pattern.lastIndex = at;
    if (!pattern.test(text)) return false;
    at = pattern.lastIndex;
    return true;
  };
  /** Goes behind the string that begins here, or to what is wrong in it; says what is wanted there. By hand: a pattern would run out of stack. */
  const takeString = (): string | null => {
    at += 1;
    for (;;) {
      const char = text[at];
      if (char === undefined) return 'the closing quote of the string';
      if (char === '\\') {
        if (!take(ESCAPE)) return 'an escape such as \\n, \\" or \\u0041';
      } else if (char < ' ') return 'an escape such as \\n or \\u0001 instead of a control character';
      else {
        at += 1;
        if (char === '"') return null;
      }
    }
  };
  const skipSpace = (): void => {
    while (at < text.length && ' \n\r\t'.includes(text[at] ?? '')) at += 1;
  };
  const wrong = (expected: string): SyntaxPlace => {
    const before = text.slice(0, at);
    const line = before.split('\n').length;
    return { position: at, line, column: at - before.lastIndexOf('\n'), expected };
  };

  for (;;) {
    skipSpace();
    const char = text[at];
    if (expect === 'after') {
      const open = stack.at(-1);
      if (open === undefined) return at === text.length ? null : wrong('the end of the body');
      if (char === ',') expect = open === '{' ? 'key' : 'value';
      else if (char === (open === '{' ? '}' : ']')) stack.pop();
      else return wrong(open === '{' ? '"," or "}"' : '"," or "]"');
      at += 1;
    } else if (expect === 'key' || expect === 'firstKey') {
      if (expect === 'firstKey' && char === '}') {
        stack.pop();
        at += 1;
        expect = 'after';
        continue;
      }
      if (char !== '"') return wrong('a key in double quotes');
      const problem = takeString();
      if (problem !== null) return wrong(problem);
      skipSpace();
      if (text[at] !== ':') return wrong('":"');
      at += 1;
      expect = 'value';
    } else if (char === '{' || char === '[') {
      stack.push(char);
      at += 1;
      expect = char === '{' ? 'firstKey' : 'firstValue';
    } else if (expect === 'firstValue' && char === ']') {
      stack.pop();
      at += 1;
      expect = 'after';
    } else if (char === '"') {
      const problem = takeString();
      if (problem !== null) return wrong(problem);
      expect = 'after';
    } else if (take(LITERAL) || take(NUMBER)) expect = 'after';
    else return wrong('a value');
  }
}
