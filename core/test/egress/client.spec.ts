import type { HttpRequest, HttpResponse } from '@switchyard/plugin-sdk';
import { setTimeout } from 'node:timers/promises';
import { createHttpClient, type HttpClientHandle, type HttpClientOptions } from '../../src/egress/client.ts';
import { closeServers, readAll, serveHttp, type TestServer } from './servers.ts';

const handles: HttpClientHandle[] = [];

function open(options: Partial<HttpClientOptions> = {}): HttpClientHandle {
  const handle = createHttpClient({ allow: ['127.0.0.0/8'], ...options });
  handles.push(handle);
  return handle;
}

function send(handle: HttpClientHandle, request: HttpRequest): Promise<HttpResponse> {
  return handle.client.request({ timeoutMs: 5_000, ...request }, new AbortController().signal);
}

afterEach(async () => {
  await closeServers();
  await Promise.all(handles.splice(0).map((handle) => handle.close()));
});

interface Seen {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: string[];
  readonly body: Buffer;
}

async function recordingServer(): Promise<{ server: TestServer; seen: Seen[] }> {
  const seen: Seen[] = [];
  const server = await serveHttp((request, response) => {
    void readAll(request).then((body) => {
      seen.push({ method: request.method, url: request.url, headers: request.rawHeaders, body });
      response.end('{"ok":true}');
    });
  });
  return { server, seen };
}

describe('what goes out', () => {
  test.each([
    ['text', '{"name":"Zoë ✓ 𝄞","n":1}'],
    ['bytes', Uint8Array.from([0, 1, 2, 0xff, 0xfe, 0x80, 13, 10])],
    ['a view into a larger buffer', new Uint8Array(Buffer.from('--inside--').buffer, 2, 6)],
    ['nothing', ''],
  ])('the body is sent byte for byte: %s', async (_what, body) => {
    const { server, seen } = await recordingServer();
    await send(open(), { method: 'POST', url: server.url, body });
    const bytes = Buffer.from(body);
    expect(seen[0]?.body.equals(bytes)).toBe(true);
    expect(seen[0]?.headers).toEqual(expect.arrayContaining(['content-length', String(bytes.length)]));
  });

  test('method, path, query and headers are as given', async () => {
    const { server, seen } = await recordingServer();
    const handle = open();
    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'] as const) {
      await send(handle, { method, url: `${server.url}/a/%2F?b=c%20d#e`, headers: { 'X-Mine': 'tab\tand é' } });
    }
    expect(seen.map(({ method, url }) => [method, url])).toEqual(
      ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => [method, '/a/%2F?b=c%20d']),
    );
    const [first] = seen;
    expect(first?.headers.join('|')).toBe(
      `host|127.0.0.1:${server.port}|connection|keep-alive|accept-encoding|identity|X-Mine|tab\tand é|user-agent|Switchyard`,
    );
  });

  const connectionHeaders =
    'Host content-length Transfer-Encoding connection keep-alive upgrade te trailer expect accept-encoding proxy-connection';
  test.each([...connectionHeaders.split(' '), '', 'a b', 'a:b', 'a\r\nb', 'é', 'a\u0000'])(
    'the header %j cannot be set',
    async (name) => {
      const { server, seen } = await recordingServer();
      const request = send(open(), { method: 'POST', url: server.url, headers: { [name]: 'x' } });
      await expect(request).rejects.toMatchObject({ kind: 'config', code: 'HEADER_INVALID' });
      expect(seen).toEqual([]);
    },
  );

  test.each(['a\r\nx-injected: 1', 'a\nb', 'a\rb', 'a\u0000b', 'a\u007f', '→'])(
    'the header value %j is refused, and not repeated in the error',
    async (value) => {
      const { server, seen } = await recordingServer();
      const request = send(open(), { method: 'POST', url: server.url, headers: { 'x-key': `secret${value}` } });
      const error = await request.catch((reason: unknown) => reason);
      expect(error).toMatchObject({
        kind: 'config',
        code: 'HEADER_INVALID',
        message: expect.stringContaining('x-key'),
      });
      expect(String(error)).not.toContain('secret');
      expect(seen).toEqual([]);
    },
  );

  test('a URL with a password is refused, and the password not repeated', async () => {
    const error = await send(open(), { method: 'POST', url: 'https://me:hunter2@example.com/' }).catch(String);
    expect(error).toMatch(/user name or password/);
    expect(error).not.toContain('hunter2');
  });
});

describe('what comes back', () => {
  test('every status is an answer', async () => {
    const server = await serveHttp((request, response) => {
      response.writeHead(Number(request.url?.slice(1))).end();
    });
    const handle = open();
    for (const status of [200, 204, 304, 400, 404, 410, 429, 500, 503, 599]) {
      expect(await send(handle, { method: 'POST', url: `${server.url}/${status}` })).toMatchObject({ status });
    }
  });

  const repeated = ['X-One', '1', 'Set-Cookie', 'a=1', 'set-cookie', 'b=2', '__proto__', 'p', 'constructor', 'c'];

  test('headers have lower-case names, repeated ones are joined, and none is mistaken for a property', async () => {
    const server = await serveHttp((_request, response) => {
      response.writeHead(200, repeated);
      response.end('body');
    });
    const { headers, body, truncated, durationMs } = await send(open(), { method: 'GET', url: server.url });
    expect(headers['x-one']).toBe('1');
    expect(headers['set-cookie']).toBe('a=1, b=2');
    expect(headers['__proto__']).toBe('p');
    expect(headers['constructor']).toBe('c');
    expect(headers['toString']).toBeUndefined();
    expect(Buffer.from(body).toString()).toBe('body');
    expect(truncated).toBe(false);
    expect(durationMs).toBeGreaterThan(0);
    expect(durationMs).toBeLessThan(2_000);
  });
});

describe('connections', () => {
  test('a thousand requests share a bounded number, and every one gets its own answer', async () => {
    const server = await serveHttp((request, response) => {
      void readAll(request).then((body) => response.end(body));
    });
    const handle = open({ connectionsPerOrigin: 20 });
    const bodies = Array.from({ length: 1_000 }, (_, index) => `body ${index}`);
    const answers = await Promise.all(bodies.map((body) => send(handle, { method: 'POST', url: server.url, body })));
    expect(answers.map((answer) => Buffer.from(answer.body).toString())).toEqual(bodies);
    expect(server.sockets).toHaveLength(20);
  });

  test('a slow origin does not hold back another', async () => {
    const slow = await serveHttp(() => undefined);
    const fast = await serveHttp((_request, response) => response.end('ok'));
    const handle = open({ connectionsPerOrigin: 2 });
    const stuck = Array.from({ length: 50 }, () =>
      send(handle, { method: 'POST', url: slow.url, timeoutMs: 400 }).catch((error: unknown) => error),
    );
    const startedAt = performance.now();
    for (let count = 0; count < 20; count += 1) await send(handle, { method: 'POST', url: fast.url });
    expect(performance.now() - startedAt).toBeLessThan(300);
    expect(await Promise.all(stuck)).toEqual(
      Array.from({ length: 50 }, () => expect.objectContaining({ code: 'TIMED_OUT' })),
    );
  });

  test('of origins that fell idle, only so many are kept', async () => {
    const server = await serveHttp((_request, response) => response.end('ok'));
    const handle = open({ lookup: async () => ['127.0.0.1'] });
    const urls = Array.from({ length: 600 }, (_, index) => `http://host-${index}.example:${server.port}/`);
    for (const url of urls) await send(handle, { method: 'POST', url });
    await setTimeout(50);
    expect(server.sockets).toHaveLength(600);
    expect(server.sockets.filter((socket) => !socket.destroyed)).toHaveLength(512);
    // The one that was used longest ago was closed, and opens again.
    expect(await send(handle, { method: 'POST', url: String(urls[0]) })).toMatchObject({ status: 200 });
  });
});

describe('close', () => {
  test('waits for what is under way, refuses what comes after, and may be called twice', async () => {
    const server = await serveHttp((_request, response) => void setTimeout(100).then(() => response.end('ok')));
    const handle = open();
    const request = send(handle, { method: 'POST', url: server.url });
    await setTimeout(30);
    const closed = Promise.all([handle.close(), handle.close()]);
    const late = { kind: 'retryable', code: 'CLIENT_CLOSED' };
    await expect(send(handle, { method: 'POST', url: server.url })).rejects.toMatchObject(late);
    expect((await request).status).toBe(200);
    await closed;
    await setTimeout(20);
    expect(server.sockets.every((socket) => socket.destroyed)).toBe(true);
  });
});
