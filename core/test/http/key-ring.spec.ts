import { randomUUIDv7 } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyRing, type KeyStore } from '../../src/http/key-ring.ts';
import { formatApiKey, hashSecret, newApiKey } from '../../src/store/api-key-format.ts';
import type { KeyGrant } from '../../src/store/api-keys.ts';

const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

/** The stored keys, with a clock that stands still and a database that fails when told to. */
class Stored implements KeyStore {
  readonly keys = new Map<string, KeyGrant>();
  readonly queries: (readonly string[])[] = [];
  readonly touched: string[] = [];
  failing: 'no' | 'refused' | 'hanging' = 'no';
  ms = 1_000_000;

  readonly ring = new KeyRing(this, silent, { patienceMs: 30, capacity: 100 }, () => this.ms);

  add(): { readonly id: string; readonly text: string } {
    const key = newApiKey();
    const source = { id: randomUUIDv7(), name: 'web', type: 'http', config: {}, enabled: true, revision: 1 };
    this.keys.set(key.id, {
      id: key.id,
      secretHash: hashSecret(key.secret),
      project: randomUUIDv7(),
      partitions: 4,
      source,
    });
    return { id: key.id, text: formatApiKey(key) };
  }

  async grants(ids: readonly string[]): Promise<readonly KeyGrant[]> {
    this.queries.push(ids);
    if (this.failing === 'refused') throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    if (this.failing === 'hanging') await new Promise(() => undefined);
    return ids.flatMap((id) => this.keys.get(id) ?? []);
  }

  async touch(ids: readonly string[]): Promise<void> {
    this.touched.push(...ids);
  }
}

it('asks the database once for a key, and then answers without waiting', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  const all = await Promise.all(Array.from({ length: 50 }, async () => stored.ring.find(text)));
  expect(all.every((grant) => grant?.id === id)).toBe(true);
  expect(stored.queries).toEqual([[id]]);
  expect(stored.ring.find(text)).toMatchObject({ id });
});

it('takes neither another secret nor another id', async () => {
  const stored = new Stored();
  const [one, two] = [stored.add(), stored.add()];
  await stored.ring.find(one.text);
  expect(await stored.ring.find(`sy_${one.id}_${two.text.split('_')[2]}`)).toBeNull();
  expect(await stored.ring.find(`${one.text}x`)).toBeNull();
  expect(stored.ring.find('nonsense')).toBeNull();
});

it('refuses a key that was revoked somewhere else within a second', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  await stored.ring.find(text);
  stored.keys.delete(id);
  expect(stored.ring.find(text)).not.toBeNull();
  stored.ms += 1_000;
  expect(await stored.ring.find(text)).toBeNull();
});

it('refreshes a key in use beside the requests, which do not wait for it', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  await stored.ring.find(text);
  stored.keys.delete(id);
  stored.ms += 500;
  for (let i = 0; i < 20; i += 1) expect(stored.ring.find(text)).toMatchObject({ id });
  await sleep(1);
  expect(stored.ring.find(text)).toBeNull();
  expect(stored.queries).toHaveLength(2);
});

it('forgets at once when told to, also what is being read at that moment', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  const reading = stored.ring.find(text);
  stored.keys.delete(id);
  stored.ring.forget();
  expect(await reading).toBeNull();
  const again = stored.add();
  expect(await stored.ring.find(again.text)).toMatchObject({ id: again.id });
});

it('remembers who is nobody, but no flood of them drives out a key that exists', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  await stored.ring.find(text);
  const stranger = formatApiKey(newApiKey());
  for (let i = 0; i < 3; i += 1) expect(await stored.ring.find(stranger)).toBeNull();
  expect(stored.queries).toHaveLength(2);
  await Promise.all(Array.from({ length: 2000 }, async () => stored.ring.find(formatApiKey(newApiKey()))));
  // One query at a time, each for many.
  expect(stored.queries.length).toBeLessThan(12);
  expect(stored.ring.find(text)).toMatchObject({ id });
});

it.each(['refused', 'hanging'] as const)(
  'goes on with known keys while the database is %s, and asks strangers to come back',
  async (failing) => {
    const stored = new Stored();
    const { id, text } = stored.add();
    await stored.ring.find(text);
    stored.failing = failing;
    for (let seconds = 0; seconds < 5; seconds += 1) {
      stored.ms += 1_000;
      const startedAt = performance.now();
      expect(await stored.ring.find(text)).toMatchObject({ id });
      expect(performance.now() - startedAt).toBeLessThan(seconds === 0 ? 500 : 15);
    }
    const unknown = async () => stored.ring.find(formatApiKey(newApiKey()));
    await expect(unknown()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  },
);

it('sees the changes of an outage once it is over', async () => {
  const stored = new Stored();
  const { id, text } = stored.add();
  await stored.ring.find(text);
  stored.failing = 'refused';
  stored.ms += 1_000;
  await stored.ring.find(text);
  stored.keys.delete(id);
  stored.failing = 'no';
  stored.ms += 1_000;
  await stored.ring.find(text);
  await sleep(1);
  expect(await stored.ring.find(text)).toBeNull();
});

it('notes at most once a minute which keys are in use', async () => {
  const stored = new Stored();
  const [used, idle] = [stored.add(), stored.add()];
  await stored.ring.find(idle.text.replace(/.$/, '-'));
  for (let seconds = 0; seconds <= 130; seconds += 10) {
    await stored.ring.find(used.text);
    await sleep(1);
    stored.ms += 10_000;
  }
  expect(stored.touched).toEqual([used.id, used.id]);
});
