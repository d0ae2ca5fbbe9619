import fc from 'fast-check';
import { scanJson, JSON_LIMITS } from '../../src/event/scan.ts';
import { thrown } from '../support/thrown.ts';
import { anyJson } from '../support/json.ts';

const scan = (text: string) => scanJson(Buffer.from(text));
const refusal = (text: string) => {
  const { code, message, details } = thrown(() => scan(text));
  return { code, message, details };
};

describe('depth', () => {
  const nested = (depth: number, open = '[', close = ']'): string => open.repeat(depth) + close.repeat(depth);

  test.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('of 64 passes and of 65 is refused, with %s', (open, close) => {
    const text = (depth: number): string => `${open.repeat(depth)}1${close.repeat(depth)}`;
    expect(() => scan(text(64))).not.toThrow();
    expect(refusal(text(65))).toMatchObject({ code: 'BODY_TOO_DEEP', details: { byte: 64 * open.length } });
  });

  test('counts what is open, not what was opened', () => {
    expect(() => scan(`[${Array.from({ length: 100 }, () => nested(63)).join(',')}]`)).not.toThrow();
  });

  test('of 100,000 levels is refused before anything is built of it', () => {
    const { code, message } = refusal(nested(100_000));
    expect(code).toBe('BODY_TOO_DEEP');
    expect(message).toContain('64 levels');
  });

  test('is not counted inside of strings', () => {
    expect(() => scan(JSON.stringify({ a: '['.repeat(1000), ['{'.repeat(100)]: '\\"[[[' }))).not.toThrow();
  });

  test('cannot be hidden behind a string that is no string', () => {
    expect(refusal(`["\\\\",${nested(70)}]`)).toMatchObject({ code: 'BODY_TOO_DEEP' });
    expect(refusal(`["\\\\\\"",${nested(70)}]`)).toMatchObject({ code: 'BODY_TOO_DEEP' });
  });
});

describe('keys', () => {
  const limits = { ...JSON_LIMITS, maxKeys: 3 };
  const scanFew = (text: string) => scanJson(Buffer.from(text), limits);

  test('are counted over the whole body', () => {
    expect(() => scanFew('[{"a":1,"b":2},{"c":3}]')).not.toThrow();
    expect(thrown(() => scanFew('[{"a":1,"b":2},{"c":3, "d" : 4}]'))).toMatchObject({
      code: 'BODY_TOO_MANY_KEYS',
      details: { byte: 23, event: 1 },
    });
  });

  test('are told from strings, with space before the colon as well', () => {
    expect(() => scanFew('["a","b","c","d","e"]')).not.toThrow();
    expect(() => scanFew('{"a" :1,"b"\n:2,"c"\t:3,"d"\r\n :4}')).toThrow('more than 3 keys');
  });

  test('are at most 256 bytes long', () => {
    expect(() => scan(`{"${'k'.repeat(256)}":1}`)).not.toThrow();
    expect(refusal(`{"${'k'.repeat(257)}":1}`)).toMatchObject({ code: 'BODY_TOO_MANY_KEYS', details: { byte: 1 } });
    expect(refusal(`{"${'é'.repeat(129)}":1}`)).toMatchObject({ code: 'BODY_TOO_MANY_KEYS' });
    expect(() => scan(`["${'k'.repeat(10_000)}"]`)).not.toThrow();
  });
});

describe('strings that no database holds', () => {
  test.each([
    ['a NUL', String.raw`{"a":"x\u0000"}`, 7, 'NUL'],
    ['a NUL in a key', String.raw`{"\u0000":1}`, 2, 'NUL'],
    ['a first half alone', String.raw`["\ud83d"]`, 2, 'surrogate'],
    ['a first half before text', String.raw`["\uD83Dabc"]`, 2, 'surrogate'],
    ['a first half before another escape', String.raw`["\ud83d\n"]`, 2, 'surrogate'],
    ['two first halves', String.raw`["\ud83d\ud83d"]`, 2, 'surrogate'],
    ['a second half alone', String.raw`["\udc00"]`, 2, 'surrogate'],
    ['a second half after a pair', String.raw`["\ud83d\ude00\ude00"]`, 14, 'surrogate'],
  ])('%s is refused', (_name, text, byte, word) => {
    expect(() => JSON.parse(text)).not.toThrow();
    const { code, message, details } = refusal(text);
    expect({ code, byte: details?.['byte'] }).toEqual({ code: 'BODY_NOT_JSON', byte });
    expect(message).toContain(word);
    expect(message).toContain(`at byte ${byte}`);
  });

  test.each([
    String.raw`["\ud83d\ude00"]`,
    String.raw`["\uD83D\uDE00\u0001\u00e9"]`,
    String.raw`["\\u0000"]`,
    String.raw`["\\\\ud800"]`,
    '["😀"]',
  ])('%s passes', (text) => {
    expect(() => scan(text)).not.toThrow();
  });

  test('an escape that is none is left to the parser, and hides nothing behind it', () => {
    expect(() => scan(String.raw`["\u12"]`)).not.toThrow();
    expect(refusal(String.raw`["\u12","\u0000"]`)).toMatchObject({ details: { byte: 9 } });
  });
});

describe('numbers', () => {
  test.each([
    '1e400',
    '-1e400',
    '1e-400',
    '-0.1e-999',
    `0.${'0'.repeat(400)}1`,
    '4e-324',
    '1.5e-310',
    `1${'0'.repeat(309)}`,
    '9'.repeat(1001),
    `1${'0'.repeat(998)}e5`,
    `0.${'1'.repeat(2000)}`,
  ])('%s is refused: nothing holds it', (number) => {
    expect(refusal(`{"n": ${number}}`)).toMatchObject({ code: 'BODY_NOT_JSON', details: { byte: 6 } });
  });

  test.each([
    '0',
    '-0',
    '0.0',
    '0e-400',
    '0e999',
    '1',
    '1.0',
    '0.1',
    '1e5',
    '1E+5',
    '1e-5',
    '123456789012345',
    '123456789012345.6',
    '1e308',
    '1e-308',
    '0.30000000000000004',
  ])('%s needs no care', (number) => expect(scan(`[${number}]`)).toEqual({ exactNumbers: false }));

  test.each([
    '12345678901234567890',
    '-12345678901234567890',
    '0.1234567890123456789',
    '9007199254740993',
    '12345678901234567e3',
    '1234567890.1234567890',
    '1'.repeat(200),
  ])('%s has digits that a double would lose', (number) => expect(scan(`[${number}]`)).toEqual({ exactNumbers: true }));

  test('inside of strings are text', () =>
    expect(scan('["12345678901234567890","1e400"]')).toEqual({ exactNumbers: false }));
});

describe('the event of a batch', () => {
  const bad = String.raw`"\u0000"`;
  const eventOf = (text: string): unknown => refusal(text).details?.['event'];

  test.each([
    ['an array', `[{"a":1},{"b":[1,2,{"c":[3,4]}],"d":2},{"e":${bad}}]`, 2],
    ['an array, in its first event', `[{"e":${bad}}]`, 0],
    ['an array, as the event itself', `[{},${bad}]`, 1],
    ['an object', `{"events":[{"a":1},{"e":${bad}}]}`, 1],
    [
      'an object, with other keys before',
      `{"sent_at":"x,y","list":[1,2,3],"meta":{"a":[1,2],"b":2},"events":[{"a":[1,2]},{},{"metadata":{"t":[0,1,[2,${bad}]]}}]}`,
      2,
    ],
    ['an object, by the name that others use', `{"batch":[{},{},{"e":${bad}}]}`, 2],
    ['an object, with a comma and brackets in strings', `{"events":[{"a":"},{"},{"b":"]\\","},{"e":${bad}}]}`, 2],
    ['an object, with space everywhere', `{ "events" : [ { } , { "e" : ${bad} } ] }`, 1],
  ])('is named in %s', (_name, text, event) => {
    expect(eventOf(text)).toBe(event);
    expect(refusal(text).message).toContain(`in the event with index ${event}`);
  });

  test.each([
    ['a single event', `{"event_name":"x","metadata":{"tags":["a","b",{"c":${bad}}]}}`],
    ['what stands beside the events', `{"events":[{},{}],"sent_at":${bad}}`],
    ['what stands before the events', `{"sent_at":{"a":[1,${bad}]},"events":[{},{}]}`],
    ['a list under another key', `{"tags":["a",${bad}]}`],
    ['something called events further down', `{"metadata":{"events":[1,${bad}]}}`],
    ['a bare string', bad],
  ])('is not made up for %s', (_name, text) => {
    const { details, message } = refusal(text);
    expect(details).toEqual({ byte: text.indexOf('\\u0000') });
    expect(message).not.toContain('index');
  });

  test('is named for a number, a key and a depth as well', () => {
    expect(eventOf('[1,1e999]')).toBe(1);
    expect(eventOf(`{"events":[1,{"${'k'.repeat(300)}":1}]}`)).toBe(1);
    expect(eventOf(`{"events":[1,2,${'['.repeat(70)}`)).toBe(2);
  });
});

test('whatever the bytes are, it ends: with an answer or with a refusal', () => {
  const piece = fc.constantFrom(
    '"',
    '\\',
    '\\u',
    '[',
    ']',
    '{',
    '}',
    ',',
    ':',
    '-',
    '1e9',
    '0',
    '\u0000',
    'é',
    'true',
    '\\ud800',
    ' ',
  );
  const text = fc.array(piece, { maxLength: 60 }).map((pieces) => Buffer.from(pieces.join('')));
  const statusOf = (bytes: Uint8Array): unknown => {
    try {
      return typeof scanJson(bytes).exactNumbers;
    } catch (error) {
      return (error as { readonly status?: unknown }).status;
    }
  };
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), text), (bytes) => {
      expect(['boolean', 400]).toContain(statusOf(bytes));
    }),
    { numRuns: 2000 },
  );
});

test('lets every JSON value pass that can be stored', () => {
  fc.assert(
    fc.property(anyJson(), fc.constantFrom(undefined, 1, '\t'), (value, indent) => {
      expect(() => scan(JSON.stringify(value, null, indent))).not.toThrow();
    }),
    { numRuns: 500 },
  );
});
