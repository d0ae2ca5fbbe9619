import { Webhook } from 'standardwebhooks';
import type { Router } from '../../src/router.ts';
import { Api, call } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY, aRouter } from '../support/router.ts';
import { accountOf, expectToAddUp, settledAccount } from './support/accounts.ts';
import { Endpoint, type Arrival } from './support/endpoint.ts';
import { bearable, comparable, inWords, measureLatency, report } from './support/latency.ts';
import { Client } from './support/posting.ts';
import { RouterProcess } from './support/router-process.ts';

const SECRET = `whsec_${Buffer.from('thirty-two bytes for signatures.').toString('base64')}`;

interface Letter {
  readonly id: string;
  readonly event: { readonly id: string };
  readonly destination: string;
  readonly stage: string;
  readonly error: { readonly code: string; readonly message: string };
  readonly attempts: number;
}
interface Status {
  readonly state: string;
  readonly code?: string;
  readonly reason?: string;
}

const numbered = (
  event_name: string,
  count: number,
): { readonly event_name: string; readonly metadata: { readonly number: number } }[] =>
  Array.from({ length: count }, (_, number) => ({ event_name, metadata: { number } }));

function verify({ body, headers }: Arrival): unknown {
  return new Webhook(SECRET).verify(body, headers as Record<string, string>);
}

describe('delivery to webhooks', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: Router;
  let api: Api;
  let client: Client;
  const endpoints: Endpoint[] = [];

  beforeAll(async () => {
    folder = await aFolder();
    router = await aRouter(folder.path);
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    client = new Client(router.address, API_KEY);
  }, 60_000);
  afterAll(async () => {
    // Receivers first: one that hangs would be waited for.
    await Promise.all(endpoints.map((endpoint) => endpoint.down()));
    await router.stop(2_000);
    await folder.remove();
  }, 30_000);

  /** A receiver of the test's own, which gets only the events of one name. */
  async function aReceiver(
    event_name: string,
    config: Readonly<Record<string, unknown>> = {},
  ): Promise<{ endpoint: Endpoint; destination: string }> {
    const endpoint = await Endpoint.open();
    endpoints.push(endpoint);
    const { destination } = await api.connect('webhook', { url: endpoint.url, secret: SECRET, ...config }, [
      { type: 'filter', config: { rule: { '==': [{ var: 'event_name' }, event_name] } } },
    ]);
    return { endpoint, destination };
  }

  async function lettersOf(destination: string): Promise<readonly Letter[]> {
    const { items } = await api.get<{ items: Letter[] }>(`dead-letters?destination=${destination}&limit=1000`);
    return items;
  }
  const replay = (conditions: object): Promise<{ matched: number; replayed: number }> =>
    api.send('POST', 'dead-letters/replay', conditions);
  const statusOf = async (destination: string): Promise<Status> =>
    (await api.get<{ status: Status }>(`destinations/${destination}`)).status;

  async function metric(name: string, labels: string): Promise<number | undefined> {
    const text = await (await fetch(`${router.address}/metrics`)).text();
    const line = text.split('\n').find((one) => one.startsWith(`${name}{`) && one.includes(labels));
    return line === undefined ? undefined : Number(line.slice(line.lastIndexOf(' ') + 1));
  }

  test('503, 503, 200: three attempts under one webhook-id, each with a signature that verifies', async () => {
    const { endpoint, destination } = await aReceiver('flaky');
    endpoint.behave = (_, attempt) => (attempt <= 2 ? 503 : 200);
    const id = await client.post({ event_name: 'flaky', metadata: { text: 'grüße ✓' } });
    await endpoint.until(({ arrivals }) => arrivals.length === 3);
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: 1, delivered: 1, dead: 0 });
    expect(endpoint.arrivals.map(({ headers }) => headers['webhook-id'])).toEqual([id, id, id]);
    for (const arrival of endpoint.arrivals)
      expect(verify(arrival)).toMatchObject({ id, metadata: { text: 'grüße ✓' } });
    const [first, second, third] = endpoint.arrivals.map(({ at }) => at) as [number, number, number];
    // The steps are 100 and 200 ms, half of it at the least.
    expect(second - first).toBeGreaterThanOrEqual(50);
    expect(third - second).toBeGreaterThanOrEqual(100);
    expect(endpoint.arrivals).toHaveLength(3);
  }, 20_000);

  test('a 400 is a dead letter at once; healed, it is delivered by a replay and leaves the list', async () => {
    const { endpoint, destination } = await aReceiver('refused');
    endpoint.behave = () => ({ status: 400, body: 'no such thing' });
    const id = await client.post({ event_name: 'refused' });
    const account = await settledAccount(api, destination);
    expect(account).toMatchObject({ delivered: 0, dead: 1 });
    const [letter] = await lettersOf(destination);
    expect(letter).toMatchObject({
      event: { id },
      destination,
      stage: 'delivery',
      error: { code: 'HTTP_400', message: expect.stringContaining('400') },
      attempts: 1,
    });
    expect(endpoint.arrivals).toHaveLength(1);

    endpoint.behave = () => 200;
    const conditions = { ids: [letter?.id], destination };
    expect(await replay({ ...conditions, dry_run: true })).toEqual({ matched: 1, replayed: 0 });
    expect(await lettersOf(destination)).toHaveLength(1);
    expect(endpoint.arrivals).toHaveLength(1);
    expect(await replay(conditions)).toEqual({ matched: 1, replayed: 1 });
    await endpoint.until(({ arrivals }) => arrivals.length === 2);
    expect(endpoint.arrivals.map(({ headers }) => headers['webhook-id'])).toEqual([id, id]);
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: account.accepted, delivered: 1, dead: 0 });
    expect(await lettersOf(destination)).toEqual([]);
  }, 20_000);

  test('dead letters are replayed by what they have in common, and the others stay', async () => {
    const { endpoint, destination } = await aReceiver('mixed');
    endpoint.behave = ({ body }) =>
      (JSON.parse(body) as { metadata: { number: number } }).metadata.number % 3 === 0 ? 422 : 400;
    const ids = await client.postAll(numbered('mixed', 9));
    expect(await settledAccount(api, destination)).toMatchObject({ delivered: 0, dead: 9 });
    endpoint.behave = () => 200;
    expect(await replay({ destination, filter: { error_code: 'HTTP_422' } })).toEqual({ matched: 3, replayed: 3 });
    expect(await settledAccount(api, destination)).toMatchObject({ delivered: 3, dead: 6 });
    expect(ids.filter((id) => endpoint.attemptsOf(id) === 2)).toEqual([ids[0], ids[3], ids[6]]);
    expect(await replay({ destination, filter: { error_code: 'HTTP_400', event_name: 'another' } })).toEqual({
      matched: 0,
      replayed: 0,
    });
    expect(await replay({ destination, filter: { event_name: 'mixed' } })).toEqual({ matched: 6, replayed: 6 });
    expect(await settledAccount(api, destination)).toMatchObject({ delivered: 9, dead: 0 });
  }, 20_000);

  test('a replay that meets the same answer becomes a dead letter again, under the same id', async () => {
    const { endpoint, destination } = await aReceiver('stubborn');
    endpoint.behave = () => 400;
    await client.post({ event_name: 'stubborn' });
    await settledAccount(api, destination);
    const [before] = await lettersOf(destination);
    expect(await replay({ destination })).toEqual({ matched: 1, replayed: 1 });
    const again = await eventually(async () => (await lettersOf(destination)).find(({ attempts }) => attempts === 2));
    expect(again).toMatchObject({ id: before?.id, error: { code: 'HTTP_400' } });
    expectToAddUp(await accountOf(api, destination));
  }, 20_000);

  test('a 401 pauses the destination and keeps its events; a changed configuration goes on at once', async () => {
    const { endpoint, destination } = await aReceiver('locked');
    endpoint.behave = ({ headers }) => (headers.authorization === 'Bearer the-right-password' ? 200 : 401);
    const ids = await client.postAll(numbered('locked', 20));
    const status = await eventually(async () => {
      const found = await statusOf(destination);
      return found.state === 'paused' && found;
    });
    expect(status).toMatchObject({ code: 'HTTP_401', reason: expect.stringContaining('401') });
    expect(await accountOf(api, destination)).toMatchObject({ delivered: 0, waiting: 20, dead: 0, parked: 0 });
    expect(await lettersOf(destination)).toEqual([]);
    const refusals = endpoint.arrivals.length;
    // The pause is of a quarter of a minute: what comes before it ends comes because of the change.
    const changedAt = performance.now();
    await api.send('PATCH', `destinations/${destination}`, {
      config: { url: endpoint.url, secret: { set: true }, authorization: 'Bearer the-right-password' },
    });
    await endpoint.until(
      ({ arrivals }) => arrivals.filter(({ headers }) => headers.authorization !== undefined).length >= 20,
    );
    report(
      `20 events waited at a 401 (${refusals} requests met it) and had arrived ${Math.round(performance.now() - changedAt)} ms after the change`,
    );
    expect(performance.now() - changedAt).toBeLessThan(10_000);
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: 20, delivered: 20, dead: 0 });
    expect(endpoint.ids).toEqual(new Set(ids));
    expect(await statusOf(destination)).toEqual({ state: 'active' });
    for (const arrival of endpoint.arrivals) verify(arrival);
  }, 30_000);

  test('a receiver that is down for a while loses nothing and uses up no attempts of the events that wait for it', async () => {
    const { endpoint, destination } = await aReceiver('outage');
    const state = `destination="${destination}"`;
    await endpoint.down();
    const ids = await client.postAll(numbered('outage', 200));
    await eventually(async () => (await metric('switchyard_breaker_state', state)) === 1);
    expect(await statusOf(destination)).toMatchObject({ state: 'paused', code: 'CONNECTION_REFUSED' });
    // The whole schedule is 700 ms, at most one and a half times that. The breaker lets the next one through after two seconds: by then, every
    // event that used up attempts while it waited would be dead.
    const calls = async (): Promise<number> => (await metric('switchyard_delivery_duration_seconds_count', state)) ?? 0;
    const whenOpened = await calls();
    await eventually(async () => (await calls()) >= whenOpened + 1, 15_000);
    expect(await accountOf(api, destination)).toMatchObject({ delivered: 0, waiting: 200, dead: 0, parked: 0 });
    await endpoint.up();
    await endpoint.got(ids);
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: 200, delivered: 200, dead: 0 });
    expect(await metric('switchyard_breaker_state', state)).toBe(0);
    expect(endpoint.arrivals).toHaveLength(200);
  }, 60_000);

  test('a disabled destination keeps its events waiting and delivers them when it is enabled', async () => {
    const { endpoint, destination } = await aReceiver('paused');
    await api.send('PATCH', `destinations/${destination}`, { enabled: false });
    const ids = await client.postAll(numbered('paused', 30));
    await settledAccount(api, await api.destination('timescale'));
    expect(await statusOf(destination)).toEqual({ state: 'disabled' });
    expect(await accountOf(api, destination)).toMatchObject({ accepted: 30, waiting: 30 });
    expect(endpoint.arrivals).toEqual([]);
    await api.send('PATCH', `destinations/${destination}`, { enabled: true });
    await endpoint.got(ids);
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: 30, delivered: 30 });
    expect(endpoint.arrivals).toHaveLength(30);
  }, 30_000);

  test('a receiver that hangs slows no other down', async () => {
    const healthy = await aReceiver('watched');
    const hanging = await aReceiver('stuck', { timeout_ms: 2_000 });
    await measureLatency(client, healthy.endpoint, { event_name: 'watched' }, 20);
    let posted = 0;
    const { alone, beside } = await comparable({
      alone: async () => {
        hanging.endpoint.behave = () => 200;
        await settledAccount(api, hanging.destination, 40_000);
        return measureLatency(client, healthy.endpoint, { event_name: 'watched' }, 100);
      },
      beside: async () => {
        hanging.endpoint.behave = () => 'hang';
        const before = hanging.endpoint.arrivals.length;
        await client.postAll(numbered('stuck', 200));
        posted += 200;
        await hanging.endpoint.until(({ arrivals }) => arrivals.length >= before + 20);
        const figure = await measureLatency(client, healthy.endpoint, { event_name: 'watched' }, 100);
        expect((await accountOf(api, hanging.destination)).waiting).toBeGreaterThanOrEqual(200);
        return figure;
      },
      within: (one, other) => other.p99 < bearable(one),
    });
    report(`alone: ${inWords(alone)}`);
    report(`beside a receiver that hangs with ${posted} events: ${inWords(beside)}`);
    expect(beside.p99).toBeLessThan(bearable(alone));
    hanging.endpoint.behave = () => 200;
    expect(await settledAccount(api, hanging.destination, 40_000)).toMatchObject({ dead: 0, delivered: posted });
  }, 90_000);
});

describe('secrets of a webhook', () => {
  const AUTHORIZATION = 'Bearer a-password-of-the-receiver';
  const PREVIOUS = 'an-older-secret-of-this-webhook';
  const HIDDEN = [
    SECRET,
    SECRET.slice('whsec_'.length),
    AUTHORIZATION,
    AUTHORIZATION.slice('Bearer '.length),
    PREVIOUS,
  ];

  test('appear in no answer of the API and in no line of the log, even if the receiver repeats them', async () => {
    const folder = await aFolder();
    const endpoint = await Endpoint.open();
    const router = await RouterProcess.start(folder.path, { LOG_LEVEL: 'debug' });
    try {
      const api = await Api.login(router.address, ADMIN.email, ADMIN.password);
      const client = new Client(router.address, API_KEY);
      const path = (rest: string): string => `${router.address}/api/v1/projects/${api.project}/${rest}`;
      const answers: string[] = [];
      const ask = async (method: string, url: string, body?: object): Promise<string> => {
        const response = await fetch(url, {
          method,
          headers: {
            authorization: `Bearer ${api.token}`,
            ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        });
        const text = await response.text();
        answers.push(text);
        return text;
      };
      const echo = ({ headers, body }: Arrival): string => `${JSON.stringify(headers)} ${body} ${SECRET} ${PREVIOUS}`;
      const config = { url: endpoint.url, secret: SECRET, previous_secret: PREVIOUS, authorization: AUTHORIZATION };
      const { id: destination } = JSON.parse(
        await ask('POST', path('destinations'), { name: 'secretive', type: 'webhook', config }),
      ) as { id: string };
      const nodes = [
        { id: 'in', kind: 'source', source: await api.source() },
        { id: 'out', kind: 'destination', destination },
      ];
      const { id: pipeline } = JSON.parse(
        await ask('POST', path('pipelines'), { name: 'secretive', definition: { nodes, edges: [['in', 'out']] } }),
      ) as { id: string };
      await ask('POST', path(`pipelines/${pipeline}/publish`));

      endpoint.behave = (arrival) => ({ status: 400, body: echo(arrival) });
      await client.post({ event_name: 'refused' });
      expect(await settledAccount(api, destination)).toMatchObject({ dead: 1 });
      expect(endpoint.arrivals[0]?.headers.authorization).toBe(AUTHORIZATION);
      await ask('GET', path('dead-letters'));
      await ask('POST', path(`destinations/${destination}/check`));
      endpoint.behave = (arrival) => ({ status: 401, body: echo(arrival) });
      await client.post({ event_name: 'locked out' });
      await eventually(
        async () =>
          (JSON.parse(await ask('GET', path(`destinations/${destination}`))) as { status: Status }).status.state ===
          'paused',
      );
      await ask('POST', path(`destinations/${destination}/check`));
      await ask('GET', path('destinations'));
      await ask('PATCH', path(`destinations/${destination}`), {
        config: { ...config, authorization: 'not a header\n' },
      });
      await ask('PATCH', path(`destinations/${destination}`), { config: { ...config, secret: `${SECRET}!` } });
      await ask('PATCH', path(`destinations/${destination}`), { config: { ...config, url: 'nonsense' } });
      await ask('PATCH', path(`destinations/${destination}`), { name: 'still secretive' });
      await ask('GET', path(`pipelines/${pipeline}`));
      await ask('GET', path('pipelines'));
      await ask('GET', path('accounting'));
      await ask('GET', `${router.address}/metrics`);
      await ask('GET', `${router.address}/api/v1/plugins`);

      expect(answers.join('\n')).toContain('"secret":{"set":true}');
      expect(answers.join('\n')).toContain('"authorization":{"set":true}');
      // It did say something of what happened, so that there is something to look through.
      expect(router.output).toContain('HTTP_401');
      for (const hidden of [...HIDDEN, ADMIN.password]) {
        expect(answers.filter((answer) => answer.includes(hidden))).toEqual([]);
        expect(router.output.includes(hidden)).toBe(false);
      }
      await expect(call(path('destinations'), 'GET')).rejects.toThrow('401');
    } finally {
      await router.kill();
      await endpoint.down();
      await folder.remove();
    }
  }, 60_000);
});
