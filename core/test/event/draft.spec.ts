import { runInNewContext } from 'node:vm';
import { checkDraft, isProblem, stampEvent, type CheckedDraft } from '../../src/event/draft.ts';
import { parseExact } from '../../src/event/json.ts';

const seen = { ip_address: '203.0.113.7', user_agent: 'curl' };
const problemOf = (fields: object): { field: string; message: string } | null => {
  const checked = checkDraft({ event_name: 'signup', ...fields });
  return isProblem(checked) ? checked : null;
};
const checkedOf = (fields: object): CheckedDraft => {
  const checked = checkDraft({ event_name: 'signup', ...fields });
  if (isProblem(checked)) throw new Error(checked.message);
  return checked;
};

describe('a draft', () => {
  test('needs a name and no more', () => {
    expect(checkedOf({})).toEqual({ event_name: 'signup', user_id: null, metadata: {}, context: {} });
    for (const draft of [
      {},
      { event_name: '' },
      { event_name: 7 },
      { event_name: 'x'.repeat(201) },
      { event_name: null },
    ])
      expect(checkDraft(draft)).toMatchObject({ field: 'event_name' });
  });

  test.each([null, undefined, 'text', 7, [], [{ event_name: 'a' }], JSON.rawJSON('1')])(
    'is an object, and not %p',
    (draft) => expect(checkDraft(draft)).toMatchObject({ field: '', message: 'An event is a JSON object.' }),
  );

  test.each([
    ['event_id', ['', 7, null, 'x'.repeat(101)], ['x', 'x'.repeat(100), '😀'.repeat(100), ' ']],
    ['user_id', ['', 7, {}, 'x'.repeat(201)], [null, 'u1', 'x'.repeat(200)]],
    ['timestamp', ['', 'today', '2024-01-30', 1706608800, null], ['2024-01-30T10:00:00Z']],
    ['metadata', [null, [], 'x', 1], [{}, { a: [1, { b: null }] }]],
    ['context', [null, [], 'x'], [{}, { page: { url: '/' } }]],
  ])('has a %s of its shape', (field, bad, good) => {
    for (const value of bad) expect(problemOf({ [field]: value })).toMatchObject({ field });
    for (const value of good) expect(problemOf({ [field]: value })).toBeNull();
  });

  test('has an address that is one, and an agent of a sane length', () => {
    for (const ip_address of ['localhost', '1.2.3', '::1%eth0', 7, ''])
      expect(problemOf({ context: { ip_address } })).toMatchObject({ field: 'context.ip_address' });
    for (const ip_address of ['10.0.0.1', '2001:db8::1', '::ffff:1.2.3.4', null])
      expect(problemOf({ context: { ip_address } })).toBeNull();
    expect(problemOf({ context: { user_agent: 'x'.repeat(1001) } })).toMatchObject({ field: 'context.user_agent' });
    for (const user_agent of ['', null, 'x'.repeat(1000)]) expect(problemOf({ context: { user_agent } })).toBeNull();
  });

  test('has no field that nobody knows, and says where such data goes', () => {
    for (const field of ['properties', 'id', 'received_at', 'constructor', 'toString'])
      expect(problemOf({ [field]: {} })).toMatchObject({
        field,
        message: expect.stringContaining('"metadata"') as string,
      });
  });

  test('is copied: what the plugin does with its own later changes nothing', () => {
    const list = [1];
    const metadata = Object.freeze({ list });
    const checked = checkedOf({ metadata });
    list.push(2);
    expect(checked.metadata).toEqual({ list: [1] });
  });

  test('of another realm is one', () => {
    expect(
      checkDraft(runInNewContext('({ event_name: "a", metadata: { list: [{}], none: Object.create(null) } })')),
    ).toMatchObject({ metadata: { list: [{}], none: {} } });
  });

  test('loses properties that are undefined, as in JSON', () => {
    expect(Object.keys(checkedOf({ metadata: { a: undefined, b: 1 } }).metadata)).toEqual(['b']);
    expect(stampEvent(checkedOf({ context: { user_agent: undefined } }), 'id', 'now', seen).context).toEqual(seen);
  });

  test('keeps the digits of numbers, and only of numbers', () => {
    const metadata = parseExact('{"n":12345678901234567890}') as object;
    expect(JSON.stringify(checkedOf({ metadata }).metadata)).toBe('{"n":12345678901234567890}');
    expect(
      checkedOf({ metadata: { text: JSON.rawJSON('"x"'), small: JSON.rawJSON('1.50'), zero: -0 } }).metadata,
    ).toEqual({ text: 'x', small: 1.5, zero: 0 });
  });

  const cycle: Record<string, unknown> = {};
  cycle['self'] = cycle;
  test.each<[string, object, string]>([
    ['a NUL', { a: ['x\u0000'] }, '"metadata.a[0]" holds a NUL'],
    ['a NUL in a key', { 'a\u0000': 1 }, '"metadata.a" holds a NUL'],
    ['half a surrogate pair', { a: '\ud800' }, '"metadata.a" holds half of a surrogate pair'],
    ['NaN', { a: { b: Number.NaN } }, '"metadata.a.b" is NaN'],
    ['Infinity', { a: [1, -Infinity] }, '"metadata.a[1]" is -Infinity'],
    ['a function', { a: () => 1 }, '"metadata.a" is a function'],
    ['its own way to become JSON', { toJSON: () => 1 }, '"metadata.toJSON" is a function'],
    ['a big integer', { a: 1n }, '"metadata.a" is a bigint'],
    ['a symbol', { a: Symbol('x') }, '"metadata.a" is a symbol'],
    ['a hole in a list', { a: [1, undefined] }, '"metadata.a[1]" is undefined'],
    ['a date', { a: new Date(0) }, '"metadata.a" is a Date'],
    ['a map', { a: { b: new Map() } }, '"metadata.a.b" is a Map'],
    ['__proto__', JSON.parse('{"a":{"__proto__":1}}') as object, '__proto__'],
    ['constructor.prototype', { constructor: { prototype: 1 } }, 'constructor.prototype'],
    ['a circle', cycle, 'deeper than 64 levels'],
    ['a long key', { ['k'.repeat(257)]: 1 }, 'longer than 256 bytes'],
    [
      'too many keys',
      Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [index, 0])),
      'more than 10000 keys',
    ],
    ['a list without end', { a: Object.assign([], { length: 2 ** 31 }) }, 'undefined'],
    ['too much text', { a: 'x'.repeat(2 ** 26) }, 'larger than'],
    [
      'a getter that throws',
      {
        get a(): never {
          throw new Error('no');
        },
      },
      '"metadata.a" throws',
    ],
    [
      'a proxy that throws',
      new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error('no');
          },
        },
      ),
      '"metadata" throws',
    ],
    ['a number beyond a double', { a: JSON.rawJSON('1e400') }, '"metadata.a" is a number outside'],
    ['a NUL as raw JSON', { a: JSON.rawJSON(String.raw`"\u0000"`) }, '"metadata.a" holds a NUL'],
  ])('that holds %s is refused, and the place is named', (_name, metadata, message) => {
    for (const field of ['metadata', 'context'])
      expect(problemOf({ [field]: metadata })?.message).toContain(message.replace('metadata', field));
  });

  test('that throws when it is looked at is refused', () => {
    expect(
      checkDraft(
        new Proxy(
          {},
          {
            getPrototypeOf: () => {
              throw new Error('no');
            },
          },
        ),
      ),
    ).toHaveProperty('message');
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(checkDraft(proxy)).toHaveProperty('message');
  });

  test('nests as deep as a body may, and no deeper', () => {
    const nested = (depth: number): object => (depth === 1 ? {} : { a: nested(depth - 1) });
    expect(problemOf({ metadata: nested(63) })).toBeNull();
    expect(problemOf({ metadata: nested(64) })?.message).toContain('deeper than 64');
  });
});

describe('a stamped event', () => {
  test('has the time of its reception when it has none, and where it came from', () => {
    expect(stampEvent(checkedOf({}), 'id', '2026-01-01T00:00:00.000Z', seen)).toEqual({
      id: 'id',
      event_name: 'signup',
      user_id: null,
      timestamp: '2026-01-01T00:00:00.000Z',
      metadata: {},
      received_at: '2026-01-01T00:00:00.000Z',
      context: seen,
    });
  });

  test('believes what the client says of its user before what the connection says', () => {
    const { context, timestamp } = stampEvent(
      checkedOf({ timestamp: '2024-01-30T10:00:00Z', context: { ip_address: null, page: '/' } }),
      'id',
      'now',
      seen,
    );
    expect(context).toEqual({ ip_address: null, user_agent: 'curl', page: '/' });
    expect(timestamp).toBe('2024-01-30T10:00:00Z');
  });
});
