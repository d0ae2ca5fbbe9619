import fc from 'fast-check';
import { isRawNumber } from '@switchyard/plugin-sdk';
import { parseExact, parseJson } from '../../src/event/json.ts';
import { scanJson } from '../../src/event/scan.ts';
import { findSyntaxError } from '../../src/event/syntax.ts';
import { anyJson } from '../support/json.ts';
import { thrown } from '../support/thrown.ts';

const read = (text: string) => parseJson(text, scanJson(Buffer.from(text)).exactNumbers);

describe('parsing what came from outside', () => {
  test('gives what JSON.parse gives, for any JSON value', () => {
    fc.assert(
      fc.property(anyJson(), fc.constantFrom(undefined, 1, '\t'), fc.boolean(), (value, indent, exact) => {
        const text = JSON.stringify(value, null, indent);
        expect(parseJson(text, exact || scanJson(Buffer.from(text)).exactNumbers)).toEqual(JSON.parse(text));
        expect(JSON.stringify(read(text))).toBe(JSON.stringify(value));
      }),
      { numRuns: 500 },
    );
  });

  test('writes the digits that were read, for any whole or decimal number of many digits', () => {
    const digits = (min: number, max: number) =>
      fc.array(fc.integer({ min: 0, max: 9 }), { minLength: min, maxLength: max }).map((list) => list.join(''));
    const number = fc
      .tuple(fc.constantFrom('', '-'), fc.integer({ min: 1, max: 9 }), digits(15, 60), fc.option(digits(1, 30)))
      .map(([sign, first, rest, fraction]) => `${sign}${first}${rest}${fraction === null ? '' : `.${fraction}`}`);
    fc.assert(
      fc.property(fc.array(number, { minLength: 1, maxLength: 4 }), (numbers) => {
        const text = `{"numbers":[${numbers.join(',')}],"plain":1.5}`;
        const written = JSON.stringify(read(text));
        expect(JSON.stringify(parseExact(written))).toBe(written);
        const again = /\[(.*)\]/.exec(written)?.[1]?.split(',') ?? [];
        for (const [index, one] of numbers.entries())
          expect(again[index]).toBe(String(Number(one)) === one ? String(Number(one)) : one);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    '12345678901234567890',
    '-12345678901234567890',
    '0.1234567890123456789',
    '12345678901234567e3',
    '100000000000000000000000',
  ])('keeps %s', (number) => {
    expect(JSON.stringify(read(`{"n":${number}}`))).toBe(`{"n":${number}}`);
  });

  test.each([
    ['0.1', '0.1'],
    ['1.0', '1'],
    ['1e5', '100000'],
    ['-0', '0'],
    ['123456789012345.6', '123456789012345.6'],
    ['0.30000000000000004', '0.30000000000000004'],
  ])('reads %s as the plain number %s, beside one that is no plain number too', (number, written) => {
    expect(JSON.stringify(read(`[${number}]`))).toBe(`[${written}]`);
    const [plain] = read(`[${number},12345678901234567890]`) as [unknown, unknown];
    expect(typeof plain).toBe('number');
  });

  test('makes a number out of the ordinary only of those that a double rounds, whatever stands beside them', () => {
    const [long, padded] = read('[12345678901234567890,1.00000000000e+0000]') as [unknown, unknown];
    expect(isRawNumber(long)).toBe(true);
    expect(padded).toBe(1);
  });

  test('leaves no prototype behind', () => {
    expect(
      read('{"constructor":"Acme Ltd","a":{"constructor":{"name":"x"},"prototype":1,"b":{"__proto":1,"proto__":2}}}'),
    ).toEqual({
      constructor: 'Acme Ltd',
      a: { constructor: { name: 'x' }, prototype: 1, b: { __proto: 1, proto__: 2 } },
    });
  });

  test.each([
    ['{"__proto__":{"admin":true}}', 1, '__proto__', undefined],
    [String.raw`{"a":"__proto__","b":{"\u005f_proto__":1}}`, 22, '__proto__', undefined],
    [String.raw`{"\u005F\u005fpr\u006Fto__" : 1}`, 1, '__proto__', undefined],
    [
      '{"contact":"constructor","a":{"constructor":{"x":[{"prototype":1}],"prototype":{}}}}',
      67,
      'constructor.prototype',
      undefined,
    ],
    [String.raw`[{"é":1},{"c\u006fnstructor":{"prototyp\u0065":1}}]`, 31, 'constructor.prototype', 1],
    ['{"events":[{},{},{"metadata":{"__proto__":null}}]}', 30, '__proto__', 2],
  ])('refuses %s where it stands', (text, byte, key, event) => {
    for (const exact of [false, true]) {
      const { code, message, details } = thrown(() => parseJson(text, exact));
      expect({ code, details }).toEqual({
        code: 'BODY_FORBIDDEN_KEY',
        details: { byte, key, ...(event === undefined ? {} : { event }) },
      });
      expect(message).toContain(key);
    }
    expect(({} as Record<string, unknown>)['admin']).toBeUndefined();
  });
});

describe('a syntax error', () => {
  test.each([
    ['', 'a value', 1, 1],
    ['{', 'a key in double quotes', 1, 2],
    ['{"a":1,}', 'a key in double quotes', 1, 8],
    ["{'a':1}", 'a key in double quotes', 1, 2],
    ['{"a" 1}', '":"', 1, 6],
    ['[1,]', 'a value', 1, 4],
    ['[1 2]', '"," or "]"', 1, 4],
    ['{"a":1]', '"," or "}"', 1, 7],
    ['{"a":1}\n{"b":2}', 'the end of the body', 2, 1],
    ['{} x', 'the end of the body', 1, 4],
    ['{"a":NaN}', 'a value', 1, 6],
    ['[-Infinity]', 'a value', 1, 2],
    ['[01]', '"," or "]"', 1, 3],
    ['[+1]', 'a value', 1, 2],
    ['{\n  "é": 1,\n  "b": undefined\n}', 'a value', 3, 8],
    ['["ab', 'the closing quote of the string', 1, 5],
    ['["a\nb"]', 'an escape such as \\n or \\u0001 instead of a control character', 1, 4],
    [String.raw`["a\x41"]`, String.raw`an escape such as \n, \" or \u0041`, 1, 4],
    [String.raw`["a\u12"]`, String.raw`an escape such as \n, \" or \u0041`, 1, 4],
  ])('in %j is told with what was expected and where', (text, expected, line, column) => {
    const { code, message, details } = thrown(() => parseJson(text, false));
    expect({ code, details }).toMatchObject({ code: 'BODY_NOT_JSON', details: { expected, line, column } });
    expect(message).toContain(`The body is not JSON: ${expected} expected at line ${line}, column ${column}`);
  });

  test('in a batch is told with its event, and in bytes', () => {
    const { message, details } = thrown(() => parseJson('{"sent":"é","events":[{"a":1},\n{"b":tru}]}', false));
    expect(details).toEqual({ byte: 37, line: 2, column: 6, expected: 'a value', event: 1 });
    expect(message).toContain('line 2, column 6, in the event with index 1');
  });

  test('a byte order mark is one', () => {
    expect(thrown(() => parseJson('\ufeff{"a":1}', false))).toMatchObject({
      code: 'BODY_NOT_JSON',
      details: { byte: 0 },
      message: expect.stringContaining('byte order mark') as string,
    });
  });

  test('is found exactly where JSON.parse refuses, however valid JSON is broken', () => {
    const noise = fc.constantFrom(
      '"',
      '\\',
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '-',
      '+',
      '.',
      'e',
      '0',
      '1',
      ' ',
      '\n',
      'true',
      'nul',
      '\\u',
      '\\ud',
      '\u0001',
      '\u2028',
      '\ufeff',
      '/',
      "'",
      'é',
    );
    const edit = fc.record({ at: fc.nat(), remove: fc.nat({ max: 3 }), insert: fc.option(noise, { nil: '' }) });
    fc.assert(
      fc.property(
        anyJson(),
        fc.constantFrom(undefined, 1),
        fc.array(edit, { maxLength: 3 }),
        (value, indent, edits) => {
          let text = JSON.stringify(value, null, indent);
          for (const { at, remove, insert } of edits) {
            const place = at % (text.length + 1);
            text = text.slice(0, place) + insert + text.slice(place + remove);
          }
          expect({ text, json: findSyntaxError(text) === null }).toEqual({ text, json: isJson(text) });
        },
      ),
      { numRuns: 5000 },
    );
  });

  test('is found in strings and nests of any size', () => {
    const long = 'ab\\n'.repeat(2_000_000);
    expect(findSyntaxError(`["${long}"]`)).toBeNull();
    expect(findSyntaxError(`["${long}`)).toMatchObject({ position: long.length + 2 });
    expect(findSyntaxError('['.repeat(1_000_000))).toMatchObject({ position: 1_000_000 });
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
