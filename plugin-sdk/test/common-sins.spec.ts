import {
  RetryableError,
  Secret,
  Type,
  defineTransform,
  emit,
  fail,
  type PluginContext,
  type Transform,
  type TransformDefinition,
} from '../src/index.ts';
import { contractCases, type TransformKitOptions } from '../src/testing/index.ts';
import { complaint, failures } from './verdict.ts';

interface Config {
  readonly url: string;
  readonly token?: string;
}

type Parts = Partial<TransformDefinition<Config>>;
type Create = (config: Config, context: PluginContext) => Partial<Transform>;

const TOKEN = 'a token that nobody may see';
const CONFIG = { url: 'https://example.com', token: TOKEN };

const properties = { url: Type.String(), token: Type.Optional(Secret()) };

/** A decent plugin with parts replaced; it stands for every kind in what all kinds have in common. */
function plugin(parts: Parts = {}): TransformDefinition<Config> {
  return defineTransform<Config>({
    type: 'decent',
    title: 'Decent',
    summary: 'Does what it should',
    stability: 'stable',
    config: Type.Object(properties, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: CONFIG }],
    batch: { maxEvents: 5 },
    create: () => pass,
    ...parts,
  });
}

const pass: Transform = { apply: (batch) => new Map(batch.map((event) => [event.id, emit(event)])) };

const creating = (create: Create): Parts => ({
  create: (config, context) => ({ ...pass, ...create(config, context) }),
});

const options: TransformKitOptions<Config> = { deadlineMs: 1500 };

const META = ['says what it is'];
const CLOSED = ['takes no configuration key that it does not know'];
const EXAMPLES = ['has examples that fit its own schema'];
const PURE = ['creates an instance without I/O, timers or environment'];
const TWICE = ['can be closed twice'];
const SECRETS = ['keeps its secrets'];

describe('the kit against plugins of every kind', () => {
  it('finds nothing wrong with a decent one', async () => {
    expect(await failures(contractCases(plugin(), options))).toEqual([]);
  });

  it('lets a decent one keep references, count, log and store', async () => {
    const busy = creating((_config, { logger, metrics, state, http }) => {
      const counter = metrics.counter('events', 'Events seen');
      return {
        open: async () => state.set('cursor', 1),
        apply: (batch, signal) => {
          counter.inc(batch.length);
          logger.info('applied', { http: typeof http.request });
          return pass.apply(batch, signal);
        },
      };
    });
    expect(await failures(contractCases(plugin(busy), options))).toEqual([]);
  });

  const sins: readonly (readonly [sin: string, parts: Parts, cases: readonly string[]])[] = [
    ['has a type with capitals', { type: 'WebHook' }, META],
    ['has no title', { title: ' ' }, META],
    ['tells a story in its summary', { summary: 'It delivers. And more.' }, META],
    ['has no configuration version', { configVersion: 0 }, META],
    ['has a stability that does not exist', { stability: 'perfect' as 'stable' }, META],
    ['requires a door that does not exist', { requires: ['redis' as 'database'] }, META],
    ['lets unknown keys through', { config: Type.Object(properties) }, CLOSED],
    [
      'lets unknown keys through further down',
      {
        config: Type.Object(
          { ...properties, retry: Type.Optional(Type.Object({ times: Type.Number() })) },
          { additionalProperties: false },
        ),
      },
      CLOSED,
    ],
    [
      'misspells a schema keyword',
      { config: Type.Object({ ...properties, url: Type.String({ minlength: 3 }) }, { additionalProperties: false }) },
      ['uses only schema keywords that core knows'],
    ],
    [
      'has an example that does not fit',
      {
        examples: [
          { title: 'One', config: CONFIG },
          { title: 'Two', config: { url: 7 } as unknown as Config },
        ],
      },
      EXAMPLES,
    ],
    [
      'refuses its own example',
      {
        examples: [
          { title: 'One', config: CONFIG },
          { title: 'Two', config: { url: 'ftp://example.com' } },
        ],
        validate: ({ url }) => {
          if (url.startsWith('ftp')) throw new Error('no');
        },
      },
      EXAMPLES,
    ],
    ['starts a timer', creating(() => ({ open: clear(setTimeout(() => {}, 1e6)) })), PURE],
    [
      'starts a timer that does not hold the process',
      creating(() => ({ open: clear(setInterval(() => {}, 1e6).unref()) })),
      PURE,
    ],
    [
      'starts a request that nobody waits for',
      creating(() => (void fetch('http://127.0.0.1:9/').catch(() => {}), {})),
      PURE,
    ],
    [
      'starts a timer after its first await',
      creating(() => {
        void (async () => {
          await Promise.resolve();
          clearTimeout(setTimeout(() => {}, 1e6));
        })();
        return {};
      }),
      PURE,
    ],
    ['looks at the environment', creating(() => ({ open: () => Promise.resolve(void process.env['HOME']) })), []],
    ['looks at the environment as it is created', creating(() => (void process.env['HOME'], {})), PURE],
    [
      'sends a request as it is created',
      creating(
        (_config, { http }) => (
          void http.request({ method: 'GET', url: 'http://127.0.0.1:9/' }, AbortSignal.timeout(1000)).catch(() => {}),
          {}
        ),
      ),
      PURE,
    ],
    ['stores something as it is created', creating((_config, { state }) => (void state.set('a', 1), {})), PURE],
    [
      'fails when it is closed again',
      creating(() => {
        let closed = false;
        return {
          close: async () => {
            if (closed) throw new Error('closed already');
            closed = true;
          },
        };
      }),
      TWICE,
    ],
    [
      'never ends when it is closed again',
      creating(() => {
        let closed = false;
        return {
          close: () => {
            if (closed) return new Promise<void>(() => {});
            closed = true;
            return Promise.resolve();
          },
        };
      }),
      TWICE,
    ],
    [
      'cannot be closed without open',
      creating(() => {
        let connection: { end(): void } | undefined;
        return {
          open: async () => {
            connection = { end: () => {} };
          },
          close: async () => {
            if (connection === undefined) throw new TypeError('no connection');
            connection.end();
          },
        };
      }),
      ['can be closed without having been opened'],
    ],
    [
      'tries whether there is a database',
      creating((_config, context) => ({
        open: async () => {
          try {
            void context.database;
          } catch {
            // There is none.
          }
        },
      })),
      ['leaves the database alone'],
    ],
    [
      'logs its secret',
      creating((config, { logger }) => ({ open: async () => logger.debug('opened', { config }) })),
      SECRETS,
    ],
    [
      'puts its secret into a failure',
      creating(({ token }) => ({
        apply: (batch) => new Map(batch.map(({ id }) => [id, fail(new RetryableError(`401 for ${token ?? ''}`))])),
      })),
      SECRETS,
    ],
    [
      'puts its secret into the cause of a failure',
      creating(({ token }) => ({
        apply: (batch) =>
          new Map(batch.map(({ id }) => [id, fail(new RetryableError('x', { cause: new Error(token) }))])),
      })),
      SECRETS,
    ],
    [
      'logs its secret as basic credentials',
      creating(({ token }, { logger }) => ({
        open: async () => logger.debug('request', { authorization: `Basic ${btoa(`me:${token ?? ''}`)}` }),
      })),
      SECRETS,
    ],
    [
      'logs its secret as part of an address',
      creating(({ token }, { logger }) => ({
        open: async () => logger.debug(`GET /?token=${encodeURIComponent(token ?? '')}`),
      })),
      SECRETS,
    ],
  ];

  it.each(sins)(
    'blames one that %s',
    async (_sin, parts, cases) => {
      expect(await failures(contractCases(plugin(parts), options))).toEqual(cases);
    },
    30_000,
  );

  it('blames one that accepts a configuration which its author calls wrong', async () => {
    const wrongConfigs = [{ url: 7 }, { url: 'gopher://example.com' }];
    expect(await failures(contractCases(plugin(), { ...options, wrongConfigs }))).toEqual([
      'refuses wrong configurations',
    ]);
  });

  it('blames one that refuses a wrong configuration with an error of its own', async () => {
    const validate = ({ url }: Config): void => {
      if (url.startsWith('gopher')) throw new TypeError('no');
    };
    const cases = contractCases(plugin({ validate }), { ...options, wrongConfigs: [{ url: 'gopher://example.com' }] });
    expect(await failures(cases)).toEqual(['refuses wrong configurations']);
    expect(await complaint(cases, 'refuses wrong configurations')).toContain('TypeError: no, not with a ConfigError');
  });

  it('fills in a secret that the configuration leaves out', async () => {
    const leaky = creating(({ token }, { logger }) => ({ open: async () => logger.info(token ?? 'none') }));
    const cases = contractCases(plugin(leaky), { ...options, config: { url: 'https://example.com' } });
    expect(await complaint(cases, 'keeps its secrets')).toContain('a secret appeared in the log');
  });

  it('asks for a secret that it cannot make up', async () => {
    const validate = ({ token }: Config): void => {
      if (token !== undefined && !token.startsWith('whsec_')) throw new Error('no');
    };
    const picky = plugin({ validate, examples: [{ title: 'One', config: { url: 'https://example.com' } }] });
    expect(await complaint(contractCases(picky, options), 'keeps its secrets')).toContain(
      'no value for the secret at /token: give one through options.secrets',
    );
    expect(await failures(contractCases(picky, { ...options, secrets: { '/token': 'whsec_c2VjcmV0' } }))).toEqual([]);
  });

  it('finds the secret when only that case is run', async () => {
    const leaky = creating(({ token }, { logger }) => ({ open: async () => logger.info(token ?? 'none') }));
    expect(await complaint(contractCases(plugin(leaky), options), 'keeps its secrets')).toContain(
      'a secret appeared in the log',
    );
  });

  it('marks a case that was waived, with the reason', () => {
    const cases = contractCases(plugin(), { ...options, waive: { 'can be closed twice': 'the library throws' } });
    expect(cases.filter(({ waived }) => waived !== undefined).map(({ name, waived }) => [name, waived])).toEqual([
      ['can be closed twice', 'the library throws'],
    ]);
  });

  it('does not let a case be waived that there is not', () => {
    expect(() => contractCases(plugin(), { waive: { 'is perfect': 'nobody is' } })).toThrow(
      'There is no case "is perfect" to waive',
    );
  });

  it('asks for a database where the plugin declares one', async () => {
    const cases = contractCases(plugin({ requires: ['database'] }), options);
    expect(await complaint(cases, 'can be closed twice')).toContain('give the kit one through options.database');
  });
});

/** Clears a timer later, so that the test leaves none behind. */
function clear(timer: NodeJS.Timeout): () => Promise<void> {
  timers.push(timer);
  return () => Promise.resolve();
}
const timers: NodeJS.Timeout[] = [];
afterAll(() => timers.forEach(clearTimeout));
