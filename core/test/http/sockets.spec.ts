import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { MAX_BODY_BYTES, RunningServer } from './running-server.ts';

let server: RunningServer;
let port: number;
let authorization: string;

beforeAll(async () => {
  server = await RunningServer.start({
    limits: { requestTimeoutMs: 600, headersTimeoutMs: 400, checkingIntervalMs: 100 },
  });
  const { base, headers, source } = await server.project();
  const made = await server.app.inject({
    method: 'POST',
    url: `${base}/api-keys`,
    headers,
    payload: { name: 'test', source: source.id },
  });
  authorization = `Authorization: Bearer ${made.json<{ key: string }>().key}`;
  port = await server.listen();
});
afterAll(() => server.stop());

/** A connection that is spoken to by hand, as hostile and broken clients do. */
class Client {
  received = '';
  closed = false;
  private readonly socket: net.Socket;

  constructor() {
    this.socket = net.connect(port, '127.0.0.1');
    this.socket.setEncoding('utf8').on('data', (text) => (this.received += text));
    this.socket.on('error', () => undefined).on('close', () => (this.closed = true));
  }

  write(text: string | Buffer): boolean {
    return this.socket.write(text);
  }

  async until(done: () => boolean, ms = 5_000): Promise<void> {
    for (const end = performance.now() + ms; !done() && performance.now() < end;) await sleep(5);
  }

  async answer(): Promise<string> {
    await this.until(() => this.received.includes('\r\n\r\n') || this.closed);
    return this.received;
  }

  end(): void {
    this.socket.destroy();
  }
}

const post = (extra: readonly string[], body = '', path = '/api/v1/events') =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\n${[authorization, ...extra].join('\r\n')}\r\n\r\n${body}`;
const whole = (body: string) => post([`Content-Length: ${Buffer.byteLength(body)}`], body);

describe('a body that is too large', () => {
  it('in chunks without a length is refused early, with an answer that arrives, in constant memory', async () => {
    const client = new Client();
    client.write(post(['Transfer-Encoding: chunked']));
    const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`;
    const before = process.memoryUsage().rss;
    let sent = 0;
    // The client does not listen: it goes on sending, far beyond the limit.
    while (sent < 20 * 1024 * 1024 && !client.closed) {
      client.write(chunk);
      sent += chunk.length;
      if (sent % (0x4000 * 64) < chunk.length) await sleep(1);
    }
    await client.until(() => client.closed);
    expect(client.received).toMatch(/^HTTP\/1\.1 413 /);
    expect(client.received).toMatch(/connection: close/i);
    expect(client.received).toContain('"BODY_TOO_LARGE"');
    expect(client.closed).toBe(true);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('is refused by its length, before any of it is sent', async () => {
    const client = new Client();
    client.write(post([`Content-Length: ${MAX_BODY_BYTES + 1}`]));
    expect(await client.answer()).toMatch(/^HTTP\/1\.1 413 /);
    await client.until(() => client.closed);
    expect(client.closed).toBe(true);
  });

  it('is refused in the control plane too', async () => {
    const client = new Client();
    client.write(post(['Content-Length: 99999999', 'Content-Type: application/json'], '', '/api/v1/auth/login'));
    expect(await client.answer()).toMatch(/^HTTP\/1\.1 413 /);
    client.end();
  });
});

describe('a client that is slow', () => {
  it('with its body is given up', async () => {
    const client = new Client();
    client.write(post(['Content-Length: 100'], '{"a'));
    expect(await client.answer()).toMatch(/^HTTP\/1\.1 408 /);
    expect(client.received).toContain('"REQUEST_TIMEOUT"');
    await client.until(() => client.closed);
    expect(client.closed).toBe(true);
  });

  it('with its headers is given up', async () => {
    const client = new Client();
    const dribble = setInterval(() => client.write('X-A: b\r\n'), 50);
    client.write('POST /api/v1/events HTTP/1.1\r\nHost: x\r\n');
    await client.until(() => client.closed);
    clearInterval(dribble);
    expect(client.received).toMatch(/^HTTP\/1\.1 408 /);
    expect(client.closed).toBe(true);
  });

  it('holds up nobody else', async () => {
    const slow = Array.from({ length: 100 }, () => new Client());
    for (const client of slow) client.write(post(['Content-Length: 100'], '{"a'));
    const startedAt = performance.now();
    const client = new Client();
    client.write(whole('{}'));
    expect(await client.answer()).toMatch(/^HTTP\/1\.1 202 /);
    expect(performance.now() - startedAt).toBeLessThan(300);
    for (const one of [...slow, client]) one.end();
  });
});

describe('what is not HTTP', () => {
  it.each<readonly [string, () => string, number]>([
    ['garbage', () => 'nonsense\r\n\r\n', 400],
    ['two lengths that differ', () => post(['Content-Length: 2', 'Content-Length: 3'], '{}'), 400],
    ['a length and chunks', () => post(['Content-Length: 2', 'Transfer-Encoding: chunked'], '{}'), 400],
    ['a negative length', () => post(['Content-Length: -1'], '{}'), 400],
    ['a header that is too large', () => post([`X-A: ${'x'.repeat(20_000)}`]), 431],
  ])('is answered in our shape: %s', async (_what, text, status) => {
    const client = new Client();
    client.write(text());
    await client.until(() => client.closed);
    expect(client.received).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `));
    expect(JSON.parse(client.received.split('\r\n\r\n')[1] ?? '')).toMatchObject({
      error: { code: expect.any(String), message: expect.any(String) },
    });
  });

  it('behind a body that is longer than its length spoils neither the request before nor anybody else', async () => {
    const client = new Client();
    client.write(post(['Content-Length: 2'], '{}trailing nonsense\r\n\r\n'));
    await client.until(() => client.closed);
    expect(client.received).toMatch(/HTTP\/1\.1 (202|400) /);
    const next = new Client();
    next.write(whole('{}'));
    expect(await next.answer()).toMatch(/^HTTP\/1\.1 202 /);
    next.end();
  });
});

it('answers pipelined requests in their order', async () => {
  const client = new Client();
  client.write([whole('{}'), whole('{"a":'), whole('{"reject":true}'), whole('{}')].join(''));
  const statuses = () => [...client.received.matchAll(/HTTP\/1\.1 (\d+) /g)].map(([, status]) => status);
  // A body that cannot be parsed does not end the connection: the others still get their answers.
  await client.until(() => statuses().length === 4 || client.closed);
  expect(statuses()).toEqual(['202', '400', '400', '202']);
  client.end();
});

it('shrugs when a client goes away in the middle of a body', async () => {
  const errors = () => server.log.filter((line) => line.includes('"level":"error"')).length;
  const before = errors();
  const clients = Array.from({ length: 20 }, () => new Client());
  for (const client of clients) client.write(post(['Content-Length: 100'], '{"a'));
  await sleep(50);
  for (const client of clients) client.end();
  await sleep(100);
  expect(errors()).toBe(before);
});

it('stops without losing an answer, and refuses what comes later', async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  server.moved.until = promise;
  const [busy, idle] = [new Client(), new Client()];
  busy.write(whole('{}'));
  idle.write(whole('{"reject":true}'));
  await idle.answer();
  await sleep(50);
  const closing = server.app.close();
  await sleep(50);
  expect(server.server.lifecycle.stopping).toBe(true);
  await idle.until(() => idle.closed);
  expect(idle.closed).toBe(true);
  // On a connection that is busy, what was sent behind is refused in our shape.
  busy.write(whole('{}'));
  resolve();
  await busy.until(() => busy.closed);
  expect(busy.received).toMatch(/^HTTP\/1\.1 202 /);
  await closing;
  const late = new Client();
  await late.until(() => late.closed);
  expect(late.received).toBe('');
});
