import { setTimeout as sleep } from 'node:timers/promises';
import {
  PermanentError,
  Type,
  defineTransform,
  drop,
  emit,
  fail,
  type Event,
  type Transform,
  type TransformDefinition,
  type TransformOutcome,
} from '../src/index.ts';
import { anEvent, contractCases, type TransformKitOptions } from '../src/testing/index.ts';
import { complaint, failures } from './verdict.ts';

interface Config {
  readonly secret: string;
}

type Apply = Transform['apply'];
type Parts = Partial<Omit<TransformDefinition<Config>, 'create'>> & Partial<Transform>;

const perEvent =
  (outcome: (event: Event) => TransformOutcome): Apply =>
  (batch) =>
    new Map(batch.map((event) => [event.id, outcome(event)]));

const decent = perEvent((event) => {
  if (event.event_name === 'drop me') return drop('dropped by name');
  return event.event_name === 'fail me' ? fail(new PermanentError('No.', { code: 'REFUSED' })) : emit(event);
});

/** A decent transform, with parts replaced. */
function transform({ apply = decent, open, close, ...meta }: Parts = {}): TransformDefinition<Config> {
  return defineTransform<Config>({
    type: 'decent',
    title: 'Decent',
    summary: 'Does what it should',
    stability: 'stable',
    config: Type.Object({ secret: Type.String({ 'x-secret': true }) }, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: { secret: 'correct horse' } }],
    batch: { maxEvents: 50 },
    create: () => ({ apply, ...(open && { open }), ...(close && { close }) }),
    ...meta,
  });
}

const options: TransformKitOptions<Config> = {
  deadlineMs: 1500,
  samples: [anEvent({ event_name: 'drop me' }), anEvent({ event_name: 'fail me' })],
};

interface Loose {
  event_name: string;
  readonly metadata: Record<string, unknown>;
}
const mutable = (event: unknown): Loose => event as Loose;

describe('the kit against transforms', () => {
  it('finds nothing wrong with a decent one', async () => {
    expect(await failures(contractCases(transform(), options))).toEqual([]);
  });

  it('finds nothing wrong with a decent one that takes one event at a time', async () => {
    expect(await failures(contractCases(transform({ batch: { maxEvents: 1 } }), options))).toEqual([]);
  });

  let calls = 0;
  const sins: readonly (readonly [sin: string, parts: Parts, cases: readonly string[]])[] = [
    ['takes no events at all', { batch: { maxEvents: 1.5 } }, ['takes batches of a size that makes sense']],
    [
      'forgets events without a user',
      {
        apply: (batch) =>
          new Map(batch.filter(({ user_id }) => user_id !== null).map((event) => [event.id, emit(event)])),
      },
      ['has an outcome for every event and for no other', 'answers for hostile events without losing their neighbours'],
    ],
    [
      'answers for an event that it was not given',
      {
        apply: (batch) => new Map([['another', drop('x')], ...batch.map((event) => [event.id, emit(event)] as const)]),
      },
      ['has an outcome for every event and for no other'],
    ],
    [
      'drops without a reason',
      { apply: perEvent((event) => (event.event_name === 'drop me' ? drop('') : emit(event))) },
      ['emits, drops or fails, and nothing else'],
    ],
    [
      'emits nothing',
      { apply: perEvent((event) => (event.event_name === 'drop me' ? emit() : emit(event))) },
      ['emits, drops or fails, and nothing else'],
    ],
    [
      'fails with an error of its own',
      {
        apply: perEvent((event) =>
          event.event_name === 'fail me' ? fail(new TypeError('x') as unknown as PermanentError) : emit(event),
        ),
      },
      ['emits, drops or fails, and nothing else'],
    ],
    [
      'emits what is not JSON',
      { apply: perEvent(({ event_name }) => emit({ event_name, metadata: { at: new Date() as unknown as string } })) },
      ['emits, drops or fails, and nothing else', 'answers for hostile events without losing their neighbours'],
    ],
    [
      'names the event in its reason',
      { apply: perEvent(({ id }) => drop(`dropped ${id}`)) },
      ['gives reasons and codes that do not differ from event to event'],
    ],
    [
      'counts in its code',
      { apply: perEvent(() => fail(new PermanentError('x', { code: `FAILED_${(calls += 1)}` }))) },
      ['gives reasons and codes that do not differ from event to event'],
    ],
    [
      'changes the event',
      {
        apply: perEvent((event) => {
          mutable(event).metadata['seen'] = true;
          return emit(event);
        }),
      },
      ['leaves the events that it gets as they are'],
    ],
    [
      'changes the event where that is possible, and keeps quiet otherwise',
      {
        apply: perEvent((event) => {
          if (!Object.isFrozen(event)) mutable(event).event_name = 'changed';
          return emit(event);
        }),
      },
      ['leaves the events that it gets as they are'],
    ],
    [
      'throws for an event that is unusual',
      {
        apply: perEvent((event) =>
          JSON.stringify(event).includes('12345678901234567890')
            ? (() => {
                throw new RangeError('too big');
              })()
            : emit(event),
        ),
      },
      ['answers for hostile events without losing their neighbours'],
    ],
    [
      'lets data become a prototype',
      {
        apply: perEvent((event) => {
          const metadata: Record<string, Event['metadata'][string]> = {};
          for (const [key, value] of Object.entries(event.metadata)) metadata[key] = value;
          return emit({ ...event, metadata });
        }),
      },
      ['answers for hostile events without losing their neighbours'],
    ],
    [
      'stops answering in the middle of a full batch',
      { apply: (batch) => new Map(batch.slice(0, 20).map((event) => [event.id, emit(event)])) },
      ['handles a full batch'],
    ],
    [
      'mixes up calls that are under way at once',
      (() => {
        const pending: Event[] = [];
        return {
          apply: async (batch: readonly Event[]) => {
            pending.push(...batch);
            await Promise.resolve();
            await Promise.resolve();
            const outcomes = new Map(pending.map((event) => [event.id, emit(event)]));
            await Promise.resolve();
            pending.length = 0;
            return outcomes;
          },
        };
      })(),
      ['keeps calls that are under way at once apart'],
    ],
    [
      'never ends once it is aborted',
      { apply: async (batch, signal) => (signal.aborted ? new Promise<never>(() => {}) : decent(batch, signal)) },
      ['stops when it is aborted'],
    ],
    [
      'takes longer than the deadline for a full batch',
      {
        apply: async (batch, signal) =>
          batch.length === 50 && !signal.aborted
            ? (await sleep(1700, undefined, { ref: false }), decent(batch, signal))
            : decent(batch, signal),
      },
      ['handles a full batch', 'stops when it is aborted'],
    ],
  ];

  it.each(sins)(
    'blames one that %s',
    async (_sin, parts, cases) => {
      expect(await failures(contractCases(transform(parts), options))).toEqual(cases);
    },
    30_000,
  );

  it('names the case and the rule when the plugin does not answer', async () => {
    const silent = contractCases(transform({ apply: () => new Promise(() => {}) }), { ...options, deadlineMs: 50 });
    const said = await complaint(silent, 'has an outcome for every event and for no other');
    expect(said).toMatch(
      /^has an outcome for every event and for no other: it was not over after 50 ms\n {2}The rule: .*apply/,
    );
  });

  it('hands on what the plugin threw', async () => {
    const [error] = await Promise.all(
      contractCases(transform({ apply: () => Promise.reject(new RangeError('out of luck')) }), options)
        .filter(({ name }) => name === 'handles a full batch')
        .map(({ run }) => run().catch((thrown: unknown) => thrown)),
    );
    expect(String(error)).toContain('RangeError: out of luck');
  });
});
