import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { readBody } from '../../src/event/body.ts';
import { thrown } from '../support/thrown.ts';

const MEBIBYTE = 1024 * 1024;
const event = { event_name: 'signup', metadata: { name: 'Zoë 😀' } };
const text = Buffer.from(JSON.stringify(event));
const refusal = (raw: Uint8Array, encoding?: string, most = MEBIBYTE) => thrown(() => readBody(raw, encoding, most));

describe('compression', () => {
  test.each(['gzip', 'x-gzip', ' GZIP ', undefined, 'identity', 'application/x-www-form-urlencoded'])(
    'gzip is inflated when the header says %s',
    (encoding) => {
      expect(readBody(gzipSync(text), encoding, MEBIBYTE)).toEqual(event);
    },
  );

  test.each(['identity', '', undefined])('a plain body is read when the header says %j', (encoding) => {
    expect(readBody(text, encoding, MEBIBYTE)).toEqual(event);
  });

  test.each([
    ['deflate', deflateSync(text)],
    ['br', brotliCompressSync(text)],
    ['zstd', text],
  ])('%s is refused by its name', (encoding, raw) => {
    expect(refusal(raw, encoding)).toMatchObject({
      code: 'BODY_ENCODING_INVALID',
      status: 400,
      message: expect.stringContaining(`"${encoding}"`) as string,
    });
  });

  test('gzip that is none, is cut off, is damaged or has something behind it is refused', () => {
    const zipped = gzipSync(text);
    const damaged = Buffer.from(zipped);
    damaged.writeUInt8(damaged.readUInt8(damaged.length - 6) ^ 1, damaged.length - 6);
    for (const raw of [
      text,
      zipped.subarray(0, -9),
      zipped.subarray(0, 12),
      damaged,
      Buffer.concat([zipped, Buffer.from('{}')]),
    ]) {
      expect(refusal(raw, 'gzip')).toMatchObject({ code: 'BODY_ENCODING_INVALID', status: 400 });
    }
  });

  test('a gzip bomb is stopped at the limit, in constant memory', () => {
    const bomb = gzipSync(Buffer.alloc(128 * MEBIBYTE, 0x20));
    expect(bomb.length).toBeLessThan(MEBIBYTE);
    const before = process.memoryUsage().rss;
    for (let round = 0; round < 20; round += 1)
      expect(refusal(bomb, 'gzip')).toMatchObject({ code: 'BODY_TOO_LARGE', status: 413 });
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * MEBIBYTE);
  });

  test('a body of just the limit is read, one byte more is not, compressed or not', () => {
    const [fits, over] = [10, 11].map((size) => Buffer.from(JSON.stringify('x'.repeat(size - 2)))) as [Buffer, Buffer];
    expect(readBody(fits, undefined, 10)).toBe('xxxxxxxx');
    expect(readBody(gzipSync(fits), 'gzip', 10)).toBe('xxxxxxxx');
    expect(refusal(over, undefined, 10)).toMatchObject({ code: 'BODY_TOO_LARGE' });
    expect(refusal(gzipSync(over), 'gzip', 10)).toMatchObject({ code: 'BODY_TOO_LARGE' });
  });
});

describe('what is in it', () => {
  test.each([
    ['nothing', Buffer.alloc(0), undefined],
    ['nothing, and says gzip', Buffer.alloc(0), 'gzip'],
    ['gzip of nothing', gzipSync(''), 'gzip'],
  ])('%s is BODY_EMPTY', (_name, raw, encoding) =>
    expect(refusal(raw, encoding)).toMatchObject({ code: 'BODY_EMPTY' }),
  );

  test.each([
    ['a byte order mark', '\ufeff{}', { byte: 0 }],
    ['trailing data', '{"event_name":"a"} {"event_name":"b"}', { byte: 19 }],
    ['NaN', '{"n":NaN}', { byte: 5 }],
    ['1e400', '{"n":1e400}', { byte: 5 }],
    ['half a surrogate pair', String.raw`{"s":"\ud800"}`, { byte: 6 }],
    ['a NUL', String.raw`{"s":"\u0000"}`, { byte: 6 }],
    ['a raw NUL', '{"s":"\u0000"}', { byte: 6 }],
    ['white space', ' \n ', { byte: 3 }],
    ['a batch with a comma too many', '[{},{"a":1,}]', { byte: 11, event: 1 }],
  ])('%s is BODY_NOT_JSON, with its place', (_name, body, details) => {
    expect(refusal(Buffer.from(body))).toMatchObject({ code: 'BODY_NOT_JSON', status: 400, details });
    expect(refusal(gzipSync(body))).toMatchObject({ code: 'BODY_NOT_JSON', details });
  });

  test.each([
    ['at the end', Buffer.from([0x22, 0x61, 0x22, 0xff]), { byte: 3 }],
    ['a character cut off', Buffer.from([0x22, 0xe2, 0x82]), { byte: 1 }],
    ['a character cut short', Buffer.from([0x22, 0xf0, 0x9f, 0x98, 0x22]), { byte: 1 }],
    ['a continuation alone', Buffer.from([0x22, 0x80, 0x80, 0x80, 0x80, 0x80, 0x22]), { byte: 1 }],
    ['overlong', Buffer.from([0x22, 0xc0, 0xaf, 0x22]), { byte: 1 }],
    ['a surrogate', Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]), { byte: 1 }],
    [
      'latin1 far behind, in a batch',
      Buffer.concat([Buffer.from(`[{"a":"${'é😀'.repeat(5000)}"},{"b":"`), Buffer.from([0xe9]), Buffer.from('"}]')]),
      { byte: 30_016, event: 1 },
    ],
  ])('bytes that are not UTF-8 are refused where they stand: %s', (_name, raw, details) => {
    expect(refusal(raw)).toMatchObject({ code: 'BODY_NOT_UTF8', status: 400, details: { ...details } });
  });

  test('a character that stands for one that was lost is a character', () =>
    expect(readBody(Buffer.from('"\ufffd"'), undefined, 100)).toBe('\ufffd'));

  test('reads a part of a larger buffer as that part', () => {
    const whole = Buffer.concat([Buffer.from('xx'), text, Buffer.from('yy')]);
    expect(readBody(new Uint8Array(whole.buffer, whole.byteOffset + 2, text.length), undefined, MEBIBYTE)).toEqual(
      event,
    );
  });

  test.each(['__proto__', String.raw`\u005f_proto__`])('%s is refused', (key) => {
    expect(refusal(Buffer.from(`{"${key}":1}`))).toMatchObject({ code: 'BODY_FORBIDDEN_KEY', status: 400 });
  });

  test('deep and flat floods are answered at once', () => {
    expect(refusal(Buffer.from('{"a":'.repeat(100_000)))).toMatchObject({ code: 'BODY_TOO_DEEP' });
    expect(
      refusal(
        Buffer.from(`{${Array.from({ length: 100_001 }, (_, index) => `"${index}":0`).join(',')}}`),
        undefined,
        4 * MEBIBYTE,
      ),
    ).toMatchObject({ code: 'BODY_TOO_MANY_KEYS' });
  });
});
