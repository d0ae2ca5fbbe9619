import { setTimeout as delay } from 'node:timers/promises';
import { Api } from '../support/api.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY } from '../support/router.ts';
import { settledAccount } from './support/accounts.ts';
import { Endpoint } from './support/endpoint.ts';
import { bearable, comparable, inWords, measureLatency, report, type Latency } from './support/latency.ts';
import { Client } from './support/posting.ts';
import { RouterProcess } from './support/router-process.ts';

const MEBIBYTE = 1024 * 1024;
/** What the router itself may grow by while user code runs amok. Its sandboxes have limits of their own. */
const GROWTH = 128 * MEBIBYTE;

/** What the code does with an event whose metadata say `bad`, and what the dead letter may say of it. */
const HOSTILE = [
  { name: 'loops', does: 'while (true) {}', codes: ['TRANSFORM_TIMEOUT'] },
  {
    name: 'hoards',
    does: 'const kept = []; for (;;) kept.push(new Array(10_000).fill(kept));',
    codes: ['TRANSFORM_MEMORY', 'TRANSFORM_TIMEOUT', 'TRANSFORM_CRASHED'],
  },
  {
    name: 'inflates',
    does: "return { ...event, metadata: { pad: 'x'.repeat(100_000_000) } };",
    codes: [
      'TRANSFORM_OUTPUT_TOO_LARGE',
      'TRANSFORM_MEMORY',
      'TRANSFORM_TIMEOUT',
      'TRANSFORM_CRASHED',
      'TRANSFORM_THREW',
    ],
  },
  {
    name: 'never-settles',
    does: 'return new Promise(() => {});',
    codes: ['TRANSFORM_NEVER_SETTLED', 'TRANSFORM_TIMEOUT'],
  },
  { name: 'throws', does: "throw new Error('on purpose');", codes: ['TRANSFORM_THREW'] },
] as const;

interface Letter {
  readonly event: { readonly id: string };
  readonly stage: string;
  readonly error: { readonly code: string; readonly message: string };
}

describe('transforms that run amok', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: RouterProcess;
  let api: Api;
  let client: Client;
  let watched: Endpoint;
  let others: Endpoint;
  const destinations = new Map<string, string>();

  async function connect(name: string, endpoint: Endpoint, does: string): Promise<string> {
    const code = `export default function transform(event) { if (event.metadata.bad) { ${does} } return { ...event, metadata: { ...event.metadata, seen: true } }; }`;
    const { destination } = await api.connect('webhook', { url: endpoint.url }, [
      { type: 'filter', config: { rule: { '==': [{ var: 'event_name' }, name] } } },
      { type: 'javascript', config: { code } },
    ]);
    return destination;
  }

  beforeAll(async () => {
    folder = await aFolder();
    [watched, others] = await Promise.all([Endpoint.open(), Endpoint.open()]);
    router = await RouterProcess.start(folder.path);
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    client = new Client(router.address, API_KEY);
    await connect('watched', watched, '');
    for (const { name, does } of HOSTILE) destinations.set(name, await connect(name, others, does));
  }, 60_000);
  afterAll(async () => {
    await router.kill();
    await Promise.all([watched.down(), others.down()]);
    await folder.remove();
  });

  const destinationOf = (name: string): string => destinations.get(name) ?? '';
  const measure = (count: number): Promise<Latency> =>
    measureLatency(client, watched, { event_name: 'watched' }, count);

  async function lettersOf(name: string): Promise<readonly Letter[]> {
    const { items } = await api.get<{ items: Letter[] }>(`dead-letters?destination=${destinationOf(name)}&limit=1000`);
    return items;
  }

  test.each(HOSTILE)(
    'code that $name: its bad events are dead letters that say why, their neighbours are delivered',
    async ({ name, codes }) => {
      const flags = [false, true, false, true, true, false];
      const ids = await client.postAll(flags.map((bad) => ({ event_name: name, user_id: 'one', metadata: { bad } })));
      const account = await settledAccount(api, destinationOf(name), 30_000);
      const letters = await lettersOf(name);
      expect(letters.map(({ event }) => event.id).toSorted()).toEqual(
        ids.filter((_, index) => flags[index]).toSorted(),
      );
      for (const { stage, error } of letters) {
        expect(stage).toBe('transform');
        expect(codes).toContain(error.code);
        expect(error.message.length).toBeGreaterThan(20);
      }
      expect(ids.filter((id) => others.byId.has(id))).toEqual(ids.filter((_, index) => !flags[index]));
      expect(account).toMatchObject({ delivered: 3, dead: 3, parked: 0 });
      report(`${name}: ${[...new Set(letters.map(({ error }) => error.code))].join(', ')}`);
    },
    40_000,
  );

  test('the latency of another pipeline does not notice a flood of them, and the router does not grow', async () => {
    await measure(20);
    const before = await router.rss();
    let peak = before;
    let posted = 0;
    const flood = async (signal: AbortSignal): Promise<void> => {
      while (!signal.aborted) {
        await client.postAll(HOSTILE.map(({ name }) => ({ event_name: name, metadata: { bad: true } })));
        posted += 1;
        peak = Math.max(peak, await router.rss());
        await delay(40);
      }
    };
    const { alone, beside } = await comparable({
      alone: () => measure(100),
      beside: async () => {
        const over = new AbortController();
        const flooding = flood(over.signal);
        try {
          return await measure(100);
        } finally {
          over.abort();
          await flooding;
        }
      },
      within: (one, other) => other.p99 < bearable(one),
    });
    report(`alone: ${inWords(alone)}`);
    report(`beside ${posted * HOSTILE.length} hostile events: ${inWords(beside)}`);
    report(
      `the router's memory: ${Math.round(before / MEBIBYTE)} MB before, ${Math.round(peak / MEBIBYTE)} MB at most`,
    );
    expect(posted).toBeGreaterThan(10);
    expect(beside.p99).toBeLessThan(bearable(alone));
    expect(peak - before).toBeLessThan(GROWTH);
    for (const { name } of HOSTILE) {
      expect(await settledAccount(api, destinationOf(name), 60_000)).toMatchObject({
        delivered: 3,
        dead: 3 + posted,
        parked: 0,
      });
      for (const { error } of await lettersOf(name)) expect(error.code).toMatch(/^TRANSFORM_/);
    }
    expect(router.alive).toBe(true);
  }, 120_000);
});
