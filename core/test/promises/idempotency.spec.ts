import type { Router } from '../../src/router.ts';
import { Api, call } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { aFolder } from '../support/folder.ts';
import { ADMIN, API_KEY, aRouter } from '../support/router.ts';
import { accountsOf, settledAccounts } from './support/accounts.ts';
import { Endpoint } from './support/endpoint.ts';
import { Client, type Draft } from './support/posting.ts';

interface Point {
  readonly event_name: string;
  readonly count: number;
}

/** A client that got no answer asks again. What it posted is then still one event: one row, one delivery, one count. */
describe('an event that its client named', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: Router;
  let api: Api;
  let client: Client;
  let endpoint: Endpoint;

  beforeAll(async () => {
    folder = await aFolder();
    endpoint = await Endpoint.open();
    await begin();
    await api.connect('webhook', { url: endpoint.url });
  }, 60_000);
  afterAll(async () => {
    await router.stop(2_000);
    await endpoint.down();
    await folder.remove();
  });

  async function begin(): Promise<void> {
    router = await aRouter(folder.path);
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    client = new Client(router.address, API_KEY);
  }

  async function rowsOf(
    event_name: string,
    of: Api = api,
  ): Promise<readonly { readonly id: string; readonly metadata: unknown }[]> {
    const { items } = await of.get<{ items: { id: string; metadata: unknown }[] }>(
      `events?event_name=${encodeURIComponent(event_name)}&limit=1000`,
    );
    return items;
  }

  async function countOf(event_name: string, of: Api = api): Promise<number> {
    const { items } = await of.get<{ items: Point[] }>(`analytics?event_name=${encodeURIComponent(event_name)}`);
    return items.reduce((sum, { count }) => sum + count, 0);
  }

  /** Once everything has come to its end: each id has one row, one delivery and one count. */
  async function expectOnce(event_name: string, ids: readonly string[]): Promise<void> {
    await settledAccounts(api);
    expect((await rowsOf(event_name)).map(({ id }) => id).toSorted()).toEqual([...ids].toSorted());
    for (const id of ids) expect(endpoint.attemptsOf(id)).toBe(1);
    expect(await countOf(event_name)).toBe(ids.length);
  }

  test('posted many times at once, is one event with one id', async () => {
    const draft: Draft = { event_name: 'at once', user_id: 'u1', event_id: 'order-1' };
    const before = (await accountsOf(api)).accepted;
    const ids = await Promise.all(Array.from({ length: 20 }, () => client.post(draft)));
    expect(new Set(ids).size).toBe(1);
    expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5/);
    await expectOnce('at once', ids.slice(0, 1));
    expect((await accountsOf(api)).accepted).toBe(before + 1);
  }, 20_000);

  test('posted again later, with other contents, stays what it was', async () => {
    const first = await client.post({ event_name: 'later', event_id: 'order-2', metadata: { total: 1 } });
    await settledAccounts(api);
    expect(await client.post({ event_name: 'later', event_id: 'order-2', metadata: { total: 2 } })).toBe(first);
    await expectOnce('later', [first]);
    expect(await rowsOf('later')).toMatchObject([{ metadata: { total: 1 } }]);
  }, 20_000);

  test('posted again under another user, is still one row and one count', async () => {
    // The users' partitions differ, or may: nothing but the id makes the two one.
    const users = Array.from({ length: 16 }, (_, index) => `user-${index}`);
    const ids = await Promise.all(
      users.map((user_id) => client.post({ event_name: 'by many', user_id, event_id: 'order-3' })),
    );
    expect(new Set(ids).size).toBe(1);
    await expectOnce('by many', ids.slice(0, 1));
  }, 20_000);

  test('posted again after a restart, is known', async () => {
    const first = await client.post({ event_name: 'after a restart', event_id: 'order-4' });
    await settledAccounts(api);
    await router.stop(5_000);
    await begin();
    expect(await client.post({ event_name: 'after a restart', event_id: 'order-4' })).toBe(first);
    await expectOnce('after a restart', [first]);
  }, 40_000);

  test('twice in one batch, beside others, is one event', async () => {
    const batch = ['a', 'b', 'a', undefined, 'a', undefined].map((event_id) => ({
      event_name: 'in a batch',
      ...(event_id === undefined ? {} : { event_id }),
    }));
    const { accepted, rejected, results } = await client.batch(batch);
    expect({ accepted, rejected }).toEqual({ accepted: 6, rejected: 0 });
    const ids = results.map(({ id }) => id ?? '');
    expect(ids[2]).toBe(ids[0]);
    expect(ids[4]).toBe(ids[0]);
    expect(new Set(ids).size).toBe(4);
    expect(await client.postAll(batch.slice(0, 3))).toEqual(ids.slice(0, 3));
    await expectOnce('in a batch', [...new Set(ids)]);
  }, 20_000);

  test('a repeat of an event that was refused is not taken for accepted', async () => {
    const answer = await client.batch([
      { event_name: '', event_id: 'order-5' },
      { event_name: 'mended', event_id: 'order-5' },
    ]);
    expect(answer).toMatchObject({
      accepted: 1,
      rejected: 1,
      results: [{ index: 0, error: { code: 'EVENT_INVALID' } }, { index: 1 }],
    });
    await expectOnce('mended', [answer.results[1]?.id ?? '']);
  }, 20_000);

  test('in another project is another event, which the first project never sees', async () => {
    const mine = await client.post({ event_name: 'shared', event_id: 'order-6' });
    const { id: project } = await call<{ id: string }>(`${router.address}/api/v1/projects`, 'POST', api.token, {
      name: 'another',
    });
    const path = `${router.address}/api/v1/projects/${project}`;
    const { key } = await call<{ key: string }>(`${path}/api-keys`, 'POST', api.token, { name: 'theirs' });
    const { items } = await call<{ items: { id: string }[] }>(`${path}/sources`, 'GET', api.token);
    const destination = await call<{ id: string }>(`${path}/destinations`, 'POST', api.token, {
      name: 'archive',
      type: 'timescale',
    });
    const definition = {
      nodes: [
        { id: 'in', kind: 'source', source: items[0]?.id },
        { id: 'out', kind: 'destination', destination: destination.id },
      ],
      edges: [['in', 'out']],
    };
    const pipeline = await call<{ id: string }>(`${path}/pipelines`, 'POST', api.token, { name: 'theirs', definition });
    await call(`${path}/pipelines/${pipeline.id}/publish`, 'POST', api.token);

    const theirs = await new Client(router.address, key).post({ event_name: 'shared', event_id: 'order-6' });
    expect(theirs).not.toBe(mine);
    await expectOnce('shared', [mine]);
    const stored = await eventually(async () => {
      const page = await call<{ items: unknown[] }>(`${path}/events`, 'GET', api.token);
      return page.items.length > 0 && page.items;
    });
    expect(stored).toMatchObject([{ id: theirs, event_name: 'shared' }]);
    expect(endpoint.attemptsOf(theirs)).toBe(0);
  }, 30_000);
});
