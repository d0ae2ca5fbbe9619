import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../support/api.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY } from '../support/router.ts';
import { accountOf, settledAccounts, type Accounts } from './support/accounts.ts';
import { Endpoint } from './support/endpoint.ts';
import { report } from './support/latency.ts';
import { Load } from './support/load.ts';
import { seeded } from './support/random.ts';
import { RouterProcess } from './support/router-process.ts';

const KILLS = 10;
const WORKERS = 12;
const PAGE = 1000;
/** What a pump has under way at most (four chunks of 64), and over how many partitions a project is spread. */
const UNDER_WAY = 4 * 64 * 8;

/** Of thousands that are wrong, some say enough. */
const few = <Item>(items: readonly Item[]): readonly Item[] => items.slice(0, 3);

interface Stored {
  readonly id: string;
  readonly metadata: { readonly number: number };
}

/**
 * P1, P2 and P3 against the real process: kill -9 of the whole group, again and again, while applications post. The oracle is in this process and
 * survives.
 */
describe('kill -9 under load', () => {
  const seed = Date.now() % 1_000_000;
  const random = seeded(seed);
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let endpoint: Endpoint;
  let router: RouterProcess;
  let load: Load;
  let destination: string;
  let archive: readonly Stored[];
  let accounts: Accounts;
  const inFlightAtKill: number[] = [];
  const restartMs: number[] = [];
  const killedAt: number[] = [];

  beforeAll(async () => {
    folder = await aFolder();
    endpoint = await Endpoint.open();
    // So that every kill meets deliveries that are under way: what is cut off here was not received.
    endpoint.workMs = 30;
    router = await RouterProcess.start(folder.path);
    const code =
      'export default function transform(event) { return { ...event, metadata: { ...event.metadata, seen: true } }; }';
    const api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    ({ destination } = await api.connect('webhook', { url: endpoint.url }, [{ type: 'javascript', config: { code } }]));
    let address: string | null = router.address;
    load = new Load(API_KEY, random, () => address);
    load.start(WORKERS);
    for (let kill = 0; kill < KILLS; kill += 1) {
      const answeredBefore = load.acknowledged.length;
      await delay(300 + random() * 1_200);
      // The moment must be one of traffic, or the kill shows nothing.
      while (load.inFlight === 0 || load.acknowledged.length === answeredBefore) await delay(1);
      if (!router.alive) throw new Error(`The router ended by itself:\n${router.output}`);
      inFlightAtKill.push(load.inFlight);
      killedAt.push(performance.now());
      await router.kill();
      address = null;
      const downAt = performance.now();
      router = await RouterProcess.start(folder.path);
      restartMs.push(Math.round(performance.now() - downAt));
      ({ address } = router);
    }
    await delay(500);
    await load.stop();
    const back = await Api.login(router.address, ADMIN.email, ADMIN.password);
    accounts = await settledAccounts(back, 60_000);
    archive = await pages(back);
  }, 180_000);

  afterAll(async () => {
    await load.stop();
    await router.kill();
    await endpoint.down();
    await folder.remove();
  });

  async function pages(api: Api): Promise<readonly Stored[]> {
    const stored: Stored[] = [];
    let cursor: string | null = null;
    do {
      const next: string = cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const page: { items: Stored[]; next_cursor: string | null } = await api.get(`events?limit=${PAGE}${next}`);
      stored.push(...page.items);
      cursor = page.next_cursor;
    } while (cursor !== null);
    return stored;
  }

  test('the run met what it is about: requests were cut off by every kill, and events flowed', () => {
    const { posted, acknowledged, requests, repeats, unanswered } = load;
    report(
      `seed ${seed}: ${posted.length} events in ${requests} requests, ${acknowledged.length} acknowledged, ${unanswered} requests cut off, ${repeats} repeats of an event_id`,
    );
    report(`in flight at each kill: ${inFlightAtKill.join(', ')}; back after ${restartMs.join(', ')} ms`);
    expect(inFlightAtKill).toHaveLength(KILLS);
    expect(Math.min(...inFlightAtKill)).toBeGreaterThan(0);
    expect(unanswered).toBeGreaterThanOrEqual(KILLS);
    expect(acknowledged.length).toBeGreaterThan(1_000);
    expect(repeats).toBeGreaterThan(50);
  });

  test('a request that was not answered 202 was asked to come again, and a repeat got the same id', () => {
    const refusals = [...load.refusals];
    if (refusals.length > 0)
      report(`refused for the moment: ${refusals.map(([answer, count]) => `${count} × ${answer}`).join('; ')}`);
    expect(few(refusals.filter(([answer]) => !answer.startsWith('503 ')))).toEqual([]);
    expect(few(load.contradictions)).toEqual([]);
  });

  test('every event that was answered 202 is in the archive exactly once', () => {
    const ids = archive.map(({ id }) => id);
    const stored = new Set(ids);
    expect(ids).toHaveLength(stored.size);
    expect(few(load.acknowledged.filter(({ id }) => !stored.has(id ?? '')))).toEqual([]);
  });

  test('no event is in the archive twice under two ids, and none that was not posted', () => {
    const numbers = archive.map(({ metadata }) => metadata.number);
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(few(numbers.filter((number) => load.posted[number] === undefined))).toEqual([]);
    // What was answered under an id is stored under it.
    const idOf = new Map(archive.map(({ id, metadata }) => [metadata.number, id]));
    expect(few(load.acknowledged.filter(({ number, id }) => idOf.get(number) !== id))).toEqual([]);
  });

  test('analytics counted each stored event once', async () => {
    const api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    const { items } = await api.get<{ items: { count: number }[] }>('analytics');
    expect(items.reduce((sum, { count }) => sum + count, 0)).toBe(archive.length);
  });

  test('every event that was answered 202 reached the webhook, and nothing else did', () => {
    expect(few(load.acknowledged.filter(({ id }) => !endpoint.byId.has(id ?? '')))).toEqual([]);
    const stored = new Map(archive.map(({ id, metadata }) => [id, metadata.number]));
    expect(few([...endpoint.ids].filter((id) => !stored.has(id)))).toEqual([]);
    for (const { id, body, headers } of endpoint.arrivals) {
      expect(headers['webhook-id']).toBe(id);
      expect((JSON.parse(body) as { metadata: unknown }).metadata).toEqual({ number: stored.get(id), seen: true });
    }
  });

  test('only what was under way at a kill came twice', () => {
    const again = endpoint.arrivals.length - endpoint.byId.size;
    report(
      `${endpoint.byId.size} events at the webhook, ${again} of ${endpoint.arrivals.length} requests were repeats (at most ${KILLS * UNDER_WAY} were possible)`,
    );
    expect(again).toBeLessThanOrEqual(KILLS * UNDER_WAY);
    // Between two arrivals of one event there was a kill.
    const needless = [...endpoint.byId.values()].filter((arrivals) =>
      arrivals.some((arrival, index) => {
        const before = arrivals[index - 1];
        return before !== undefined && !killedAt.some((at) => before.at <= at + 1_000 && arrival.at >= at);
      }),
    );
    expect(few(needless)).toEqual([]);
  });

  test('the accounts of every subscription add up to what was stored', async () => {
    expect(accounts.subscriptions).toHaveLength(3);
    expect(accounts.accepted).toBe(archive.length);
    expect(accounts.accepted).toBeGreaterThanOrEqual(load.acknowledged.length);
    for (const account of accounts.subscriptions) {
      expect(account).toMatchObject({
        accepted: archive.length,
        delivered: archive.length,
        filtered: 0,
        dead: 0,
        parked: 0,
      });
    }
    const api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    expect(await accountOf(api, destination)).toMatchObject({ delivered: archive.length });
  });
});
