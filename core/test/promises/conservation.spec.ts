import { setTimeout as delay } from 'node:timers/promises';
import { startRouter, type Router } from '../../src/router.ts';
import { readSettings } from '../../src/settings.ts';
import { Api } from '../support/api.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY, PLUGINS } from '../support/router.ts';
import { accountOf, expectToAddUp, settledAccount } from './support/accounts.ts';
import { Endpoint, type Arrival } from './support/endpoint.ts';
import { report } from './support/latency.ts';
import { anOrderedPlugin } from './support/ordered-plugin.ts';
import { Client } from './support/posting.ts';

/** Twenty retries: one that waits for something waits for as long as a test may take. */
const SCHEDULE = Array.from({ length: 20 }, () => 150);

interface Delivered {
  readonly id: string;
  readonly user_id: string;
  readonly metadata: { readonly number: number; readonly version: number; readonly part: number };
}

const eventOf = ({ body }: Arrival): Delivered => JSON.parse(body) as Delivered;

describe('every event is accounted for', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: Router;
  let api: Api;
  let client: Client;
  const endpoints: Endpoint[] = [];

  beforeAll(async () => {
    folder = await aFolder();
    const settings = readSettings({
      PORT: '0',
      DATA_DIR: `${folder.path}/data`,
      EGRESS_ALLOW: '127.0.0.0/8',
      LOG_LEVEL: 'error',
      ADMIN_PASSWORD: ADMIN.password,
      BOOTSTRAP_API_KEY: API_KEY,
      PLUGINS: await anOrderedPlugin(folder.path),
    });
    router = await startRouter({
      settings,
      pluginsDirectory: PLUGINS,
      schedule: SCHEDULE,
      onMade: () => undefined,
      onFatal: (error) => {
        throw error;
      },
    });
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    client = new Client(router.address, API_KEY);
  }, 60_000);
  afterAll(async () => {
    await router.stop(2_000);
    await Promise.all(endpoints.map((endpoint) => endpoint.down()));
    await folder.remove();
  });

  async function anEndpoint(): Promise<Endpoint> {
    const endpoint = await Endpoint.open();
    endpoints.push(endpoint);
    return endpoint;
  }

  const only = (event_name: string) => ({
    type: 'filter',
    config: { rule: { '==': [{ var: 'event_name' }, event_name] } },
  });
  const javascript = (body: string) => ({
    type: 'javascript',
    config: { code: `export default function transform(event) { ${body} }` },
  });

  test('what a filter ends is counted as filtered, and the rest is delivered', async () => {
    const endpoint = await anEndpoint();
    const { destination } = await api.connect('webhook', { url: endpoint.url }, [
      only('sifted'),
      { type: 'filter', config: { rule: { '<': [{ var: 'metadata.number' }, 30] } } },
    ]);
    const ids = await client.postAll(
      Array.from({ length: 100 }, (_, number) => ({
        event_name: number % 2 === 0 ? 'sifted' : 'another',
        metadata: { number },
      })),
    );
    expect(await settledAccount(api, destination)).toMatchObject({
      accepted: 100,
      delivered: 15,
      filtered: 85,
      dead: 0,
      parked: 0,
    });
    expect(endpoint.ids).toEqual(new Set(ids.filter((_, number) => number % 2 === 0 && number < 30)));
    // The archive stands beside it and has them all.
    const archive = await settledAccount(api, await api.destination('timescale'));
    expect(archive.filtered).toBe(0);
    expect(archive.delivered).toBe(archive.accepted);
  }, 30_000);

  test('one event that becomes three, of which one is refused, is dead once, and delivered once it is replayed', async () => {
    const endpoint = await anEndpoint();
    endpoint.behave = (arrival) =>
      eventOf(arrival).metadata.part === 1 && eventOf(arrival).metadata.number === 0 ? 400 : 200;
    const { destination } = await api.connect('webhook', { url: endpoint.url }, [
      only('split'),
      javascript('return [0, 1, 2].map((part) => ({ ...event, metadata: { ...event.metadata, part } }));'),
    ]);
    const before = (await accountOf(api, destination)).accepted;
    const ids = await client.postAll([0, 1].map((number) => ({ event_name: 'split', metadata: { number } })));
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: before + 2, delivered: 1, dead: 1 });
    expect(endpoint.arrivals).toHaveLength(6);
    // Each output has an id of its own, the same at every attempt, and none is the event's.
    expect(endpoint.byId.size).toBe(6);
    for (const id of ids) expect(endpoint.byId.has(id)).toBe(false);
    const { items } = await api.get<{ items: { id: string; event: { id: string }; error: { code: string } }[] }>(
      `dead-letters?destination=${destination}`,
    );
    expect(items).toMatchObject([{ event: { id: ids[0] }, error: { code: 'HTTP_400' } }]);

    endpoint.behave = () => 200;
    await api.send('POST', 'dead-letters/replay', { destination });
    expect(await settledAccount(api, destination)).toMatchObject({ accepted: before + 2, delivered: 2, dead: 0 });
    const refused = endpoint.arrivals.filter(
      (arrival) => eventOf(arrival).metadata.part === 1 && eventOf(arrival).metadata.number === 0,
    );
    expect(refused).toHaveLength(2);
    expect(refused[1]?.id).toBe(refused[0]?.id);
    expect(endpoint.arrivals).toHaveLength(7);
  }, 30_000);

  test('order per key holds through failures, and nothing is lost', async () => {
    const endpoint = await anEndpoint();
    endpoint.behave = (arrival, attempt) => (eventOf(arrival).metadata.number % 7 === 0 && attempt === 1 ? 503 : 200);
    const { destination } = await api.connect('ordered', { url: endpoint.url }, [only('in order')]);
    const drafts = Array.from({ length: 300 }, (_, number) => ({
      event_name: 'in order',
      user_id: `key-${number % 6}`,
      metadata: { number },
    }));
    const startedAt = performance.now();
    const ids: string[] = [];
    for (let from = 0; from < drafts.length; from += 50)
      ids.push(...(await client.postAll(drafts.slice(from, from + 50))));
    const account = await settledAccount(api, destination, 60_000);
    expect(account).toMatchObject({ delivered: 300, dead: 0, parked: 0 });
    const failures = ids.filter((id) => endpoint.attemptsOf(id) > 1).length;
    report(
      `300 events of 6 keys in order, ${failures} of them at the second attempt, in ${Math.round(performance.now() - startedAt)} ms`,
    );
    expect(failures).toBe(Math.ceil(300 / 7));
    for (let key = 0; key < 6; key += 1) {
      const seen = endpoint.arrivals.map(eventOf).filter(({ user_id }) => user_id === `key-${key}`);
      // A refused event comes again before anything later of its key: a repeat may follow itself, and nothing else ever steps back.
      const numbers = seen.map(({ metadata }) => metadata.number);
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
      expect(new Set(numbers)).toEqual(
        new Set(drafts.map(({ metadata }) => metadata.number).filter((number) => number % 6 === key)),
      );
    }
  }, 90_000);

  test('a key that waits holds back no other', async () => {
    const endpoint = await anEndpoint();
    let stuck = true;
    endpoint.behave = (arrival) => (stuck && eventOf(arrival).metadata.number === 0 ? 503 : 200);
    const { destination } = await api.connect('ordered', { url: endpoint.url }, [only('side by side')]);
    const drafts = Array.from({ length: 60 }, (_, number) => ({
      event_name: 'side by side',
      user_id: `side-${number % 4}`,
      metadata: { number },
    }));
    const ids = await client.postAll(drafts);
    const waiting = ids.filter((_, number) => number % 4 === 0);
    await endpoint.got(ids.filter((id) => !waiting.includes(id)));
    expect(waiting.filter((id) => endpoint.byId.has(id))).toEqual(waiting.slice(0, 1));
    const meanwhile = await accountOf(api, destination);
    expectToAddUp(meanwhile);
    expect(meanwhile.waiting).toBeGreaterThanOrEqual(waiting.length);
    stuck = false;
    await endpoint.got(waiting);
    expect(await settledAccount(api, destination, 30_000)).toMatchObject({ delivered: 60, dead: 0 });
    const order = endpoint.arrivals.map(eventOf).filter(({ user_id }) => user_id === 'side-0');
    expect(order.map(({ metadata }) => metadata.number)).toEqual(
      order.map(({ metadata }) => metadata.number).toSorted((a, b) => a - b),
    );
  }, 60_000);

  test('a dead letter that is replayed has lost its place in the order, and costs no other event its own', async () => {
    const endpoint = await anEndpoint();
    const answers = [400, 503, 503, 200];
    endpoint.behave = (arrival) => answers[eventOf(arrival).metadata.number] ?? 200;
    const { destination } = await api.connect('ordered', { url: endpoint.url }, [only('replayed')]);
    const post = (number: number): Promise<string> =>
      client.post({ event_name: 'replayed', user_id: 'one', metadata: { number } });
    const dead = await post(0);
    await settledAccount(api, destination);
    const first = await post(1);
    await endpoint.got([first]);
    const second = await post(2);
    answers[0] = 200;
    expect(await api.send('POST', 'dead-letters/replay', { destination })).toEqual({ matched: 1, replayed: 1 });
    await endpoint.until(() => endpoint.attemptsOf(dead) === 2);
    answers[1] = 200;
    await endpoint.got([second]);
    const third = await post(3);
    // The archive has it, and the one before it was tried again: had it slipped past, it would have arrived.
    await settledAccount(api, await api.destination('timescale'));
    const tries = endpoint.attemptsOf(second);
    await endpoint.until(() => endpoint.attemptsOf(second) >= tries + 2);
    expect(endpoint.attemptsOf(third)).toBe(0);
    answers[2] = 200;
    await endpoint.got([third]);
    expect(await settledAccount(api, destination)).toMatchObject({ dead: 0, delivered: 4 });
  }, 60_000);

  test('versions that are published under load: each event is carried by exactly one, and by the new one once it is published', async () => {
    const endpoint = await anEndpoint();
    const stamping = (version: number) =>
      javascript(`return { ...event, metadata: { ...event.metadata, version: ${version} } };`);
    const { destination, pipeline } = await api.connect('webhook', { url: endpoint.url }, [
      only('versioned'),
      stamping(1),
    ]);
    const before = (await accountOf(api, destination)).accepted;
    const { draft } = await api.get<{ draft: { nodes: { id: string }[]; edges: unknown } }>(`pipelines/${pipeline}`);
    const leastVersion = new Map<string, number>();
    const published = { version: 1 };
    const over = new AbortController();
    let number = 0;
    const loading = Promise.all(
      Array.from({ length: 4 }, async () => {
        while (!over.signal.aborted) {
          const { version } = published;
          const ids = await client.postAll(
            Array.from({ length: 5 }, () => ({
              event_name: 'versioned',
              user_id: `user-${number % 11}`,
              metadata: { number: number++ },
            })),
          );
          for (const id of ids) leastVersion.set(id, version);
          await delay(5);
        }
      }),
    );
    try {
      for (const version of [2, 3, 4, 5]) {
        await delay(250);
        const nodes = draft.nodes.map((node) => (node.id === 'step-1' ? { ...node, ...stamping(version) } : node));
        await api.send('PUT', `pipelines/${pipeline}/draft`, { definition: { ...draft, nodes } });
        expect(await api.send('POST', `pipelines/${pipeline}/publish`)).toEqual({ version });
        published.version = version;
      }
      await delay(250);
    } finally {
      over.abort();
      await loading;
    }
    const account = await settledAccount(api, destination, 30_000);
    expect(account).toMatchObject({
      accepted: before + leastVersion.size,
      delivered: leastVersion.size,
      dead: 0,
      parked: 0,
      filtered: before,
    });
    expect(endpoint.ids).toEqual(new Set(leastVersion.keys()));
    expect(endpoint.arrivals).toHaveLength(leastVersion.size);
    const by = new Map<number, number>();
    const tooOld: string[] = [];
    for (const arrival of endpoint.arrivals) {
      const { version } = eventOf(arrival).metadata;
      by.set(version, (by.get(version) ?? 0) + 1);
      if (version < (leastVersion.get(arrival.id) ?? 0)) tooOld.push(arrival.id);
    }
    report(
      `${leastVersion.size} events: ${[...by]
        .toSorted(([a], [b]) => a - b)
        .map(([version, count]) => `${count} by version ${version}`)
        .join(', ')}`,
    );
    expect(tooOld).toEqual([]);
    expect([...by.keys()].toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5]);
  }, 60_000);
});
