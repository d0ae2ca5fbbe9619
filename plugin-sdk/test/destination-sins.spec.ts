import {
  PermanentError,
  Type,
  defineDestination,
  delivered,
  failed,
  type DeliveryBatch,
  type DeliveryOutcome,
  type Destination,
  type DestinationDefinition,
} from '../src/index.ts';
import { contractCases, type DestinationKitOptions } from '../src/testing/index.ts';
import { failures } from './verdict.ts';

interface Config {
  readonly works: boolean;
}

type Parts = Partial<Omit<DestinationDefinition<Config>, 'create'>> & Partial<Destination>;

const all = ({ items }: DeliveryBatch, outcome: DeliveryOutcome = delivered()): Map<string, DeliveryOutcome> =>
  new Map(items.map(({ id }) => [id, outcome]));

/** A decent destination that keeps events in memory, with parts replaced. */
function destination(parts: Parts = {}): DestinationDefinition<Config> {
  const { deliver, check, close, open, ...meta } = parts;
  return defineDestination<Config>({
    type: 'decent',
    title: 'Decent',
    summary: 'Keeps events',
    stability: 'stable',
    config: Type.Object({ works: Type.Boolean() }, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: { works: true } }],
    capabilities: { batch: { maxEvents: 20 }, concurrency: 3, ordering: 'none' },
    create: ({ works }) => ({
      deliver:
        deliver ??
        ((batch, signal) => (signal.aborted ? Promise.reject(signal.reason as Error) : Promise.resolve(all(batch)))),
      check: check ?? (() => Promise.resolve({ ok: works, message: works ? 'It works.' : 'It does not work.' })),
      ...(open && { open }),
      ...(close && { close }),
    }),
    ...meta,
  });
}

const options: DestinationKitOptions<Config> = { deadlineMs: 2500, unreachable: { works: false } };

const OUTCOMES = ['has an outcome for every event and for no other'];
const HOSTILE = ['answers for hostile events without losing their neighbours'];
const CHECK_OK = ['checks a connection that works, without open'];
const CHECK_NOT_OK = ['checks a connection that does not work'];

describe('the kit against destinations', () => {
  it('finds nothing wrong with a decent one', async () => {
    expect(await failures(contractCases(destination(), options))).toEqual([]);
  });

  it('finds nothing wrong with a decent one that takes one event at a time', async () => {
    const single = destination({ capabilities: { batch: { maxEvents: 1 }, concurrency: 1, ordering: 'key' } });
    expect(await failures(contractCases(single, options))).toEqual([]);
  });

  const seen = new Set<string>();
  const pending: DeliveryBatch['items'][number][] = [];
  let under = Promise.resolve(new Map<string, DeliveryOutcome>());
  const sins: readonly (readonly [sin: string, parts: Parts, cases: readonly string[]])[] = [
    [
      'has an ordering that does not exist',
      { capabilities: { batch: { maxEvents: 20 }, concurrency: 3, ordering: 'strict' as 'key' } },
      ['states capabilities that make sense'],
    ],
    [
      'has room for no delivery',
      { capabilities: { batch: { maxEvents: 20 }, concurrency: 0, ordering: 'none' } },
      ['states capabilities that make sense'],
    ],
    [
      'forgets events of one name',
      {
        deliver: async ({ items, position }) =>
          all({ position, items: items.filter(({ event }) => event.event_name !== 'page_view') }),
      },
      OUTCOMES,
    ],
    [
      'answers for an event that it was not given',
      { deliver: async (batch) => all(batch).set('another', delivered()) },
      [...OUTCOMES, 'can be closed during a delivery', 'handles a full batch'],
    ],
    [
      'has a status of its own',
      { deliver: async (batch) => all(batch, { status: 'queued' } as unknown as DeliveryOutcome) },
      ['says delivered or failed, and nothing else', 'takes a batch again', ...HOSTILE],
    ],
    [
      'fails with an error of its own',
      {
        deliver: async (batch) =>
          new Map(
            batch.items.map(({ id, event }) => [
              id,
              event.event_name === 'page_view' ? failed(new Error('x') as PermanentError) : delivered(),
            ]),
          ),
      },
      ['says delivered or failed, and nothing else'],
    ],
    [
      'delivers nothing at all',
      { deliver: async (batch) => all(batch, failed(new PermanentError('no'))) },
      ['says delivered or failed, and nothing else', 'takes a batch again', ...HOSTILE],
    ],
    [
      'fails what it has seen before',
      {
        deliver: async (batch) =>
          new Map(
            batch.items.map(({ id }) => {
              const known = seen.has(id);
              seen.add(id);
              return [id, known ? failed(new PermanentError('duplicate key')) : delivered()];
            }),
          ),
      },
      ['takes a batch again'],
    ],
    [
      'cannot do without a position',
      {
        deliver: async (batch) => {
          if (batch.position === null) throw new TypeError('position is null');
          return all(batch);
        },
      },
      ['takes a batch again'],
    ],
    [
      'loses the end of a full batch',
      { deliver: async ({ items, position }) => all({ position, items: items.slice(0, 10) }) },
      ['handles a full batch'],
    ],
    [
      'changes the batch',
      {
        deliver: async (batch) => {
          const metadata = batch.items[0]?.event.metadata as Record<string, unknown> | undefined;
          if (metadata !== undefined && !Object.isFrozen(metadata)) metadata['delivered'] = true;
          return all(batch);
        },
      },
      ['leaves the events that it gets as they are'],
    ],
    [
      'throws for an event that is unusual',
      {
        deliver: async (batch) => {
          for (const { event } of batch.items) if (event.context.user_agent === null) throw new TypeError('null');
          return all(batch);
        },
      },
      HOSTILE,
    ],
    [
      'loses the neighbours of an event that is unusual',
      {
        deliver: async (batch) =>
          all(
            batch,
            batch.items.some(({ event }) => event.context.ip_address === null)
              ? failed(new PermanentError('no'))
              : delivered(),
          ),
      },
      HOSTILE,
    ],
    [
      'mixes up deliveries that are under way at once',
      {
        deliver: async (batch) => {
          pending.push(...batch.items);
          under = under.then(() => all({ position: null, items: pending }));
          const outcomes = await under;
          pending.length = 0;
          return outcomes;
        },
      },
      ['keeps deliveries that are under way at once apart'],
    ],
    [
      'never ends once it is aborted',
      { deliver: (batch, signal) => (signal.aborted ? new Promise(() => {}) : Promise.resolve(all(batch))) },
      ['stops when it is aborted'],
    ],
    [
      'spends an attempt when it is aborted',
      {
        deliver: async (batch, signal) => {
          if (signal.aborted) throw new Error('something else');
          return all(batch);
        },
      },
      ['stops when it is aborted'],
    ],
    ['says that it works when it does not', { check: async () => ({ ok: true, message: 'It works.' }) }, CHECK_NOT_OK],
    ['says that it does not work when it does', { check: async () => ({ ok: false, message: 'No.' }) }, CHECK_OK],
    ['says nothing to a person', { check: async () => ({ ok: true, message: '' }) }, [...CHECK_OK, ...CHECK_NOT_OK]],
    [
      'throws what its check found',
      {
        check: async () => {
          throw new PermanentError('refused');
        },
      },
      [...CHECK_OK, ...CHECK_NOT_OK],
    ],
  ];

  it.each(sins)(
    'blames one that %s',
    async (_sin, parts, cases) => {
      expect((await failures(contractCases(destination(parts), options))).toSorted()).toEqual(cases.toSorted());
    },
    30_000,
  );

  it('blames one whose check needs open', async () => {
    const needy = defineDestination<Config>({
      ...destination(),
      create: (config) => {
        let opened = false;
        return {
          open: async () => {
            opened = true;
          },
          deliver: async (batch) => all(batch),
          check: async () => ({ ok: opened && config.works, message: opened ? 'It works.' : 'It is not open.' }),
        };
      },
    });
    expect(await failures(contractCases(needy, options))).toEqual(CHECK_OK);
  });

  it('blames one whose close leaves a delivery hanging', async () => {
    const hanging = defineDestination<Config>({
      ...destination(),
      create: (config, context) => {
        let closed = false;
        return {
          ...destination().create(config, context),
          deliver: async (batch) => {
            await new Promise((resolve) => setImmediate(resolve));
            return closed ? new Promise(() => {}) : all(batch);
          },
          close: async () => {
            closed = true;
          },
        };
      },
    });
    expect(await failures(contractCases(hanging, { ...options, deadlineMs: 4500 }))).toEqual([
      'can be closed during a delivery',
    ]);
  }, 30_000);
});
