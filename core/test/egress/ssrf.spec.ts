import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { ConfigError, type HttpResponse } from '@switchyard/plugin-sdk';
import { parseAllowList, refuseAddress } from '../../src/egress/address.ts';
import { createHttpClient, type HttpClientHandle, type HttpClientOptions } from '../../src/egress/client.ts';
import { checkUrl } from '../../src/egress/url.ts';
import { closeServers, serveHttp } from './servers.ts';
import { HOSTILE_ADDRESSES, HOSTILE_HOSTS, HOSTILE_URLS, METADATA_ADDRESSES, PUBLIC_ADDRESSES } from './ssrf-corpus.ts';

const LOOPBACK = ['127.0.0.0/8'];
const EVERYTHING = ['0.0.0.0/0', '::/0'];

const handles: HttpClientHandle[] = [];

function clientWith(options: HttpClientOptions): (url: string) => Promise<HttpResponse> {
  const handle = createHttpClient(options);
  handles.push(handle);
  return (url) => handle.client.request({ method: 'POST', url, body: '{}', timeoutMs: 5_000 }, neverAborted);
}

const neverAborted = new AbortController().signal;

afterEach(async () => {
  await Promise.all(handles.splice(0).map((handle) => handle.close()));
  await closeServers();
});

async function codeOf(request: Promise<unknown>): Promise<string> {
  try {
    await request;
  } catch (error) {
    return error instanceof ConfigError ? error.code : `not a ConfigError: ${String(error)}`;
  }
  return 'an answer';
}

test('the corpus is large', () => {
  expect(HOSTILE_HOSTS.length + HOSTILE_URLS.length).toBeGreaterThan(400);
  expect(new Set(HOSTILE_HOSTS.map(({ value }) => value)).size).toBeGreaterThan(300);
});

describe('a hostile host', () => {
  let opened = 0;
  const count = (): void => void (opened += 1);
  beforeAll(() => subscribe('net.client.socket', count));
  afterAll(() => unsubscribe('net.client.socket', count));

  const request = (url: string): Promise<HttpResponse> => {
    const answers = (): never => {
      throw new Error('no name server may be asked');
    };
    return clientWith({ allow: [], lookup: answers })(url);
  };

  test.each(HOSTILE_HOSTS)(
    '$value ($what) is refused when saved and when called, and no socket is opened',
    async ({ value }) => {
      opened = 0;
      for (const url of [`http://${value}/`, `https://${value}:8443/hook?x=1`]) {
        expect(checkUrl(url, [])).toMatch(/Refused to connect|The address is not a URL/);
        expect(await codeOf(request(url))).toMatch(/^(ADDRESS_BLOCKED|URL_INVALID)$/);
      }
      expect(opened).toBe(0);
    },
  );

  test.each(HOSTILE_URLS)('%j is refused when saved and when called, and no socket is opened', async (url) => {
    opened = 0;
    expect(checkUrl(url, [])).not.toBeNull();
    expect(await codeOf(request(url))).toMatch(/^(ADDRESS_BLOCKED|URL_INVALID)$/);
    expect(opened).toBe(0);
  });
});

describe('a name', () => {
  test.each(HOSTILE_ADDRESSES)('that leads to $value ($what) is refused', async ({ value }) => {
    const request = clientWith({ allow: [], lookup: async () => [value] });
    expect(await codeOf(request('http://inside.example/'))).toBe('ADDRESS_BLOCKED');
  });

  test.each([
    ['public first', ['8.8.8.8', '10.0.0.1']],
    ['private first', ['10.0.0.1', '8.8.8.8']],
    ['a private AAAA beside a public A', ['8.8.8.8', 'fd00::1']],
    ['a mapped AAAA beside public ones', ['8.8.8.8', '2606:4700:4700::1111', '::ffff:127.0.0.1']],
    ['one private among many', [...PUBLIC_ADDRESSES, '192.168.0.1']],
    ['what is not an address', ['8.8.8.8', 'localhost']],
  ])('with mixed answers (%s) is refused as a whole', async (_what, addresses) => {
    const request = clientWith({ allow: [], lookup: async () => addresses });
    expect(await codeOf(request('http://mixed.example/'))).toBe('ADDRESS_BLOCKED');
  });

  test('that meant an allowed address and then a private one is refused at its next connection', async () => {
    const server = await serveHttp((_request, response) => {
      response.setHeader('connection', 'close');
      response.end('ok');
    });
    const answers = [['127.0.0.1'], ['10.0.0.1'], ['169.254.169.254']];
    let asked = 0;
    const request = clientWith({ allow: LOOPBACK, lookup: async () => answers[asked++] ?? [] });
    const url = `http://rebinding.example:${server.port}/`;
    expect((await request(url)).status).toBe(200);
    expect(await codeOf(request(url))).toBe('ADDRESS_BLOCKED');
    expect(await codeOf(request(url))).toBe('ADDRESS_BLOCKED');
    expect(server.sockets).toHaveLength(1);
  });

  test('does not get its inside address told to whoever saved it', async () => {
    const request = clientWith({ allow: [], lookup: async () => ['10.11.12.13'] });
    await expect(request('http://inside.example/')).rejects.toThrow(/inside\.example leads to a private address/);
    await expect(request('http://inside.example/')).rejects.not.toThrow(/10\.11/);
  });
});

test('a socket that is kept alive serves only the origin that it was opened and checked for', async () => {
  const server = await serveHttp((_request, response) => response.end('ok'));
  const names: Record<string, string> = { 'good.example': '127.0.0.1', 'bad.example': '10.0.0.1' };
  const request = clientWith({ allow: LOOPBACK, lookup: async (name) => [names[name] ?? '10.0.0.2'] });
  for (let round = 0; round < 10; round += 1) {
    expect((await request(`http://good.example:${server.port}/`)).status).toBe(200);
    expect(await codeOf(request(`http://bad.example:${server.port}/`))).toBe('ADDRESS_BLOCKED');
  }
  // Reused: ten requests, and a second connection at most for the one that came while the first was being put back.
  expect(server.sockets.length).toBeLessThanOrEqual(2);
});

test.each([301, 302, 303, 307, 308])('a %i to a metadata address is an answer, and is not followed', async (status) => {
  const paths: unknown[] = [];
  const server = await serveHttp((request, response) => {
    paths.push(request.url);
    response.writeHead(status, { location: 'http://169.254.169.254/latest/meta-data/' }).end();
  });
  const answer = await clientWith({ allow: LOOPBACK })(`${server.url}/hook`);
  expect(answer.status).toBe(status);
  expect(answer.headers['location']).toBe('http://169.254.169.254/latest/meta-data/');
  expect(paths).toEqual(['/hook']);
});

describe('the allow-list', () => {
  test('opens what it names, in every spelling, and nothing else', async () => {
    const server = await serveHttp((_request, response) => response.end('ok'));
    const request = clientWith({ allow: LOOPBACK, lookup: async () => ['127.0.0.1'] });
    for (const host of ['127.0.0.1', 'localhost', '2130706433', 'service.internal']) {
      expect((await request(`http://${host}:${server.port}/`)).status).toBe(200);
    }
    for (const host of ['10.0.0.1', '[::1]', '0.0.0.0', '169.254.169.254', '[64:ff9b::7f00:1]', '[2002:7f00:1::]']) {
      expect(await codeOf(request(`http://${host}:${server.port}/`))).toBe('ADDRESS_BLOCKED');
    }
  });

  test.each(METADATA_ADDRESSES)('never opens the metadata address %s', async (address) => {
    const host = address.includes(':') ? `[${address}]` : address;
    const allow = [...EVERYTHING, address.includes(':') ? `${address}/128` : `${address}/32`];
    expect(checkUrl(`http://${host}/`, parseAllowList(allow))).toMatch(/metadata/);
    expect(await codeOf(clientWith({ allow })(`http://${host}/`))).toBe('ADDRESS_BLOCKED');
    const byName = clientWith({ allow, lookup: async () => [address] });
    expect(await codeOf(byName('http://inside.example/'))).toBe('ADDRESS_BLOCKED');
  });

  test('opens NAT64 for public addresses inside it only', () => {
    const allow = parseAllowList(['64:ff9b::/96']);
    expect(refuseAddress('64:ff9b::808:808', allow)).toBeNull();
    expect(refuseAddress('64:ff9b::a00:1', allow)).not.toBeNull();
    expect(refuseAddress('64:ff9b::a00:1', parseAllowList(['64:ff9b::/96', '10.0.0.0/8']))).toBeNull();
  });

  test('opens a mapped address with the IPv4 address that it is', () => {
    expect(refuseAddress('::ffff:127.0.0.1', parseAllowList(LOOPBACK))).toBeNull();
    expect(refuseAddress('::ffff:127.0.0.1', parseAllowList(['::/0']))).not.toBeNull();
  });

  test.each([
    ['10.0.0.0/33', /from 0 to 32/],
    ['fd00::/129', /from 0 to 128/],
    ['10.0.0.0/', /from 0 to 32/],
    ['10.0.0.0/8/8', /from 0 to 32/],
    ['10.0.0.0/-1', /from 0 to 32/],
    ['10.0.0.1/8', /Did you mean 10\.0\.0\.0\/8/],
    ['fd00::1/8', /Did you mean fd00::\/8/],
    ['10.0/8', /not an IP range/],
    ['0x0a.0.0.0/8', /not an IP range/],
    ['localhost', /not an IP range/],
    ['fe80::1%eth0/64', /not an IP range/],
    ['', /not an IP range/],
    ['*', /not an IP range/],
  ])('refuses %j at start and says why', (range, message) => {
    expect(() => createHttpClient({ allow: ['10.0.0.0/8', range] })).toThrow(message);
  });

  test('takes a single address without a prefix', () => {
    const allow = parseAllowList(['10.0.0.5', 'fd00::5']);
    expect(refuseAddress('10.0.0.5', allow)).toBeNull();
    expect(refuseAddress('fd00::5', allow)).toBeNull();
    expect(refuseAddress('10.0.0.6', allow)).not.toBeNull();
  });
});

test.each(PUBLIC_ADDRESSES)('the public address %s may be reached', (address) => {
  expect(refuseAddress(address, [])).toBeNull();
  const host = address.includes(':') ? `[${address}]` : address;
  expect(checkUrl(`https://${host}/hook`, [])).toBeNull();
});

test.each([
  'https://example.com/',
  'http://example.com:8080/a?b#c',
  'https://xn--mnchen-3ya.de/',
  'HTTPS://Example.COM',
  'http://example.com\\@127.0.0.1/',
])('the public URL %s may be saved', (url) => expect(checkUrl(url, [])).toBeNull());
