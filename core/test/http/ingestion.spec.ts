import { gzipSync } from 'node:zlib';
import { SwitchyardError } from '../../src/errors.ts';
import { MAX_BODY_BYTES, RunningServer } from './running-server.ts';

let server: RunningServer;
let key: string;
let made: Awaited<ReturnType<RunningServer['project']>>;

beforeAll(async () => {
  server = await RunningServer.start();
  made = await server.project();
  key = await newKey(made.source.id);
});
afterAll(() => server.stop());
afterEach(() => {
  server.moved.reject = null;
});

async function newKey(source: string): Promise<string> {
  const response = await server.app.inject({
    method: 'POST',
    url: `${made.base}/api-keys`,
    headers: made.headers,
    payload: { name: 'test', source },
  });
  return response.json<{ key: string }>().key;
}

interface Sent {
  readonly url?: string;
  readonly method?: 'GET' | 'POST';
  readonly headers?: Record<string, string>;
  readonly payload?: string | Buffer;
}

async function send({ url = '/api/v1/events', method = 'POST', headers = {}, payload }: Sent) {
  return server.app.inject({
    method,
    url,
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(payload === undefined ? {} : { payload }),
  });
}

const code = ({ body }: { readonly body: string }) =>
  (JSON.parse(body) as { readonly error?: { readonly code: string } }).error?.code;

describe('a request with events', () => {
  it('is answered once they are accepted, and says who sent them', async () => {
    const before = server.moved.accepted.length;
    const response = await send({
      payload: '{"event_name":"a"}',
      headers: { 'content-type': 'application/json', 'user-agent': 'test/1' },
    });
    expect(response.statusCode).toBe(202);
    expect(response.json()).toEqual({ ids: [expect.any(String)] });
    expect(server.moved.accepted.slice(before)).toEqual([
      {
        origin: { id: made.source.id, type: 'http', project: made.project, partitions: 4 },
        drafts: [{ event_name: 'a' }],
        sender: { ip: '127.0.0.1', userAgent: 'test/1' },
      },
    ]);
  });

  it('is taken with a slash at the end, and is never redirected', async () => {
    expect((await send({ url: '/api/v1/events/', payload: '{}' })).statusCode).toBe(202);
    expect((await send({ payload: '{"redirect":true}' })).statusCode).toBe(500);
  });

  it.each([
    'text/plain',
    'application/x-www-form-urlencoded',
    'application/json; charset=UTF-8',
    'nonsense',
    'a b/c;;',
    '',
  ])('is read whatever its content type says: "%s"', async (type) => {
    expect((await send({ payload: '{"event_name":"a"}', headers: { 'content-type': type } })).statusCode).toBe(202);
  });

  it('may be gzipped, with or without saying so', async () => {
    const payload = gzipSync('[{"event_name":"a"},{"event_name":"b"}]');
    expect((await send({ payload, headers: { 'content-encoding': 'gzip' } })).json()).toEqual({
      ids: [expect.any(String), expect.any(String)],
    });
    expect((await send({ payload, headers: { 'content-type': 'application/x-www-form-urlencoded' } })).statusCode).toBe(
      202,
    );
  });

  it.each<readonly [string, string, string | Buffer]>([
    ['empty', 'BODY_EMPTY', ''],
    ['no JSON', 'BODY_NOT_JSON', '{"a":'],
    ['no UTF-8', 'BODY_NOT_UTF8', Buffer.from([0x7b, 0xff, 0x7d])],
    ['too deep', 'BODY_TOO_DEEP', '['.repeat(100) + ']'.repeat(100)],
    ['poisoned', 'BODY_FORBIDDEN_KEY', '{"__proto__":{"admin":true}}'],
    ['too large', 'BODY_TOO_LARGE', `"${'x'.repeat(MAX_BODY_BYTES)}"`],
  ])('is refused when its body is %s', async (_what, expected, payload) => {
    const response = await send({ payload });
    expect(code(response)).toBe(expected);
    expect(response.statusCode).toBe(expected === 'BODY_TOO_LARGE' ? 413 : 400);
    expect(response.headers['x-request-id']).toEqual(expect.any(String));
  });

  it('is refused when its body is a gzip bomb', async () => {
    const bomb = gzipSync(Buffer.alloc(50 * MAX_BODY_BYTES, 0x20));
    expect(bomb.length).toBeLessThan(MAX_BODY_BYTES / 10);
    const before = server.moved.accepted.length;
    const refused = await send({ payload: bomb });
    expect([refused.statusCode, code(refused)]).toEqual([413, 'BODY_TOO_LARGE']);
    expect(server.moved.accepted).toHaveLength(before);
  });

  it.each([
    ['OVERLOADED', 503, '1'],
    ['LOG_UNAVAILABLE', 503, '1'],
    ['BATCH_TOO_LARGE', 413, undefined],
  ] as const)('is refused with %s as ingress says', async (refusal, status, retryAfter) => {
    server.moved.reject = new SwitchyardError(refusal, 'Not now.');
    const response = await send({ payload: '{}' });
    expect([response.statusCode, code(response)]).toEqual([status, refusal]);
    expect(response.headers['retry-after']).toBe(retryAfter);
  });

  it('gets the answer that the source gives without events', async () => {
    expect((await send({ method: 'GET', url: '/http/settings' })).json()).toEqual({ hello: true });
    const rejected = await send({ payload: '{"reject":true}' });
    expect(rejected.statusCode).toBe(400);
    expect(rejected.json()).toEqual({ error: { code: 'NO_THANKS', message: 'Not that one.' } });
  });

  it('learns nothing of a bug in the plugin', async () => {
    const response = await send({ payload: '{"explode":true}' });
    expect([response.statusCode, code(response)]).toEqual([500, 'INTERNAL']);
    expect(response.body).not.toContain('secret of the plugin');
    expect(server.log.join('')).toContain('secret of the plugin');
  });

  it('carries none of the headers that only the console needs', async () => {
    const { headers } = await send({ payload: '{}' });
    expect(Object.keys(headers).sort()).toEqual(['connection', 'content-length', 'content-type', 'date']);
  });

  it('is counted when it is refused as a whole, by the code of the answer', async () => {
    await send({ payload: '{"event_name":' });
    await send({ payload: '{}', headers: { authorization: 'Bearer nobody' } });
    await send({ payload: Buffer.alloc(MAX_BODY_BYTES + 1, 0x20) });
    const { body } = await server.app.inject({ url: '/metrics' });
    for (const refused of ['BODY_NOT_JSON', 'KEY_INVALID', 'BODY_TOO_LARGE']) {
      expect(body).toMatch(
        new RegExp(`switchyard_ingest_refused_requests_total\\{source_type="http",code="${refused}"\\} [1-9]`),
      );
    }
  });

  it('is counted', async () => {
    await send({ payload: '{}' });
    const { body } = await server.app.inject({ url: '/metrics' });
    expect(body).toMatch(/switchyard_ingested_events_total\{source_type="http",result="accepted"\} [1-9]/);
    expect(body).toMatch(/switchyard_ingest_request_duration_seconds_count\{source_type="http"\} [1-9]/);
  });
});

describe('an API key', () => {
  it('that is bad is refused before the body is looked at', async () => {
    for (const bad of ['nonsense', `sy_00000000000000_${'x'.repeat(43)}`, `${key}x`, key.slice(0, -1)]) {
      const response = await send({ headers: { authorization: `Bearer ${bad}` }, payload: '{"a":' });
      expect([response.statusCode, code(response)]).toEqual([401, 'KEY_INVALID']);
      expect(response.json<{ error: { message: string } }>().error.message).toContain('Authorization: Bearer');
    }
  });

  it('may be in the body, where the source says', async () => {
    const payload = (credential: string) => JSON.stringify({ key: credential });
    const withoutHeader = (body: string) => server.app.inject({ method: 'POST', url: '/api/v1/events', payload: body });
    expect((await withoutHeader(payload(key))).statusCode).toBe(202);
    expect((await withoutHeader(payload('nonsense'))).statusCode).toBe(401);
    expect((await withoutHeader('{}')).statusCode).toBe(401);
  });

  it('opens the addresses of its own kind of source only', async () => {
    const response = await send({ url: '/other/events', payload: '{}' });
    expect([response.statusCode, code(response)]).toEqual([403, 'SOURCE_MISMATCH']);
  });

  it('counts at once when it is made, and no more when it or its source is switched off', async () => {
    const source = await server.app.inject({
      method: 'POST',
      url: `${made.base}/sources`,
      headers: made.headers,
      payload: { name: 'second', type: 'http' },
    });
    const { id } = source.json<{ id: string }>();
    const second = await newKey(id);
    const status = async () =>
      (await send({ headers: { authorization: `Bearer ${second}` }, payload: '{}' })).statusCode;
    expect(await status()).toBe(202);
    const change = async (enabled: boolean) =>
      server.app.inject({
        method: 'PATCH',
        url: `${made.base}/sources/${id}`,
        headers: made.headers,
        payload: { enabled },
      });
    await change(false);
    expect(await status()).toBe(403);
    await change(true);
    expect(await status()).toBe(202);
    await server.app.inject({
      method: 'DELETE',
      url: `${made.base}/api-keys/${second.split('_')[1]}`,
      headers: made.headers,
    });
    expect(await status()).toBe(401);
    const third = await newKey(id);
    await server.app.inject({ method: 'DELETE', url: `${made.base}/sources/${id}`, headers: made.headers });
    expect((await send({ headers: { authorization: `Bearer ${third}` }, payload: '{}' })).statusCode).toBe(401);
  });
});

describe('addresses', () => {
  it('that do not exist, and methods that an address does not take, are told apart', async () => {
    const missing = await send({ url: '/api/v1/event', payload: '{"a":' });
    expect([missing.statusCode, code(missing)]).toEqual([404, 'NOT_FOUND']);
    const wrong = await send({ method: 'GET' });
    expect([wrong.statusCode, code(wrong), wrong.headers.allow]).toEqual([405, 'METHOD_NOT_ALLOWED', 'POST']);
    const project = await server.app.inject({ method: 'PUT', url: `${made.base}/destinations` });
    expect([project.statusCode, project.headers.allow]).toEqual([405, 'GET, HEAD, POST']);
    const malformed = await send({ url: '/api/v1/%zz', payload: '{}' });
    expect([malformed.statusCode, code(malformed)]).toEqual([400, 'REQUEST_INVALID']);
    const long = await server.app.inject({ url: `/api/v1/projects/${'x'.repeat(300)}/sources` });
    expect(long.statusCode).toBeGreaterThanOrEqual(400);
    expect(code(long)).toEqual(expect.any(String));
  });
});
