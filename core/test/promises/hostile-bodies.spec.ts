import { brotliCompressSync, gzipSync } from 'node:zlib';
import { Api } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY } from '../support/router.ts';
import { accountsOf } from './support/accounts.ts';
import { comparable, report } from './support/latency.ts';
import { Client } from './support/posting.ts';
import { RawClient, head, type RawAnswer } from './support/raw-http.ts';
import { RouterProcess } from './support/router-process.ts';

const MEBIBYTE = 1024 * 1024;

/** A body that must not get past the edge. */
interface Hostile {
  readonly name: string;
  readonly body: string | Uint8Array;
  readonly code: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** The byte that the answer points at; null where there is no place to speak of. */
  readonly byte: number | null;
}

const event = (metadata: string): string => `{"event_name":"hostile","metadata":${metadata}}`;
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`;
const WITH_BYTES = '{"event_name":"hostile","metadata":{"n":"';
const withBytes = (...bytes: readonly number[]): Buffer =>
  Buffer.concat([Buffer.from(WITH_BYTES), Buffer.from(bytes), Buffer.from('"}}')]);
const bomb = gzipSync(Buffer.alloc(64 * MEBIBYTE, 0x20));

/** Refused where `what` stands in it, or `beyond` bytes later. */
function refusedAt(name: string, code: string, body: string, what: string, beyond = 0): Hostile {
  return { name, body, code, byte: Buffer.byteLength(body.slice(0, body.indexOf(what))) + beyond };
}

const HOSTILE: readonly Hostile[] = [
  // 31
  { name: 'no JSON at all', body: 'event_name=hostile', code: 'BODY_NOT_JSON', byte: 0 },
  { name: 'JSON that is cut off', body: '{"event_name":"hostile",\n"metadata":{', code: 'BODY_NOT_JSON', byte: 37 },
  refusedAt('trailing data', 'BODY_NOT_JSON', `${event('{}')} []`, '[]'),
  { name: 'a byte order mark', body: `\uFEFF${event('{}')}`, code: 'BODY_NOT_JSON', byte: 0 },
  refusedAt('NaN', 'BODY_NOT_JSON', event('{"n":NaN}'), 'NaN'),
  refusedAt('single quotes', 'BODY_NOT_JSON', event("{'n':1}"), "'n'"),
  refusedAt('a trailing comma', 'BODY_NOT_JSON', event('{"ü":1,}'), ',}', 1),
  refusedAt('a raw line break in a string', 'BODY_NOT_JSON', event('{"n":"a\nb"}'), '\nb'),
  refusedAt('1e400', 'BODY_NOT_JSON', event('{"n":1e400}'), '1e400'),
  refusedAt('a number that a double makes 0 of', 'BODY_NOT_JSON', event('{"n":1e-400}'), '1e-400'),
  refusedAt('a NUL character', 'BODY_NOT_JSON', event('{"n":"a\\u0000"}'), '\\u0000'),
  refusedAt('a NUL character in a key', 'BODY_NOT_JSON', event('{"a\\u0000":1}'), '\\u0000'),
  refusedAt('half of a surrogate pair', 'BODY_NOT_JSON', event('{"n":"\\ud800"}'), '\\ud800'),
  refusedAt('the other half of a surrogate pair', 'BODY_NOT_JSON', event('{"n":"\\udc00\\ud800"}'), '\\udc00'),
  { name: 'nothing', body: '', code: 'BODY_EMPTY', byte: null },
  // 32
  refusedAt('65 levels', 'BODY_TOO_DEEP', event(`{"n":${nested(63)}}`), '[', 62),
  refusedAt('100,000 levels', 'BODY_TOO_DEEP', event(`{"n":${nested(100_000)}}`), '[', 62),
  { name: '400,000 levels that are never closed', body: '['.repeat(400_000), code: 'BODY_TOO_DEEP', byte: 64 },
  refusedAt(
    '100,001 keys',
    'BODY_TOO_MANY_KEYS',
    event(`{${Array.from({ length: 100_000 }, (_, index) => `"${index}":1`).join()}}`),
    '"99998"',
  ),
  refusedAt('a key of 257 bytes', 'BODY_TOO_MANY_KEYS', event(`{"${'k'.repeat(257)}":1}`), '"kkk'),
  // 33
  refusedAt('__proto__', 'BODY_FORBIDDEN_KEY', event('{"__proto__":{"admin":true}}'), '"__proto__"'),
  refusedAt('__proto__ in escapes', 'BODY_FORBIDDEN_KEY', event('{"\\u005f_proto__":{"admin":true}}'), '"\\u005f_'),
  refusedAt(
    'constructor.prototype',
    'BODY_FORBIDDEN_KEY',
    event('{"constructor":{"prototype":{"admin":true}}}'),
    '"prototype"',
  ),
  refusedAt(
    '__proto__ far down, behind a value that speaks of it',
    'BODY_FORBIDDEN_KEY',
    event('{"a":["__proto__",{"b":{"__proto__":1}}]}'),
    '"__proto__":1',
  ),
  // 35
  {
    name: 'more than the limit',
    body: event(`{"pad":"${'x'.repeat(MEBIBYTE)}"}`),
    code: 'BODY_TOO_LARGE',
    status: 413,
    byte: null,
  },
  // 36
  {
    name: 'a gzip bomb',
    body: bomb,
    headers: { 'content-encoding': 'gzip' },
    code: 'BODY_TOO_LARGE',
    status: 413,
    byte: null,
  },
  { name: 'a gzip bomb that says nothing of gzip', body: bomb, code: 'BODY_TOO_LARGE', status: 413, byte: null },
  {
    name: 'gzip that is none',
    body: event('{}'),
    headers: { 'content-encoding': 'gzip' },
    code: 'BODY_ENCODING_INVALID',
    byte: null,
  },
  {
    name: 'gzip that is cut off',
    body: gzipSync(event('{}')).subarray(0, 30),
    headers: { 'content-encoding': 'gzip' },
    code: 'BODY_ENCODING_INVALID',
    byte: null,
  },
  {
    name: 'brotli',
    body: brotliCompressSync(event('{}')),
    headers: { 'content-encoding': 'br' },
    code: 'BODY_ENCODING_INVALID',
    byte: null,
  },
  // 38
  { name: 'a lone continuation byte', body: withBytes(0x80), code: 'BODY_NOT_UTF8', byte: WITH_BYTES.length },
  { name: 'a surrogate in UTF-8', body: withBytes(0xed, 0xa0, 0x80), code: 'BODY_NOT_UTF8', byte: WITH_BYTES.length },
  { name: 'an overlong slash', body: withBytes(0xc0, 0xaf), code: 'BODY_NOT_UTF8', byte: WITH_BYTES.length },
  { name: 'a character that is cut off', body: withBytes(0xe2, 0x82), code: 'BODY_NOT_UTF8', byte: WITH_BYTES.length },
];

const NEIGHBOUR = '{"events":[{"event_name":"a good neighbour"},';

/** The same as the second event of a batch, where that makes sense. */
function inBatch(hostile: Hostile): readonly Hostile[] {
  const { body, byte, name, code } = hostile;
  if (byte === null || name === 'a byte order mark' || name === 'JSON that is cut off' || name === 'trailing data')
    return [];
  // Two levels and two keys are the batch's own.
  const shift = NEIGHBOUR.length - (code === 'BODY_TOO_DEEP' ? 2 : 0);
  const earlier = name === '100,001 keys' ? '"99998":1,"99999":1'.indexOf('"99999"') * 2 : 0;
  const whole = Buffer.concat([Buffer.from(NEIGHBOUR), Buffer.from(body), Buffer.from(']}')]);
  return [{ ...hostile, body: whole, byte: byte + shift - earlier }];
}

describe('hostile bodies', () => {
  const authorization = `Bearer ${API_KEY}`;
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: RouterProcess;
  let api: Api;
  let client: Client;
  const open = new Set<RawClient>();
  /** They get their answer after a quarter of a minute; everything else goes on beside them. */
  let slow: readonly RawClient[];

  beforeAll(async () => {
    folder = await aFolder();
    router = await RouterProcess.start(folder.path);
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    client = new Client(router.address, API_KEY);
    slow = await Promise.all([RawClient.open(router.address), RawClient.open(router.address)]);
    const body = event('{}');
    slow[0]?.write('POST /api/v1/events HTTP/1.1\r\nhost: localhost\r\n');
    slow[1]?.write(
      head('/api/v1/events', {
        authorization,
        'content-type': 'application/json',
        'content-length': String(body.length),
      }) + body.slice(0, -1),
    );
  }, 60_000);
  afterEach(() => {
    for (const raw of open) raw.close();
    open.clear();
  });
  afterAll(async () => {
    for (const raw of slow) raw.close();
    await router.kill();
    await folder.remove();
  });

  async function aRawClient(): Promise<RawClient> {
    const raw = await RawClient.open(router.address);
    open.add(raw);
    return raw;
  }

  async function send(
    path: string,
    body: string | Uint8Array,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<RawAnswer | null> {
    const raw = await aRawClient();
    raw.write(
      head(path, {
        authorization,
        'content-type': 'application/json',
        'content-length': String(Buffer.byteLength(body)),
        ...headers,
      }),
    );
    raw.write(body);
    const answer = await raw.answer();
    raw.close();
    return answer;
  }

  const accepted = async (): Promise<number> => (await accountsOf(api)).accepted;

  /** Runs `attack`; nothing of it may have been accepted, and an event that is posted right after it flows. */
  async function thatChangesNothing<Result>(attack: () => Promise<Result>): Promise<Result> {
    const before = await accepted();
    const result = await attack();
    expect(await accepted()).toBe(before);
    expect(router.alive).toBe(true);
    await flows();
    return result;
  }

  async function flows(): Promise<void> {
    const id = await client.post({ event_name: 'the one after' });
    await eventually(() =>
      api.get<{ id: string }>(`events/${id}`).then(
        (found) => found.id === id,
        () => false,
      ),
    );
  }

  /** What the answer to a hostile body must have: status, code, a sentence, and the place. */
  function refusal({ status = 400, code, byte }: Pick<Hostile, 'status' | 'code' | 'byte'>, index?: number): object {
    const place = { byte, ...(index === undefined ? {} : { event: index }) };
    const message: unknown = expect.stringMatching(/\w.*\.$/);
    return { status, body: { error: { code, message, ...(byte === null ? {} : { details: place }) } } };
  }

  test.each(HOSTILE)('$name is refused with its place', async (hostile) => {
    const answer = await thatChangesNothing(() => send('/api/v1/events', hostile.body, hostile.headers));
    expect(answer).toMatchObject(refusal(hostile));
  });

  test.each(HOSTILE.flatMap(inBatch))('$name in a batch is refused with its place', async (hostile) => {
    const answer = await thatChangesNothing(() => send('/api/v1/events/batch', hostile.body, hostile.headers));
    expect(answer).toMatchObject(refusal(hostile, 1));
  });

  test('what is at the limit passes: 64 levels, 256 bytes of key, characters beyond the basic plane', async () => {
    for (const body of [
      event(`{"n":${nested(62)}}`),
      event(`{"${'k'.repeat(256)}":1}`),
      event('{"n":"\\ud83d\\ude00😀"}'),
    ]) {
      expect(await send('/api/v1/events', body)).toMatchObject({
        status: 202,
        body: { id: expect.any(String) as string },
      });
    }
  });

  test('digits that a double cannot hold come back as they were posted', async () => {
    const answer = await send('/api/v1/events', event('{"n":12345678901234567890,"d":0.1234567890123456789}'));
    const url = `${router.address}/api/v1/projects/${api.project}/events/${answer?.body.id}`;
    const text = await eventually(async () => {
      const response = await fetch(url, { headers: { authorization: `Bearer ${api.token}` } });
      return response.ok && response.text();
    });
    expect(text).toContain('12345678901234567890');
    expect(text).toContain('0.1234567890123456789');
  });

  test('a batch with too many events is refused as a whole', async () => {
    const body = JSON.stringify(Array.from({ length: 501 }, () => ({ event_name: 'hostile' })));
    const answer = await thatChangesNothing(() => send('/api/v1/events/batch', body));
    expect(answer).toMatchObject(refusal({ code: 'BATCH_TOO_LARGE', status: 413, byte: null }));
  });

  test('10 MB in chunks without a length are refused early, and the rest is not kept', async () => {
    const rss = await router.rss();
    const answer = await thatChangesNothing(async () => {
      const raw = await aRawClient();
      raw.write(
        head('/api/v1/events', { authorization, 'content-type': 'application/json', 'transfer-encoding': 'chunked' }),
      );
      const chunk = Buffer.alloc(64 * 1024, 0x20);
      for (let sent = 0; sent < 10 * MEBIBYTE && !raw.isClosed; sent += chunk.length) {
        raw.write(`${chunk.length.toString(16)}\r\n`);
        raw.write(chunk);
        raw.write('\r\n');
        await raw.drained();
      }
      return raw.answer();
    });
    expect(answer).toMatchObject({ status: 413, body: { error: { code: 'BODY_TOO_LARGE' } } });
    expect((await router.rss()) - rss).toBeLessThan(64 * MEBIBYTE);
  });

  test('a length beyond the limit is refused before the body comes', async () => {
    const answer = await thatChangesNothing(async () => {
      const raw = await aRawClient();
      raw.write(
        head('/api/v1/events', {
          authorization,
          'content-type': 'application/json',
          'content-length': String(10 * MEBIBYTE),
        }),
      );
      return raw.answer();
    });
    expect(answer).toMatchObject({ status: 413, body: { error: { code: 'BODY_TOO_LARGE' } } });
  });

  test('a length that is too short cuts the body, and what follows is no second request', async () => {
    const answer = await thatChangesNothing(async () => {
      const raw = await aRawClient();
      const body = event('{"n":1}');
      raw.write(
        head('/api/v1/events', {
          authorization,
          'content-type': 'application/json',
          'content-length': String(body.length - 5),
        }) + body,
      );
      return raw.answer();
    });
    // Which of the two it answers for depends on which it meets first.
    expect(answer).toMatchObject({
      status: 400,
      body: { error: { code: expect.stringMatching(/^(?:BODY_NOT_JSON|REQUEST_INVALID)$/) as string } },
    });
  });

  test.each([
    ['two lengths that differ', { 'content-length': '5', 'Content-Length': '50' }],
    ['a length and chunks', { 'content-length': '5', 'transfer-encoding': 'chunked' }],
    ['a length that is no number', { 'content-length': 'five' }],
  ])('%s are refused', async (_, headers) => {
    const answer = await thatChangesNothing(async () => {
      const raw = await aRawClient();
      raw.write(head('/api/v1/events', { authorization, 'content-type': 'application/json', ...headers }));
      return raw.answer();
    });
    expect(answer).toMatchObject({ status: 400, body: { error: { code: 'REQUEST_INVALID' } } });
  });

  test('a client that sends too slowly, headers or body, is answered 408 and its connection closed', async () => {
    const answers = await Promise.all(slow.map((raw) => raw.answer()));
    for (const answer of answers)
      expect(answer).toMatchObject({ status: 408, body: { error: { code: 'REQUEST_TIMEOUT' } } });
    await eventually(async () => slow.every(({ isClosed }) => isClosed));
  }, 30_000);

  test('1,000 idle sockets and 1,000 half requests slow no healthy client down', async () => {
    const bound = (ms: number): number => ms * 2 + 100;
    const timed = async (count: number): Promise<number> => {
      const times: number[] = [];
      for (let index = 0; index < count; index += 1) {
        const startedAt = performance.now();
        await client.post({ event_name: 'healthy' });
        times.push(performance.now() - startedAt);
      }
      return times.toSorted((a, b) => a - b)[Math.floor(count * 0.99)] ?? Number.NaN;
    };
    await timed(50);
    const halves: RawClient[] = [];
    const { alone, beside } = await comparable({
      alone: () => timed(200),
      beside: async () => {
        for (let from = halves.length; from < 2_000; from += 250)
          halves.push(...(await Promise.all(Array.from({ length: 250 }, aRawClient))));
        for (const raw of halves.slice(1_000)) raw.write('POST /api/v1/events HTTP/1.1\r\n');
        const figure = await timed(200);
        expect(halves.filter(({ isClosed }) => isClosed)).toEqual([]);
        for (const raw of halves.splice(0)) raw.close();
        return figure;
      },
      within: (one, other) => other < bound(one),
    });
    report(`POST, p99 of 200: ${alone.toFixed(1)} ms alone, ${beside.toFixed(1)} ms beside 2,000 idle sockets`);
    expect(beside).toBeLessThan(bound(alone));
  }, 60_000);
});
