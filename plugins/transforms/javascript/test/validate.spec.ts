import { ConfigError } from '@switchyard/plugin-sdk';
import { validate } from '../src/validate.ts';

function errorOf(code: string): ConfigError {
  try {
    validate({ code });
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
  throw new Error('The code was accepted.');
}

describe('code that is accepted', () => {
  it.each([
    'export default function transform(event) { return event }',
    'export default async (event) => event',
    'const f = (event) => event; export default f;',
    'const f = (event) => event; export { f as default };',
    'export default [1, 2].at.bind([]);',
    'const helper = { async *a() {} }; export const other = 1; export default () => null',
  ])('%s', (code) => {
    expect(() => validate({ code })).not.toThrow();
  });
});

describe('code that is refused', () => {
  it('says where it does not parse', () => {
    const error = errorOf('export default function transform(event) {\n  return event..name;\n}');
    expect(error.code).toBe('TRANSFORM_SYNTAX');
    expect(error.message).toBe('The code does not parse: Unexpected token, at line 2, column 16.');
  });

  it.each([
    ['no default export', 'function transform(event) {}', 'TRANSFORM_NO_FUNCTION', /export default function transform/],
    [
      'a default export that is no function',
      'let a;\nexport default { a };',
      'TRANSFORM_NO_FUNCTION',
      /line 2, column 16/,
    ],
    ['a class', 'export default class {}', 'TRANSFORM_NO_FUNCTION', /not a function/],
    ['a generator', 'export default function* () {}', 'TRANSFORM_NO_FUNCTION', /a generator/],
    ['an import', '\nimport x from "x"; export default () => x;', 'TRANSFORM_IMPORT', /line 2, column 1/],
    ['an export of another module', 'export { default } from "x";', 'TRANSFORM_IMPORT', /nothing to import/],
    ['CommonJS', 'module.exports = (event) => event;', 'TRANSFORM_NO_FUNCTION', /exports no function/],
    ['sloppy code', 'with ({}) {}; export default () => null', 'TRANSFORM_SYNTAX', /line 1, column 1/],
    [
      'brackets without end',
      `export default () => ${'['.repeat(90_000)}`,
      'TRANSFORM_SYNTAX',
      /nested too deeply|does not parse/,
    ],
  ])('%s', (_, code, errorCode, message) => {
    const error = errorOf(code);
    expect(error.code).toBe(errorCode);
    expect(error.message).toMatch(message);
  });

  it('does not run it', () => {
    const marked = globalThis as { ranInTheRouter?: boolean };
    validate({ code: 'globalThis.ranInTheRouter = true; export default () => null' });
    expect(marked.ranInTheRouter).toBeUndefined();
  });
});
