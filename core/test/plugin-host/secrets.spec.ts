import { randomBytes } from 'node:crypto';
import { ConfigError, Secret, Type } from '@switchyard/plugin-sdk';
import fc from 'fast-check';
import { unreachableSecrets } from '../../src/plugin-host/secret-fields.ts';
import { SecretBox, maskSecrets } from '../../src/plugin-host/secrets.ts';
import { secretsEverywhere as schema } from './definitions.ts';

const box = new SecretBox(randomBytes(32));
const SET = { set: true };

const full = {
  url: 'https://example.com',
  token: 's3cret-0',
  auth: { user: 'me', password: 's3cret-1' },
  headers: [
    { name: 'A', value: 's3cret-2' },
    { name: 'B', value: 's3cret-3' },
    { name: 'C', value: 's3cret-4' },
  ],
  keys: ['s3cret-5', 's3cret-6'],
  env: { ONE: 's3cret-7', 'a/b~c': 's3cret-8' },
  pair: ['left', 's3cret-9'],
};

describe('secrets', () => {
  it('are encrypted wherever the schema has them, and nothing else is touched', () => {
    const sealed = box.seal(full, schema, 'i1');
    expect(JSON.stringify(sealed)).not.toContain('s3cret');
    expect(sealed).toMatchObject({
      url: 'https://example.com',
      auth: { user: 'me' },
      headers: [{ name: 'A' }, { name: 'B' }, { name: 'C' }],
      pair: ['left', {}],
    });
    expect(box.unseal(sealed, schema, 'i1')).toEqual(full);
    expect(box.unseal(JSON.parse(JSON.stringify(sealed)), schema, 'i1')).toEqual(full);
  });

  it('are shown as set, or not at all', () => {
    expect(maskSecrets(schema, box.seal(full, schema, 'i1'))).toEqual({
      url: 'https://example.com',
      token: SET,
      auth: { user: 'me', password: SET },
      headers: ['A', 'B', 'C'].map((name) => ({ name, value: SET })),
      keys: [SET, SET],
      env: { ONE: SET, 'a/b~c': SET },
      pair: ['left', SET],
    });
    expect(maskSecrets(schema, box.seal({ url: 'https://example.com', auth: null }, schema, 'i1'))).toEqual({
      url: 'https://example.com',
      auth: null,
    });
  });

  it('differ each time they are sealed', () => {
    expect(box.seal(full, schema, 'i1')).not.toEqual(box.seal(full, schema, 'i1'));
  });

  it('survive any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.uuid(), (token, id) => {
        const config = { url: 'x', token };
        expect(box.unseal(box.seal(config, schema, id), schema, id)).toEqual(config);
      }),
      { numRuns: 200 },
    );
  });
});

describe('a sealed secret does not open', () => {
  const sealed = box.seal({ url: 'x', token: 's3cret' }, schema, 'i1');
  const text = JSON.stringify(sealed);

  const errorOf = (run: () => unknown): unknown => {
    try {
      return run();
    } catch (thrown) {
      return thrown;
    }
  };
  const refusal: unknown = expect.objectContaining({
    code: 'SECRET_UNREADABLE',
    message: expect.stringMatching(
      /\/\w+.* cannot be decrypted: ENCRYPTION_KEY is not the one.*enter the secret again/,
    ),
  });

  it('with another key', () =>
    expect(errorOf(() => new SecretBox(randomBytes(32)).unseal(sealed, schema, 'i1'))).toEqual(refusal));
  it('for another instance', () => expect(errorOf(() => box.unseal(sealed, schema, 'i2'))).toEqual(refusal));
  it('in another field', () =>
    expect(errorOf(() => box.unseal({ env: { X: JSON.parse(text).token } }, schema, 'i1'))).toEqual(refusal));

  it('when any part of it was changed, cut or made up', () => {
    const { token } = JSON.parse(text);
    const [version, nonce, body, tag] = String(token.$sealed).split('.');
    for (const changed of [
      '',
      'v1',
      `v2.${nonce}.${body}.${tag}`,
      `${version}.${nonce}.${body}`,
      `${version}.${nonce}.AAAA.${tag}`,
      `${version}..${body}.${tag}`,
      `${version}.${nonce}.${body}.${String(tag).slice(0, 6)}`,
      '....',
    ]) {
      const error = errorOf(() => box.unseal({ url: 'x', token: { $sealed: changed } }, schema, 'i1'));
      expect(error).toBeInstanceOf(ConfigError);
      expect(error).toEqual(refusal);
    }
  });
});

describe('a stored secret is kept', () => {
  const stored = box.seal(full, schema, 'i1');
  const keep = (config: unknown): unknown => box.unseal(box.seal(config, schema, 'i1', stored), schema, 'i1');

  it('where the configuration says {"set": true}', () => {
    expect(keep(maskSecrets(schema, stored))).toEqual(full);
    expect(keep({ url: 'y', auth: { user: 'you', password: SET } })).toEqual({
      url: 'y',
      auth: { user: 'you', password: 's3cret-1' },
    });
    expect(keep({ url: 'y', env: { 'a/b~c': SET, TWO: 'new' } })).toEqual({
      url: 'y',
      env: { 'a/b~c': 's3cret-8', TWO: 'new' },
    });
  });

  it('unless it is sent anew or left out', () => {
    expect(keep({ url: 'y', token: 'new' })).toEqual({ url: 'y', token: 'new' });
    expect(keep({ url: 'y' })).toEqual({ url: 'y' });
  });

  it('with its item when a list is shortened, extended or reordered', () => {
    expect(keep({ url: 'x', headers: [{ name: 'B', value: SET }] })).toEqual({
      url: 'x',
      headers: [{ name: 'B', value: 's3cret-3' }],
    });
    expect(
      keep({
        url: 'x',
        headers: [
          { name: 'C', value: SET },
          { name: 'A', value: SET },
          { name: 'D', value: 'new' },
          { name: 'B', value: SET },
        ],
      }),
    ).toEqual({
      url: 'x',
      headers: [
        { name: 'C', value: 's3cret-4' },
        { name: 'A', value: 's3cret-2' },
        { name: 'D', value: 'new' },
        { name: 'B', value: 's3cret-3' },
      ],
    });
  });

  it.each<[string, object, string]>([
    ['there was none', { auth: { user: 'me', password: SET } }, '/auth/password'],
    [
      'its item is another now',
      {
        headers: [
          { name: 'Z', value: SET },
          { name: 'B', value: SET },
          { name: 'C', value: SET },
        ],
      },
      '/headers/0/value',
    ],
    ['it is unclear which of several was meant', { keys: [SET] }, '/keys/0'],
  ])('never by guessing: when %s, the value has to be sent', (_, config, field) => {
    const before = field === '/auth/password' ? box.seal({ url: 'x', token: 't' }, schema, 'i1') : stored;
    expect(() => box.seal({ url: 'x', ...config }, schema, 'i1', before)).toThrow(
      `The configuration cannot be used: ${field} there is no stored secret to keep here: send its value.`,
    );
  });

  it('but not of a new object, nor by sending what is stored in the database', () => {
    expect(() => box.seal({ url: 'x', token: SET }, schema, 'i1')).toThrow(
      '/token there is no stored secret to keep here',
    );
    expect(() => box.seal({ url: 'x', token: { $sealed: 'v1.a.b.c' } }, schema, 'i1')).toThrow('/token must be a text');
  });

  it('also when it was stored in the clear, before the field became a secret', () => {
    expect(box.unseal({ url: 'x', token: 'plain' }, schema, 'i1')).toEqual({ url: 'x', token: 'plain' });
    expect(
      box.unseal(box.seal({ url: 'x', token: SET }, schema, 'i1', { url: 'x', token: 'plain' }), schema, 'i1'),
    ).toEqual({ url: 'x', token: 'plain' });
  });
});

describe('places of secrets in a schema', () => {
  it('are all known where they are encrypted, and counted where they would not be', () => {
    expect(unreachableSecrets(schema)).toBe(0);
    expect(unreachableSecrets(Type.Object({}))).toBe(0);
    expect(
      unreachableSecrets({
        type: 'object',
        properties: { a: { allOf: [{ oneOf: [Secret()] }] }, b: { items: { additionalProperties: Secret() } } },
      }),
    ).toBe(0);
    expect(
      unreachableSecrets({
        type: 'object',
        $defs: { a: Secret() },
        properties: { a: { $ref: '#/$defs/a' }, b: { not: Secret() } },
      }),
    ).toBe(2);
  });
});
