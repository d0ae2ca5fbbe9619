import { formatApiKey, hashSecret, newApiKey, parseApiKey } from '../../src/store/api-key-format.ts';
import { Passwords } from '../../src/store/passwords.ts';

describe('passwords', () => {
  it('are stored as argon2id with at least what OWASP asks for, salted', async () => {
    const passwords = new Passwords();
    const [one, two] = await Promise.all([passwords.hash('secret'), passwords.hash('secret')]);
    const [, memory, passes] = /^\$argon2id\$v=19\$m=(\d+),t=(\d+),p=1\$/.exec(one) ?? [];
    expect(Number(memory)).toBeGreaterThanOrEqual(19_456);
    expect(Number(passes)).toBeGreaterThanOrEqual(2);
    expect(one).not.toBe(two);
    expect(await passwords.verify('secret', one)).toBe(true);
    expect(await passwords.verify('Secret', one)).toBe(false);
  });

  it('of nobody take as long as wrong ones', async () => {
    const passwords = new Passwords();
    const encoded = await passwords.hash('secret');
    const time = async (hash: string | null) => {
      const times: number[] = [];
      for (let i = 0; i < 5; i += 1) {
        const startedAt = performance.now();
        expect(await passwords.verify('wrong', hash)).toBe(false);
        times.push(performance.now() - startedAt);
      }
      return Math.min(...times);
    };
    const [known, unknown] = [await time(encoded), await time(null)];
    expect(unknown / known).toBeGreaterThan(0.5);
    expect(unknown / known).toBeLessThan(2);
  });

  it('are not checked by the thousand at once', async () => {
    const passwords = new Passwords({ concurrent: 1, waiting: 1 });
    const all = await Promise.allSettled([1, 2, 3].map(() => passwords.verify('x', null)));
    expect(all.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'rejected']);
    expect(await passwords.verify('x', null)).toBe(false);
  });

  it('cannot be forged by a broken hash', async () => {
    const passwords = new Passwords();
    for (const encoded of [
      '',
      '$argon2id$v=19$m=8,t=1,p=1$$',
      'plain',
      '$argon2i$v=19$m=32768,t=3,p=1$c2FsdHNhbHQ$aGFzaA',
    ]) {
      expect(await passwords.verify('', encoded)).toBe(false);
    }
  });
});

describe('API keys', () => {
  it('split unambiguously and have 256 random bits', () => {
    const seen = new Set<string>();
    for (let i = 0; i < 200; i += 1) {
      const key = newApiKey();
      const text = formatApiKey(key);
      expect(text).toMatch(/^sy_[0-9A-Za-z]{14}_[0-9A-Za-z]{43}$/);
      expect(parseApiKey(text)).toEqual(key);
      seen.add(text);
    }
    expect(seen.size).toBe(200);
  });

  it('may be brought by an operator, with underscores in the secret', () => {
    expect(parseApiKey('sy_abc_0123456789abcdef_-x')).toEqual({ id: 'abc', secret: '0123456789abcdef_-x' });
  });

  it.each([
    '',
    'sy_',
    'sy__secretsecretsecret',
    'sy_id_short',
    'SY_abcdefgh_0123456789abcdef',
    ' sy_abcdefgh_0123456789abcdef',
    `sy_abc_${'x'.repeat(300)}`,
  ])('are refused when malformed: %s', (text) => {
    expect(parseApiKey(text)).toBeNull();
  });

  it('are stored as SHA-256', () => {
    expect(hashSecret('abc').toString('hex')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  });
});
