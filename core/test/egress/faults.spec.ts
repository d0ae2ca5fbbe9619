import { getEventListeners } from 'node:events';
import type { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { isDeliveryError, type HttpResponse } from '@switchyard/plugin-sdk';
import { createHttpClient, type HttpClientHandle } from '../../src/egress/client.ts';
import { closeServers, serveBytes, serveHttp, type TestServer } from './servers.ts';

const HEAD = 'HTTP/1.1 200 OK\r\n';

let handle: HttpClientHandle;

// An error event or a rejection that nobody handles fails the test that is running: Jest sees to that.
beforeEach(() => {
  handle = createHttpClient({ allow: ['127.0.0.0/8'] });
});
afterEach(async () => {
  await closeServers();
  await handle.close();
});

function post(url: string, timeoutMs = 5_000, signal = new AbortController().signal): Promise<HttpResponse> {
  return handle.client.request({ method: 'POST', url, body: '{"a":1}', timeoutMs }, signal);
}

async function failureOf(request: Promise<unknown>): Promise<{ kind: string; code: string; message: string }> {
  const error = await request.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isDeliveryError(error)) throw new Error(`not one of the three errors: ${String(error)}`);
  return { kind: error.kind, code: error.code, message: error.message };
}

async function timed<T>(work: Promise<T>): Promise<[T, number]> {
  const start = performance.now();
  const result = await work;
  return [result, performance.now() - start];
}

async function allClosed(server: TestServer): Promise<void> {
  const open = server.sockets.filter((socket) => !socket.closed);
  const closing = Promise.all(open.map((socket) => new Promise((resolve) => socket.once('close', resolve))));
  await Promise.race([closing, setTimeout(2_000).then(() => Promise.reject(new Error('a socket is still open')))]);
}

test('nobody listens', async () => {
  const server = await serveHttp(() => undefined);
  await server.close();
  const failure = await failureOf(post(server.url));
  expect(failure).toMatchObject({ kind: 'retryable', code: 'CONNECTION_REFUSED' });
  expect(failure.message).toContain(`127.0.0.1:${server.port}`);
});

test.each([
  ['before any answer', ''],
  ['in the middle of the headers', 'HTTP/1.1 200 OK\r\ncontent-'],
  ['in the middle of a body of known length', `${HEAD}content-length: 100\r\n\r\nhalf`],
  ['in the middle of a chunked body', `${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhel`],
  ['in the middle of a last answer', `${HEAD}connection: close\r\ncontent-length: 100\r\n\r\nhalf`],
])('the connection is reset %s', async (_when, bytes) => {
  const server = await serveBytes((socket) => {
    socket.write(bytes);
    later(30, () => socket.resetAndDestroy());
  });
  expect(await failureOf(post(server.url))).toMatchObject({ kind: 'retryable', code: 'CONNECTION_LOST' });
});

test.each([
  ['a body of known length', `${HEAD}content-length: 100\r\n\r\nhalf`],
  ['a chunked body', `${HEAD}transfer-encoding: chunked\r\n\r\n5\r\nhel`],
  ['a last answer', `${HEAD}connection: close\r\ncontent-length: 100\r\n\r\nhalf`],
])('the server ends the connection politely in the middle of %s', async (_what, bytes) => {
  const server = await serveBytes((socket) => socket.end(bytes));
  expect(await failureOf(post(server.url))).toMatchObject({ kind: 'retryable', code: 'CONNECTION_LOST' });
});

test.each([
  ['is not HTTP', 'SSH-2.0-OpenSSH_9.6\r\n'],
  ['has a bad header', `${HEAD}bad header\r\n\r\n`],
  ['has a length that is no number', `${HEAD}content-length: many\r\n\r\n`],
  ['switches to a protocol that nobody asked for', 'HTTP/1.1 101 Hi\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'],
  ['asks to go on although nothing waits', 'HTTP/1.1 100 Continue\r\n\r\n'],
])('an answer that %s', async (_what, bytes) => {
  const server = await serveBytes((socket) => void socket.write(bytes));
  expect(await failureOf(post(server.url))).toMatchObject({ kind: 'retryable', code: 'RESPONSE_INVALID' });
  await allClosed(server);
});

test('headers of 1 MB are cut off early', async () => {
  let sent = 0;
  const server = await serveBytes((socket) => {
    socket.write(HEAD);
    const line = `x-filler: ${'a'.repeat(1_000)}\r\n`;
    const more = (): void => {
      while (sent < 1_000_000 && !socket.destroyed) {
        sent += line.length;
        if (!socket.write(line)) return void socket.once('drain', more);
      }
    };
    more();
  });
  expect(await failureOf(post(server.url))).toMatchObject({ kind: 'retryable', code: 'RESPONSE_INVALID' });
  await allClosed(server);
});

test('a hint before the answer is passed over, an endless row of them ends at the deadline', async () => {
  const hint = 'HTTP/1.1 103 Early Hints\r\nlink: </a.css>\r\n\r\n';
  const once103 = await serveBytes((socket) => void socket.write(`${hint}${HEAD}content-length: 2\r\n\r\nok`));
  expect(await post(once103.url)).toMatchObject({ status: 200, truncated: false });

  const forever = await serveBytes((socket) => {
    const timer = setInterval(() => socket.write(hint), 20);
    socket.on('close', () => clearInterval(timer));
  });
  expect(await failureOf(post(forever.url, 300))).toMatchObject({ code: 'TIMED_OUT' });
  await allClosed(forever);
});

describe('the deadline covers the whole exchange and frees the socket', () => {
  test.each([
    ['no answer', () => undefined, /no answer came/],
    ['headers that drip', drip('x-a: b\r\n'), /no answer came/],
    ['a body that drips', drip('a', `${HEAD}content-length: 1000\r\n\r\n`), /did not end/],
    ['a chunked body that drips', drip('1\r\na\r\n', `${HEAD}transfer-encoding: chunked\r\n\r\n`), /did not end/],
  ] as const)('%s', async (_what, serve, message) => {
    const server = await serveBytes(serve);
    const [failure, took] = await timed(failureOf(post(server.url, 500)));
    expect(failure).toMatchObject({ kind: 'retryable', code: 'TIMED_OUT' });
    expect(failure.message).toMatch(message);
    expect(took).toBeGreaterThan(450);
    expect(took).toBeLessThan(900);
    await allClosed(server);
  });

  test('a server that never reads', async () => {
    const server = await serveHttp(() => undefined);
    const stuck = handle.client.request(
      { method: 'POST', url: server.url, body: Buffer.alloc(20_000_000), timeoutMs: 300 },
      new AbortController().signal,
    );
    expect(await failureOf(stuck)).toMatchObject({ code: 'TIMED_OUT' });
  });

  test('waiting for a free connection', async () => {
    await handle.close();
    handle = createHttpClient({ allow: ['127.0.0.0/8'], connectionsPerOrigin: 1 });
    const server = await serveHttp(() => undefined);
    const first = failureOf(post(server.url, 600));
    const [second, took] = await timed(failureOf(post(server.url, 200)));
    expect(second).toMatchObject({ code: 'TIMED_OUT' });
    expect(second.message).toMatch(/no connection was free/);
    expect(took).toBeLessThan(500);
    await first;
    expect(server.sockets).toHaveLength(1);
  });

  test('a name server that never answers', async () => {
    const silent = createHttpClient({ allow: [], lookup: () => new Promise(() => undefined) });
    const signal = new AbortController().signal;
    const request = silent.client.request({ method: 'GET', url: 'http://slow.example/', timeoutMs: 200 }, signal);
    expect(await failureOf(request)).toMatchObject({ code: 'TIMED_OUT' });
  });
});

/** Answers with `head`, then one `piece` every 20 ms. */
function drip(piece: string, head = HEAD): (socket: Socket) => void {
  return (socket) => {
    socket.write(head);
    const timer = setInterval(() => socket.write(piece), 20);
    socket.on('close', () => clearInterval(timer));
  };
}

describe('the answer is capped', () => {
  test.each(['chunked', 'closing', 'promised'])('a body without end (%s): 64 KiB are kept, promptly', async (style) => {
    const server = await serveHttp((_request, response) => {
      if (style === 'closing') response.shouldKeepAlive = false;
      if (style === 'promised') response.setHeader('content-length', 10_000_000_000);
      response.writeHead(503, { 'retry-after': '7' });
      const more = (): void => {
        while (!response.destroyed) if (!response.write('x'.repeat(16_384))) return void response.once('drain', more);
      };
      more();
    });
    const [answer, took] = await timed(post(server.url));
    expect(answer).toMatchObject({ status: 503, truncated: true, headers: { 'retry-after': '7' } });
    expect(answer.body.length).toBe(65_536);
    expect(took).toBeLessThan(1_000);
    await allClosed(server);
  });

  test.each([
    [65_535, false],
    [65_536, false],
    [65_537, true],
  ])('%i bytes: truncated is %s', async (length, truncated) => {
    for (const shouldKeepAlive of [true, false]) {
      const server = await serveHttp((_request, response) => {
        response.shouldKeepAlive = shouldKeepAlive;
        response.end(Buffer.alloc(length, 0x61));
      });
      const answer = await post(server.url);
      expect({ truncated: answer.truncated, length: answer.body.length }).toEqual({
        truncated,
        length: Math.min(length, 65_536),
      });
      expect((await post(server.url)).status).toBe(200);
    }
  });

  test('a gzip bomb stays the few bytes that it is', async () => {
    const bomb = gzipSync(Buffer.alloc(10_000_000));
    let asked: unknown;
    const server = await serveHttp((request, response) => {
      asked = request.headers['accept-encoding'];
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb);
    });
    const answer = await post(server.url);
    expect(asked).toBe('identity');
    expect(Buffer.compare(Buffer.from(answer.body), bomb)).toBe(0);
  });
});

describe('abort', () => {
  test('rejects with its reason, at once, and closes the connection', async () => {
    const server = await serveHttp(() => undefined);
    const controller = new AbortController();
    const reason = new Error('the worker stops');
    const request = post(server.url, 5_000, controller.signal);
    request.catch(() => undefined);
    await waitFor(() => server.sockets.length === 1);
    const startedAt = performance.now();
    controller.abort(reason);
    await expect(request).rejects.toBe(reason);
    expect(performance.now() - startedAt).toBeLessThan(100);
    await allClosed(server);
  });

  test('before the request: nothing is sent', async () => {
    const server = await serveHttp(() => undefined);
    await expect(post(server.url, 5_000, AbortSignal.abort('stop'))).rejects.toBe('stop');
    expect(server.sockets).toHaveLength(0);
  });

  test('while the body of the answer comes in', async () => {
    const server = await serveBytes((socket) => void socket.write(`${HEAD}content-length: 10\r\n\r\nhalf`));
    const controller = new AbortController();
    later(100, () => controller.abort('stop'));
    await expect(post(server.url, 5_000, controller.signal)).rejects.toBe('stop');
    await allClosed(server);
  });

  test('of one request that waits leaves the connection to the others', async () => {
    await handle.close();
    handle = createHttpClient({ allow: ['127.0.0.0/8'], connectionsPerOrigin: 1 });
    const server = await serveHttp((_request, response) => later(100, () => response.end('ok')));
    const controller = new AbortController();
    const first = post(server.url);
    const second = post(server.url, 5_000, controller.signal);
    const third = post(server.url);
    controller.abort('stop');
    await expect(second).rejects.toBe('stop');
    expect([(await first).status, (await third).status]).toEqual([200, 200]);
    expect(server.sockets).toHaveLength(1);
  });

  test('by one signal that two hundred requests share: no listener is left on it', async () => {
    const server = await serveHttp((_request, response) => response.end('ok'));
    const { signal } = new AbortController();
    const requests = Array.from({ length: 200 }, () => post(server.url, 5_000, signal));
    await setTimeout(0);
    expect(getEventListeners(signal, 'abort').length).toBeGreaterThan(100);
    await Promise.all(requests);
    expect(getEventListeners(signal, 'abort')).toEqual([]);
  });
});

describe('keep-alive', () => {
  test('a server that closes idle connections between requests causes no failure', async () => {
    const server = await serveHttp((_request, response) => {
      const { socket } = response;
      response.end('ok');
      later(5, () => socket?.destroy());
    });
    for (let round = 0; round < 20; round += 1) {
      expect((await post(server.url)).status).toBe(200);
      await setTimeout(15);
    }
    expect(server.sockets.length).toBeGreaterThan(5);
  });

  test('a server that says that it closes is not written to again', async () => {
    const server = await serveHttp((_request, response) => {
      response.shouldKeepAlive = false;
      response.end('ok');
    });
    const answers = await Promise.all(Array.from({ length: 300 }, () => post(server.url)));
    expect(answers.every((answer) => answer.status === 200)).toBe(true);
  });

  test('a connection that is lost under a request is one failure, not a second delivery', async () => {
    let requests = 0;
    const server = await serveHttp((_request, response) => {
      requests += 1;
      response.destroy();
    });
    expect(await failureOf(post(server.url))).toMatchObject({ kind: 'retryable', code: 'CONNECTION_LOST' });
    expect(requests).toBe(1);
  });
});

function later(ms: number, act: () => void): void {
  void setTimeout(ms).then(act);
}

async function waitFor(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 2_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('waited for 2 s in vain');
    await setTimeout(5);
  }
}
