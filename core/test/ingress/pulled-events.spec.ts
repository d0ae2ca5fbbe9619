import { Api } from '../support/api.ts';
import { eventually } from '../support/eventually.ts';
import { aFolder } from '../support/folder.ts';
import { Receiver } from '../support/receiver.ts';
import { ADMIN, aRouter } from '../support/router.ts';
import type { Router } from '../../src/router.ts';
import { aPollPlugin, Upstream } from './upstream.ts';

interface Shown {
  readonly id: string;
  readonly enabled: boolean;
  readonly status?: { readonly state: string };
}

/** A whole router, with a pull source that it found through PLUGINS. The tests are the steps of one story. */
describe('events that a source pulls', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let receiver: Receiver;
  let upstream: Upstream;
  let router: Router;
  let api: Api;
  let source: string;

  const start = async (): Promise<void> => {
    router = await aRouter(`${folder.path}/data`, { PLUGINS: `${folder.path}/poll-plugin` });
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
  };
  const arrived = (): readonly { readonly number: number; readonly tag: string }[] =>
    receiver.requests
      .map(({ body }) => (JSON.parse(body) as { metadata: { number: number; tag: string } }).metadata)
      .toSorted((a, b) => a.number - b.number);
  const numbers = (): readonly number[] => arrived().map(({ number }) => number);
  const change = (body: object): Promise<Shown> => api.send('PATCH', `sources/${source}`, body);

  beforeAll(async () => {
    folder = await aFolder();
    await aPollPlugin(folder.path);
    receiver = await Receiver.open();
    upstream = await Upstream.open();
    await start();
  }, 60_000);
  afterAll(async () => {
    await router.stop(5_000);
    await upstream.close();
    await receiver.close();
    await folder.remove();
  });

  test('are nobody’s while the source is disabled', async () => {
    const config = { url: upstream.url, tag: 'one' };
    const made = await api.send<Shown>('POST', 'sources', { name: 'polled', type: 'poll', config, enabled: false });
    expect(made.status).toBeUndefined();
    source = made.id;
    const { id: destination } = await api.send<Shown>('POST', 'destinations', {
      name: 'hook',
      type: 'webhook',
      config: { url: receiver.url },
    });
    const nodes = [
      { id: 'in', kind: 'source', source },
      { id: 'out', kind: 'destination', destination },
    ];
    const { id } = await api.send<Shown>('POST', 'pipelines', {
      name: 'polled',
      definition: { nodes, edges: [['in', 'out']] },
    });
    await api.send('POST', `pipelines/${id}/publish`);
    expect(upstream.waiting).toBe(0);
  });

  test('are delivered once it is enabled, and acknowledged upstream', async () => {
    upstream.add(5);
    await change({ enabled: true });
    await receiver.reach(5);
    expect(numbers()).toEqual([1, 2, 3, 4, 5]);
    await eventually(async () => upstream.acknowledged === 5 && upstream.waiting === 1);
    expect((await api.get<Shown>(`sources/${source}`)).status).toEqual({ state: 'running' });
    // The one that the project came with is called, and does not run.
    expect((await api.get<Shown>(`sources/${await api.source()}`)).status).toBeUndefined();
    const metrics = await (await fetch(`${router.address}/metrics`)).text();
    expect(metrics).toContain('switchyard_ingested_events_total{source_type="poll",result="accepted"} 5');
  });

  test('wait upstream while the router is down, and come when it is back', async () => {
    const before = performance.now();
    await router.stop(5_000);
    // It was told to end, and did: nobody waited for the minute that its request might have taken.
    expect(performance.now() - before).toBeLessThan(5_000);
    upstream.add(3);
    await start();
    await receiver.reach(8);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  }, 30_000);

  test('come with the configuration that the source has', async () => {
    await eventually(async () => upstream.waiting === 1);
    await change({ config: { url: upstream.url, tag: 'two' } });
    upstream.add(1);
    await receiver.reach(9);
    expect(arrived().at(-1)).toEqual({ number: 9, tag: 'two' });
  });

  test('stay upstream once it is disabled', async () => {
    await eventually(async () => upstream.acknowledged === 9 && upstream.waiting === 1);
    expect((await change({ enabled: false })).status).toBeUndefined();
    await eventually(async () => upstream.waiting === 0);
    upstream.add(1);
    await change({ enabled: true });
    await receiver.reach(10);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  });
});
