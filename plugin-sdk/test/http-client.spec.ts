import { getEventListeners } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import {
  answer,
  dropConnection,
  dropMidBody,
  endlessBody,
  faultServer,
  neverAnswer,
  testHttpClient,
  type FaultServer,
  type Treatment,
} from '../src/testing/index.ts';
import type { HttpRequest, HttpResponse } from '../src/index.ts';

describe("the test kit's HTTP client", () => {
  const servers: FaultServer[] = [];
  const client = testHttpClient();
  const never = new AbortController().signal;

  const serve = async (treatment: Treatment): Promise<FaultServer> => {
    const server = await faultServer(treatment);
    servers.push(server);
    return server;
  };
  const get = async (treatment: Treatment, request: Partial<HttpRequest> = {}, signal = never): Promise<HttpResponse> =>
    client.request({ method: 'GET', url: (await serve(treatment)).url, ...request }, signal);

  afterEach(async () => {
    await Promise.all(servers.splice(0).map((server) => server.close()));
  });

  it('sends method, headers and body as they are', async () => {
    const server = await serve(answer({ status: 204 }));
    await client.request(
      { method: 'PUT', url: `${server.url}?a=1`, headers: { 'X-One': 'two' }, body: 'grüezi' },
      never,
    );
    expect(server.received).toEqual([
      {
        method: 'PUT',
        path: '/hook?a=1',
        body: 'grüezi',
        headers: expect.objectContaining({ 'x-one': 'two', 'content-length': '7' }) as unknown,
      },
    ]);
  });

  it('gives any status as an answer, with headers in lower case and repeated ones joined', async () => {
    const response = await get((reply) => {
      reply.writeHead(503, { 'X-Two': ['a', 'b'], 'Set-Cookie': ['c=1', 'd=2'] }).end('down');
    });
    expect(response).toMatchObject({ status: 503, truncated: false });
    expect(response.headers).toMatchObject({ 'x-two': 'a, b', 'set-cookie': 'c=1, d=2' });
    expect(Buffer.from(response.body).toString()).toBe('down');
    expect(response.durationMs).toBeGreaterThan(0);
  });

  it('does not follow a redirect', async () => {
    const server = await serve(answer({ status: 302, headers: { location: '/elsewhere' } }));
    expect((await client.request({ method: 'GET', url: server.url }, never)).status).toBe(302);
    expect(server.received).toHaveLength(1);
  });

  it('keeps the first 64 KiB of a body without end, and hangs up', async () => {
    let hungUp: Promise<unknown> = Promise.resolve();
    const response = await get((reply, request) => {
      hungUp = new Promise((resolve) => reply.on('close', resolve));
      endlessBody(reply, request);
    });
    expect(response).toMatchObject({ status: 200, truncated: true });
    expect(response.body).toHaveLength(65_536);
    await hungUp;
  });

  it('does not call a body of exactly 64 KiB truncated', async () => {
    expect(await get(answer({ status: 200, body: 'x'.repeat(65_536) }))).toMatchObject({ truncated: false });
  });

  it('decompresses nothing', async () => {
    const { body } = await get(answer({ status: 200, headers: { 'content-encoding': 'gzip' }, body: 'not gzip' }));
    expect(Buffer.from(body).toString()).toBe('not gzip');
  });

  it.each([
    ['before an answer', dropConnection],
    ['inside the answer', dropMidBody],
  ])('says CONNECTION_LOST when the connection is dropped %s', async (_when, treatment) => {
    await expect(get(treatment)).rejects.toMatchObject({ kind: 'retryable', code: 'CONNECTION_LOST' });
  });

  it('says CONNECTION_REFUSED when nobody listens', async () => {
    const server = await faultServer(neverAnswer);
    await server.close();
    await expect(client.request({ method: 'GET', url: server.url }, never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'CONNECTION_REFUSED',
    });
  });

  it('says RESPONSE_INVALID when the answer is not HTTP', async () => {
    const server = createServer((socket) =>
      socket.once('data', () => socket.end('SSH-2.0-OpenSSH\r\n')).on('error', () => {}),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(client.request({ method: 'GET', url }, never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'RESPONSE_INVALID',
    });
    await new Promise((resolve) => server.close(resolve));
  });

  it('gives up when the whole exchange takes too long, also while a body trickles', async () => {
    await expect(get(neverAnswer, { timeoutMs: 50 })).rejects.toMatchObject({ kind: 'retryable', code: 'TIMED_OUT' });
    const trickle: Treatment = (reply) => {
      const timer = setInterval(() => reply.write('.'), 10);
      reply.on('close', () => clearInterval(timer));
    };
    await expect(get(trickle, { timeoutMs: 100 })).rejects.toMatchObject({ kind: 'retryable', code: 'TIMED_OUT' });
  });

  it('waits no longer than its cap, whatever is asked for', async () => {
    const server = await serve(neverAnswer);
    const request = testHttpClient({ timeoutCapMs: 50 }).request(
      { method: 'GET', url: server.url, timeoutMs: 60_000 },
      never,
    );
    await expect(request).rejects.toMatchObject({ code: 'TIMED_OUT' });
  });

  it("rejects with the signal's reason, before and during an exchange", async () => {
    const reason = new Error('enough');
    await expect(get(answer({ status: 200 }), {}, AbortSignal.abort(reason))).rejects.toBe(reason);
    const server = await serve(neverAnswer);
    const controller = new AbortController();
    const exchange = client.request({ method: 'GET', url: server.url }, controller.signal);
    void server.arrived(1).then(() => controller.abort(reason));
    await expect(exchange).rejects.toBe(reason);
  });

  it('leaves nothing at a signal that lives on', async () => {
    const controller = new AbortController();
    await get(answer({ status: 200 }), {}, controller.signal);
    expect(getEventListeners(controller.signal, 'abort')).toEqual([]);
  });

  it.each(['ftp://example.com/', 'not a url', 'http://user:password@127.0.0.1/'])(
    'refuses the address %s',
    async (url) => {
      await expect(client.request({ method: 'GET', url }, never)).rejects.toMatchObject({
        kind: 'config',
        code: 'URL_INVALID',
      });
    },
  );
});
