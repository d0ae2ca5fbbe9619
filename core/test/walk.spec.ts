import { Webhook } from 'standardwebhooks';
import type { Router } from '../src/router.ts';
import { Api, call } from './support/api.ts';
import { eventually } from './support/eventually.ts';
import { aFolder } from './support/folder.ts';
import { Receiver } from './support/receiver.ts';
import { ADMIN, API_KEY, aRouter } from './support/router.ts';

/**
 * Read this first. One event goes the whole way through a real router, and every room that it passes is named:
 *
 *     client ─HTTP→ source plugin ─drafts→ Ingress.accept ─append→ EventLog ──202──→ client
 *                                                                   │
 *                    one subscription (cursor) per destination      ▼
 *                                                      Pump: read a chunk
 *                                                                   ▼
 *                                       runPlan: filter → transform → …
 *                                                                   ▼
 *                              Lane → Destination.deliver → outcomes by event id
 *                                                                   ▼
 *                       OutcomeRecorder: cursor │ retry │ dead letter, in one transaction
 */
describe('one event, the whole way', () => {
  const SECRET = `whsec_${Buffer.from('a secret of thirty-two bytes ...').toString('base64')}`;
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let router: Router;
  let receiver: Receiver;
  let api: Api;
  let id: string;

  beforeAll(async () => {
    folder = await aFolder();
    receiver = await Receiver.open();
    router = await aRouter(folder.path);
    api = await Api.login(router.address, ADMIN.email, ADMIN.password);
  }, 60_000);
  afterAll(async () => {
    await router.stop(5_000);
    await receiver.close();
    await folder.remove();
  });

  test('a pipeline is built over HTTP: source → filter → map → webhook', async () => {
    const { destination } = await api.connect('webhook', { url: receiver.url, secret: SECRET }, [
      { type: 'filter', config: { rule: { '==': [{ var: 'metadata.plan' }, 'pro'] } } },
      {
        type: 'javascript',
        config: {
          code: 'export default function transform(event) { return { ...event, metadata: { ...event.metadata, greeting: `hello ${event.user_id}` } }; }',
        },
      },
    ]);
    // A secret is written once and never comes back.
    expect(await api.get(`destinations/${destination}`)).toMatchObject({
      config: { url: receiver.url, secret: { set: true } },
      status: { state: expect.stringMatching(/active|opening/) },
    });
  });

  test('the client posts it, and its 202 means that it is on stable storage', async () => {
    const posted = {
      event_name: 'user_signed_up',
      user_id: 'uuid',
      timestamp: '2024-01-30T10:00:00Z',
      metadata: { plan: 'pro', source: 'landing_page' },
    };
    ({ id } = await call<{ id: string }>(`${router.address}/api/v1/events`, 'POST', API_KEY, posted));
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7/);
    await call(`${router.address}/api/v1/events`, 'POST', API_KEY, {
      event_name: 'user_signed_up',
      metadata: { plan: 'free' },
    });
  });

  test('the webhook gets it transformed, signed, under its id', async () => {
    const [request] = await receiver.reach(1);
    const { headers, body } = request ?? { headers: {}, body: '' };
    const verified = new Webhook(SECRET).verify(body, headers as Record<string, string>);
    expect(verified).toMatchObject({
      id,
      event_name: 'user_signed_up',
      user_id: 'uuid',
      metadata: { plan: 'pro', source: 'landing_page', greeting: 'hello uuid' },
    });
    expect(headers['webhook-id']).toBe(id);
  });

  test('the archive has it as it was posted', async () => {
    const event = await eventually(async () => {
      const { items } = await api.get<{ items: { id: string }[] }>('events?event_name=user_signed_up');
      return items.find((item) => item.id === id);
    });
    expect(event).toMatchObject({
      event_name: 'user_signed_up',
      user_id: 'uuid',
      metadata: { plan: 'pro', source: 'landing_page' },
      context: { ip_address: '127.0.0.1' },
    });
    expect(new Date((event as unknown as { timestamp: string }).timestamp)).toEqual(new Date('2024-01-30T10:00:00Z'));
  });

  test('analytics has counted it in the minute in which it happened', async () => {
    const point = await eventually(async () => {
      const { items } = await api.get<{ items: { event_name: string; time_bucket: string; count: number }[] }>(
        'analytics?event_name=user_signed_up',
      );
      return items.find(({ time_bucket }) => new Date(time_bucket).getTime() === Date.parse('2024-01-30T10:00:00Z'));
    });
    expect(point.count).toBe(1);
  });

  test('the accounts of every subscription add up', async () => {
    const account = await eventually(async () => {
      const found = await api.get<{ accepted: number; subscriptions: Record<string, number>[] }>('accounting');
      return found.subscriptions.every(({ waiting }) => waiting === 0) && found;
    });
    expect(account.accepted).toBe(2);
    expect(account.subscriptions).toHaveLength(3);
    for (const { accepted, delivered, waiting, filtered, dead, parked } of account.subscriptions) {
      expect(accepted).toBe(2);
      expect((delivered ?? 0) + (waiting ?? 0) + (filtered ?? 0) + (dead ?? 0) + (parked ?? 0)).toBe(accepted);
    }
    expect(account.subscriptions.map(({ filtered }) => filtered ?? 0).toSorted((a, b) => a - b)).toEqual([0, 0, 1]);
  });
});
