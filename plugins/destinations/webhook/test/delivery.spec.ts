import { createPublicKey, verify } from 'node:crypto';
import { type DeliveryOutcome, type Event } from '@switchyard/plugin-sdk';
import {
  aBatch,
  anEvent,
  answer,
  faultServer,
  hostileEvents,
  testContext,
  type FaultServer,
  type ReceivedRequest,
} from '@switchyard/plugin-sdk/testing';
import { Webhook } from 'standardwebhooks';
import type { WebhookConfig } from '../src/config.ts';
import webhook from '../src/index.ts';
import { parseKey, signature } from '../src/signing.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
// RFC 8032, section 7.1, test 1.
const SEED = Buffer.from('9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60', 'hex');
const PUBLIC = Buffer.from('d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a', 'hex');

let server: FaultServer;
const { signal } = new AbortController();

beforeEach(async () => {
  server = await faultServer(answer({ status: 200, body: '{"ok":true}' }));
});
afterEach(() => server.close());

async function deliver(config: Omit<WebhookConfig, 'url'>, event: Event, attempt = 1): Promise<DeliveryOutcome> {
  const full = { url: server.url, timeout_ms: 2_000, ...config };
  webhook.validate?.(full);
  const destination = webhook.create(full, testContext());
  const outcome = (await destination.deliver(aBatch([event], { attempt }), signal)).get(event.id);
  if (outcome === undefined) throw new Error('no outcome');
  return outcome;
}

function last(): ReceivedRequest {
  const request = server.received.at(-1);
  if (request === undefined) throw new Error('nothing was received');
  return request;
}

/** As a receiver of v1a signatures does it. */
function verifiesWith(publicKey: Buffer, { headers, body }: ReceivedRequest): boolean {
  const der = Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), publicKey]);
  const key = createPublicKey({ key: der, format: 'der', type: 'spki' });
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  const signatures = headers['webhook-signature']?.split(' ') ?? [];
  return signatures.some((one) => {
    return one.startsWith('v1a,') && verify(null, content, key, Buffer.from(one.slice(4), 'base64'));
  });
}

describe('a request', () => {
  test('has the id, the time and the content type, and the event as its body, byte for byte', async () => {
    const event = anEvent({ metadata: { name: 'Zoë ✓ 𝄞', list: [1, 2.5, null, true] } });
    const before = Math.floor(Date.now() / 1000);
    expect(await deliver({ secret: SECRET }, event)).toMatchObject({ status: 'delivered' });
    const { method, headers, body } = last();
    expect(method).toBe('POST');
    expect(body).toBe(JSON.stringify(event));
    expect(headers).toMatchObject({
      'webhook-id': event.id,
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(body)),
      'user-agent': expect.stringMatching(/^Switchyard\//),
    });
    expect(headers['webhook-timestamp']).toMatch(/^\d{10}$/);
    expect(Number(headers['webhook-timestamp'])).toBeGreaterThanOrEqual(before);
    expect(Number(headers['webhook-timestamp'])).toBeLessThanOrEqual(Date.now() / 1000);
  });

  test('writes a number that no double can hold with the digits that were posted', async () => {
    for (const event of hostileEvents().values()) await deliver({}, event);
    expect(server.received.map(({ body }) => body).join('\n')).toContain('"big":12345678901234567890');
  });

  test('has the same id at every attempt, and a signature of its own time', async () => {
    const event = anEvent();
    for (const attempt of [1, 2, 3]) await deliver({ secret: SECRET }, event, attempt);
    expect(server.received.map(({ headers }) => headers['webhook-id'])).toEqual([event.id, event.id, event.id]);
  });

  test('has no signature when there is no secret, and the headers that were asked for', async () => {
    await deliver({ headers: { 'X-Team': 'billing' }, authorization: 'Bearer abc' }, anEvent());
    expect(last().headers).toMatchObject({ 'x-team': 'billing', authorization: 'Bearer abc' });
    expect(last().headers).not.toHaveProperty('webhook-signature');
  });
});

describe('signatures', () => {
  test.each([...hostileEvents()])('v1, verified by the standardwebhooks package: %s', async (_what, event) => {
    await deliver({ secret: SECRET }, event);
    const { headers, body } = last();
    expect(new Webhook(SECRET).verify(body, { ...headers })).toEqual(JSON.parse(body));
    const changed = body.replace('}', ' }');
    expect(() => new Webhook(SECRET).verify(changed, { ...headers })).toThrow('No matching signature');
  });

  test('v1 with any other text is made with its bytes', async () => {
    const secret = 'correct horse battery staple';
    await deliver({ secret }, anEvent());
    const { headers, body } = last();
    expect(new Webhook(secret, { format: 'raw' }).verify(body, { ...headers })).toEqual(JSON.parse(body));
  });

  test.each([
    ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw', 'msg_p5jXN8AQM9LWM0D4loKWxJek', '1614265330', '{"test": 2432232314}'],
    ['whsec_plJ3nmyCDGBKInavdOK15jsl', 'msg_loFOjxBNrRLzqYUf', '1731705121', '{"event_type":"ping"}'],
  ])('v1 equals what the standardwebhooks package makes of %s', (secret, id, timestamp, body) => {
    const expected = new Webhook(secret).sign(id, new Date(Number(timestamp) * 1000), body);
    expect(signature([parseKey(secret, 'secret')], id, timestamp, Buffer.from(body))).toBe(expected);
  });

  test('v1 equals a signature that is published', () => {
    const made = signature(
      [parseKey(SECRET, 'secret')],
      'msg_p5jXN8AQM9LWM0D4loKWxJek',
      '1614265330',
      Buffer.from('{"test": 2432232314}'),
    );
    expect(made).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  test.each([
    ['the seed', SEED],
    ['seed and public key', Buffer.concat([SEED, PUBLIC])],
  ])('v1a, from %s, verified with the public key that the check shows', async (_what, bytes) => {
    const secret = `whsk_${bytes.toString('base64')}`;
    await deliver({ secret }, anEvent());
    expect(verifiesWith(PUBLIC, last())).toBe(true);
    expect(verifiesWith(PUBLIC, { ...last(), body: `${last().body} ` })).toBe(false);
    const { message } = await webhook.create({ url: server.url, secret }, testContext()).check(signal);
    expect(message).toContain(`whpk_${PUBLIC.toString('base64')}`);
    expect(verifiesWith(PUBLIC, last())).toBe(true);
  });

  test('while a secret is replaced, receivers with the old one and with the new one both verify', async () => {
    const config = { secret: `whsk_${SEED.toString('base64')}`, previous_secret: SECRET };
    await deliver(config, anEvent());
    const { headers, body } = last();
    expect(headers['webhook-signature']).toMatch(/^v1a,[A-Za-z0-9+/]{86}== v1,[A-Za-z0-9+/]{43}=$/);
    expect(verifiesWith(PUBLIC, last())).toBe(true);
    expect(new Webhook(SECRET).verify(body, { ...headers })).toEqual(JSON.parse(body));

    const newer = 'whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD';
    await deliver({ secret: newer, previous_secret: SECRET }, anEvent());
    for (const known of [newer, SECRET]) new Webhook(known).verify(last().body, { ...last().headers });
    expect(() =>
      new Webhook('whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA').verify(last().body, { ...last().headers }),
    ).toThrow('No matching signature');
  });
});

describe('what an answer means', () => {
  test.each([200, 201, 204, 299])('%i: delivered', async (status) => {
    server.treat(answer({ status }));
    expect(await deliver({}, anEvent())).toMatchObject({ status: 'delivered', exchange: { response: { status } } });
  });

  test.each([
    [301, { kind: 'config' }],
    [400, { kind: 'permanent' }],
    [401, { kind: 'config' }],
    [404, { kind: 'config' }],
    [408, { kind: 'retryable', retryAfterMs: 120_000 }],
    [410, { kind: 'config' }],
    [413, { kind: 'permanent' }],
    [422, { kind: 'permanent' }],
    [429, { kind: 'retryable', retryAfterMs: 120_000 }],
    [500, { kind: 'retryable', retryAfterMs: 120_000 }],
    [503, { kind: 'retryable', retryAfterMs: 120_000 }],
  ])('%i: failed, %j', async (status, error) => {
    server.treat(answer({ status, headers: { 'retry-after': '120' }, body: 'said so' }));
    expect(await deliver({}, anEvent())).toMatchObject({
      status: 'failed',
      error: { ...error, code: `HTTP_${status}` },
      exchange: { response: { status, body: 'said so' } },
    });
  });
});

describe('what is kept of an exchange', () => {
  const config = {
    secret: SECRET,
    previous_secret: 'an older secret in plain words',
    authorization: 'Bearer the-token-of-the-receiver',
    headers: { 'X-Api-Key': 'another-key-0123456789', 'X-Team': 'billing' },
  };
  const secrets = [
    'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
    'an older secret in plain words',
    'the-token-of-the-receiver',
    'another-key-0123456789',
  ];

  test('the request with its signature, and no secret', async () => {
    const event = anEvent();
    const { exchange } = await deliver(config, event);
    const [head, body] = exchange?.request.split('\n\n') ?? [];
    expect(head?.split('\n')).toEqual([
      'POST /hook HTTP/1.1',
      `host: ${new URL(server.url).host}`,
      'content-type: application/json',
      expect.stringMatching(/^user-agent: Switchyard/),
      'X-Api-Key: ***',
      'X-Team: billing',
      'authorization: ***',
      `webhook-id: ${event.id}`,
      expect.stringMatching(/^webhook-timestamp: \d{10}$/),
      `webhook-signature: ${last().headers['webhook-signature']}`,
    ]);
    expect(body).toBe(JSON.stringify(event));
  });

  test.each([200, 302, 400, 503])(
    'no secret, even when a receiver that answers %i repeats all of them',
    async (status) => {
      const echo = `you sent ${secrets.join(', ')} and ${SECRET}`;
      server.treat(
        answer({ status, body: echo, headers: { location: `/login?was=${secrets.join('&')}`.replaceAll(' ', '+') } }),
      );
      const outcome = await deliver(config, anEvent());
      const kept = JSON.stringify(outcome) + (outcome.status === 'failed' ? outcome.error.message : '');
      expect(kept).toContain('you sent ***');
      for (const secret of secrets) expect(kept).not.toContain(secret);
    },
  );

  test('bodies are cut, and hold nothing that a database cannot keep', async () => {
    server.treat(answer({ status: 500, body: `\0${'x'.repeat(100_000)}` }));
    const { exchange } = await deliver({}, anEvent({ metadata: { long: '𝄞'.repeat(20_000) } }));
    expect(exchange?.request.length).toBeLessThan(17_500);
    expect(exchange?.request.isWellFormed()).toBe(true);
    expect(exchange?.request).toMatch(/… \(\d+ more characters\)$/);
    expect(exchange?.response?.body).toMatch(/^\ufffdx{16383}… \(cut off\)$/);
  });

  test('an answer that is compressed is not shown as noise', async () => {
    server.treat(answer({ status: 200, body: 'pretend', headers: { 'content-encoding': 'gzip' } }));
    const { exchange } = await deliver({}, anEvent());
    expect(exchange?.response?.body).toBe('(7 bytes, gzip: not decoded)');
  });

  test('the request, when there was no answer', async () => {
    await server.close();
    const outcome = await deliver(config, anEvent());
    expect(outcome).toMatchObject({ status: 'failed', error: { kind: 'retryable', code: 'CONNECTION_REFUSED' } });
    expect(outcome.exchange?.request).toContain('webhook-signature: v1,');
    expect(outcome.exchange?.response).toBeUndefined();
  });
});

describe('check', () => {
  test('sends a signed test event and says what came back', async () => {
    const result = await webhook.create({ url: server.url, secret: SECRET }, testContext()).check(signal);
    expect(result).toMatchObject({ ok: true, message: expect.stringMatching(/answered 200 .* in \d+ ms/) });
    const event = new Webhook(SECRET).verify(last().body, { ...last().headers });
    expect(event).toMatchObject({ event_name: 'switchyard.test', id: last().headers['webhook-id'] });
  });

  test('says that nothing is signed when there is no secret', async () => {
    const { message } = await webhook.create({ url: server.url }, testContext()).check(signal);
    expect(message).toMatch(/not signed/);
  });

  test('says what an endpoint that refuses said', async () => {
    server.treat(answer({ status: 403, body: 'no' }));
    const result = await webhook.create({ url: server.url }, testContext()).check(signal);
    expect(result).toMatchObject({ ok: false, message: expect.stringContaining('403') });
    expect(result.exchange?.response).toEqual({ status: 403, body: 'no' });
  });
});
