import { randomBytes, randomUUID } from 'node:crypto';
import { ConfigError, Secret, Type } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../../src/errors.ts';
import { PluginConfigs, validateConfig } from '../../src/plugin-host/config.ts';
import { SecretBox } from '../../src/plugin-host/secrets.ts';
import { destinationWith, secretsEverywhere } from './definitions.ts';

const webhook = destinationWith({
  config: Type.Object(
    {
      url: Type.String({ format: 'uri' }),
      secret: Type.Optional(Secret({ minLength: 8 })),
      method: Type.Union([Type.Literal('POST'), Type.Literal('PUT')], { default: 'POST' }),
      timeout: Type.Integer({ minimum: 1, maximum: 60, default: 15 }),
      body: Type.Optional(
        Type.Union([Type.String(), Type.Object({ template: Type.String() }, { additionalProperties: false })]),
      ),
      code: Type.Optional(Type.String({ 'x-widget': 'code', 'x-advanced': true })),
    },
    { additionalProperties: false },
  ),
});

function refusalOf(run: () => unknown): SwitchyardError {
  try {
    run();
  } catch (error) {
    if (error instanceof SwitchyardError) return error;
    throw error;
  }
  throw new Error('It was accepted.');
}

const fieldsOf = (config: unknown, definition = webhook): unknown =>
  refusalOf(() => validateConfig(definition, config)).details?.['fields'];

describe('a configuration', () => {
  it('gets the defaults of the schema, on a copy', () => {
    const given = { url: 'https://example.com' };
    expect(validateConfig(webhook, given)).toEqual({ url: 'https://example.com', method: 'POST', timeout: 15 });
    expect(given).toEqual({ url: 'https://example.com' });
  });

  it('that does not fit is refused with every field and what it must be', () => {
    expect(fieldsOf({ url: 'nowhere', method: 'GET', timeout: 0, code: 1, colour: 'red', 'a/b': 1 })).toEqual(
      expect.arrayContaining([
        { field: '/url', message: 'must be a valid uri' },
        { field: '/method', message: 'must be one of: POST, PUT' },
        { field: '/timeout', message: 'must be >= 1' },
        { field: '/code', message: 'must be string' },
        { field: '/colour', message: 'is not a field here; there are: url, secret, method, timeout, body, code' },
        { field: '/a~1b', message: expect.stringContaining('is not a field here') },
      ]),
    );
    expect(fieldsOf({})).toEqual([{ field: '/url', message: 'is required' }]);
    expect(fieldsOf(undefined)).toEqual([{ field: '/url', message: 'is required' }]);
    expect(fieldsOf([])).toEqual([{ field: '', message: 'must be object' }]);
  });

  it('that fits no form of a union gets one message, not one for each form', () => {
    expect(fieldsOf({ url: 'https://a.b', body: 5 })).toEqual([
      { field: '/body', message: 'fits none of the allowed forms: must be string, or must be object' },
    ]);
    expect(fieldsOf({ url: 'https://a.b', body: {} })).toEqual([
      { field: '/body', message: 'fits none of the allowed forms: must be string, or /template is required' },
    ]);
  });

  it('is refused with a message for people, which repeats no value', () => {
    const error = refusalOf(() => validateConfig(webhook, { url: 'https://a.b', secret: 'hunter2' }));
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toBe('The configuration cannot be used: /secret must NOT have fewer than 8 characters.');
    expect(JSON.stringify(error.details)).not.toContain('hunter2');
  });

  it('is looked at by the plugin last, with defaults filled in', () => {
    const seen: unknown[] = [];
    const definition = destinationWith({ config: webhook.config, validate: (config) => void seen.push(config) });
    validateConfig(definition, { url: 'https://example.com' });
    expect(seen).toEqual([{ url: 'https://example.com', method: 'POST', timeout: 15 }]);
    refusalOf(() => validateConfig(definition, {}));
    expect(seen).toHaveLength(1);
  });

  it('that the plugin refuses is refused with its words', () => {
    const definition = destinationWith({
      validate: () => {
        throw new ConfigError('The rule has no operator "foo".');
      },
    });
    expect(fieldsOf({}, definition)).toEqual([{ field: '', message: 'The rule has no operator "foo"' }]);
  });

  it.each<[string, () => void]>([
    [
      'throws something else',
      () => {
        throw new TypeError('x is undefined');
      },
    ],
    ['returns a promise that rejects', () => Promise.reject(new Error('late'))],
  ])('is not the culprit when validate %s: that is a bug of the plugin', async (_, validate) => {
    const error = refusalOf(() => validateConfig(destinationWith({ validate }), {}));
    expect(error.code).toBe('PLUGIN_THREW');
    expect(error.message).toContain('"validate" of the destination plugin "fixture"');
    // An unhandled rejection would show by now.
    await new Promise(setImmediate);
  });

  it('cannot reach the prototype', () => {
    const config: unknown = JSON.parse('{"url":"https://a.b","__proto__":{"polluted":true}}');
    expect(fieldsOf(config)).toEqual([
      { field: '/__proto__', message: expect.stringContaining('is not a field here') },
    ]);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('a configuration on its way', () => {
  const configs = new PluginConfigs(new SecretBox(randomBytes(32)), () => null);
  const definition = destinationWith({ config: secretsEverywhere });

  it('is stored without its secrets, opened with them and shown without them', () => {
    const sent = { url: 'https://example.com', token: 'hunter2' };
    const stored = configs.accept(definition, sent, 'i1');
    expect(JSON.stringify(stored)).not.toContain('hunter2');
    expect(configs.open(definition, stored, 'i1')).toEqual(sent);
    expect(configs.mask(definition, stored)).toEqual({ url: 'https://example.com', token: { set: true } });
  });

  it('can be sent back as it was shown, with another field changed', () => {
    const stored = configs.accept(definition, { url: 'https://a.b', token: 'hunter2' }, 'i1');
    const changed = configs.accept(definition, { url: 'https://a.b/c', token: { set: true } }, 'i1', stored);
    expect(configs.open(definition, changed, 'i1')).toEqual({ url: 'https://a.b/c', token: 'hunter2' });
  });

  it('is validated with the kept secret in place', () => {
    const strict = destinationWith({ config: webhook.config });
    const stored = configs.accept(strict, { url: 'https://a.b', secret: 'long enough' }, 'i1');
    expect(configs.accept(strict, { url: 'https://a.b/c', secret: { set: true } }, 'i1', stored)).toMatchObject({
      url: 'https://a.b/c',
    });
  });

  it('that cannot be decrypted is a field to fill in for whoever saves it, and a ConfigError for the instance', () => {
    const stored = new PluginConfigs(new SecretBox(randomBytes(32)), () => null).accept(
      definition,
      { url: 'https://a.b', token: 'x' },
      'i1',
    );
    expect(() => configs.open(definition, stored, 'i1')).toThrow(ConfigError);
    const error = refusalOf(() =>
      configs.accept(definition, { url: 'https://a.b', token: { set: true } }, 'i1', stored),
    );
    expect(error).toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('/token cannot be decrypted'),
    });
    expect(configs.accept(definition, { url: 'https://a.b', token: 'sent again' }, 'i1', stored)).toBeDefined();
  });

  it('that a newer version of the plugin no longer takes becomes a ConfigError', () => {
    const error: unknown = (() => {
      try {
        return configs.open(definition, { address: 'old' }, 'i1');
      } catch (thrown) {
        return thrown;
      }
    })();
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('/url is required') });
  });
});

describe('an address in a configuration', () => {
  const definition = destinationWith({
    config: Type.Object(
      { url: Type.String({ format: 'uri' }), more: Type.Array(Type.String({ format: 'uri' })) },
      { additionalProperties: false },
    ),
  });
  const configs = new PluginConfigs(new SecretBox(randomBytes(32)), (url) =>
    url.includes('169.254.') ? 'The address is private.' : null,
  );

  test('that may not be reached is refused when it is saved, wherever it stands', () => {
    expect(() =>
      configs.accept(
        definition,
        { url: 'https://example.com/', more: ['https://example.com', 'http://169.254.169.254/'] },
        randomUUID(),
      ),
    ).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        details: { fields: [{ field: '/more/1', message: 'The address is private' }] },
      }),
    );
    expect(configs.accept(definition, { url: 'https://example.com/', more: [] }, randomUUID())).toEqual({
      url: 'https://example.com/',
      more: [],
    });
  });

  test('that changes takes no stored secret along', () => {
    const open = new PluginConfigs(new SecretBox(randomBytes(32)), () => null);
    const id = randomUUID();
    const stored = open.accept(webhook, { url: 'https://example.com/a', secret: 'a long secret' }, id);
    expect(() =>
      open.accept(webhook, { url: 'https://elsewhere.example/', secret: { set: true } }, id, stored),
    ).toThrow(
      expect.objectContaining({
        details: { fields: [{ field: '/secret', message: expect.stringContaining('sent again') }] },
      }),
    );
    expect(open.accept(webhook, { url: 'https://example.com/b', secret: { set: true } }, id, stored)).toMatchObject({
      url: 'https://example.com/b',
    });
    expect(
      open.accept(webhook, { url: 'https://elsewhere.example/', secret: 'another secret' }, id, stored),
    ).toMatchObject({ url: 'https://elsewhere.example/' });
  });
});
