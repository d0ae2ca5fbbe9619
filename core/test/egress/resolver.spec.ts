import { createHttpClient } from '../../src/egress/client.ts';
import { cachedLookup, type Lookup } from '../../src/egress/resolver.ts';

const OPTIONS = { freshMs: 30_000, staleMs: 300_000, maxNames: 3 };

/** Answers with the number of the question, when told to. */
class NameServer {
  asked: string[] = [];
  fail = false;
  #waiting: (() => void)[] = [];

  readonly lookup: Lookup = (hostname) => {
    this.asked.push(hostname);
    const answer = `10.0.0.${this.asked.length}`;
    const { fail } = this;
    return new Promise((resolve, reject) => {
      this.#waiting.push(() =>
        fail ? reject(Object.assign(new Error('no'), { code: 'EAI_AGAIN' })) : resolve([answer]),
      );
    });
  };

  answerAll(): void {
    for (const answer of this.#waiting.splice(0)) answer();
  }
}

describe('the cache of names', () => {
  let server: NameServer;
  let now: number;
  let lookup: Lookup;

  beforeEach(() => {
    server = new NameServer();
    now = 0;
    lookup = cachedLookup(server.lookup, OPTIONS, () => now);
  });

  async function ask(hostname: string): Promise<readonly string[]> {
    const answer = lookup(hostname);
    server.answerAll();
    return answer;
  }

  test('asks once for a name, however many connections ask at the same time', async () => {
    const answers = Array.from({ length: 50 }, () => lookup('a.example'));
    server.answerAll();
    expect(await Promise.all(answers)).toEqual(answers.map(() => ['10.0.0.1']));
    expect(server.asked).toEqual(['a.example']);
  });

  test('uses an answer while it is fresh', async () => {
    await ask('a.example');
    now = 30_000;
    expect(await lookup('a.example')).toEqual(['10.0.0.1']);
    expect(server.asked).toHaveLength(1);
  });

  test('uses a stale answer without waiting, and has the new one next time', async () => {
    await ask('a.example');
    now = 30_001;
    expect(await lookup('a.example')).toEqual(['10.0.0.1']);
    expect(server.asked).toHaveLength(2);
    server.answerAll();
    await new Promise((resolve) => setImmediate(resolve));
    expect(await lookup('a.example')).toEqual(['10.0.0.2']);
  });

  test('waits for a new answer when the old one is too old, and keeps no failure', async () => {
    await ask('a.example');
    now = 300_001;
    server.fail = true;
    await expect(ask('a.example')).rejects.toMatchObject({ code: 'EAI_AGAIN' });
    server.fail = false;
    expect(await ask('a.example')).toEqual(['10.0.0.3']);
  });

  test('a refresh that fails is nobody’s error while the answer may still be used', async () => {
    await ask('a.example');
    now = 100_000;
    server.fail = true;
    expect(await ask('a.example')).toEqual(['10.0.0.1']);
    await new Promise((resolve) => setImmediate(resolve));
    expect(await ask('a.example')).toEqual(['10.0.0.1']);
  });

  test('keeps only so many names', async () => {
    for (const name of ['a', 'b', 'c', 'd']) await ask(name);
    await ask('d');
    expect(server.asked).toEqual(['a', 'b', 'c', 'd']);
    await ask('a');
    expect(server.asked).toEqual(['a', 'b', 'c', 'd', 'a']);
  });
});

test.each([
  ['ENOTFOUND', 'DNS_NOT_FOUND'],
  ['ENODATA', 'DNS_NOT_FOUND'],
  ['EAI_AGAIN', 'DNS_FAILED'],
  ['EAI_FAIL', 'DNS_FAILED'],
  ['ESERVFAIL', 'DNS_FAILED'],
])('a look-up that fails with %s is %s for the request', async (systemCode, code) => {
  const lookup: Lookup = () => Promise.reject(Object.assign(new Error('getaddrinfo'), { code: systemCode }));
  const { client, close } = createHttpClient({ allow: [], lookup });
  const request = client.request({ method: 'GET', url: 'https://hooks.example/x' }, new AbortController().signal);
  await expect(request).rejects.toMatchObject({
    kind: 'retryable',
    code,
    message: expect.stringContaining('hooks.example'),
  });
  await close();
});

test('a name without any address is DNS_NOT_FOUND', async () => {
  const { client, close } = createHttpClient({ allow: [], lookup: async () => [] });
  const request = client.request({ method: 'GET', url: 'https://hooks.example/x' }, new AbortController().signal);
  await expect(request).rejects.toMatchObject({ code: 'DNS_NOT_FOUND' });
  await close();
});
