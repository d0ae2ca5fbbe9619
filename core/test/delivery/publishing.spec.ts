import {
  defineTransform,
  delivered,
  emit,
  failed,
  fail,
  PermanentError,
  RetryableError,
  Type,
  type DeliveryOutcomes,
  type TransformOutcome,
} from '@switchyard/plugin-sdk';
import { eventually } from '../support/eventually.ts';
import { Harness, aDestination } from './harness.ts';

const first = aDestination('first');
const second = aDestination('second');
const behaviour = { apply: (name: string): TransformOutcome => emit({ event_name: name }) };
const transform = defineTransform<never>({
  type: 'test',
  title: 'Test',
  summary: 'A transform of the tests.',
  stability: 'stable',
  configVersion: 1,
  config: Type.Object({ mark: Type.Optional(Type.String()) }, { additionalProperties: false }),
  examples: [{ title: 'The only one', config: {} as never }],
  batch: { maxEvents: 50 },
  create: (config: { readonly mark?: string }) => ({
    apply: (batch) =>
      new Map(
        batch.map((event) => [
          event.id,
          config.mark === undefined
            ? behaviour.apply(event.event_name)
            : emit({ ...event, metadata: { mark: config.mark } }),
        ]),
      ),
  }),
});

let harness: Harness;
beforeAll(async () => {
  harness = await Harness.open([first, second, transform]);
}, 60_000);
afterAll(() => harness.close());

const nodesOf = (destinations: readonly string[], mark?: string) => {
  const step = mark === undefined ? [] : [{ id: 't', kind: 'transform' as const, type: 'test', config: { mark } }];
  const from = mark === undefined ? 'in' : 't';
  return {
    nodes: [
      { id: 'in', kind: 'source' as const, source: harness.source },
      ...step,
      ...destinations.map((destination, index) => ({ id: `out${index}`, kind: 'destination' as const, destination })),
    ],
    edges: [
      ...(mark === undefined ? [] : [['in', 't'] as [string, string]]),
      ...destinations.map((_, index): [string, string] => [from, `out${index}`]),
    ],
  };
};

describe('publishing', () => {
  test('gives every event to exactly one version, drops none and sends none twice, while events flow', async () => {
    const marks = new Map<string, string[]>();
    first.deliver = async (batch): Promise<DeliveryOutcomes> => {
      for (const { id, event } of batch.items)
        marks.set(id, [...(marks.get(id) ?? []), JSON.stringify(event.metadata['mark'])]);
      return new Map(batch.items.map(({ id }) => [id, delivered()]));
    };
    const { destination, pipeline } = await harness.connect('first');
    const accepted: string[] = [];
    const posting = (async (): Promise<void> => {
      for (let round = 0; round < 40; round += 1)
        accepted.push(...(await harness.accept(Array.from({ length: 25 }, () => ({ event_name: 'e' })))));
    })();
    for (let version = 0; version < 15; version += 1)
      await harness.publish(pipeline, nodesOf([destination], `v${version}`));
    await posting;
    expect(await harness.settled(destination)).toMatchObject({ accepted: 1_000, delivered: 1_000, dead: 0, parked: 0 });
    expect([...marks.keys()].toSorted()).toEqual(accepted.toSorted());
    expect([...marks.values()].every((seen) => seen.length === 1)).toBe(true);
    expect(new Set([...marks.values()].flat()).size).toBeGreaterThan(1);
    await harness.setDestination(destination, { enabled: false });
  }, 60_000);

  test('begins a new destination at the end of the log, and lets one that is left out finish what came before', async () => {
    const got = { first: 0, second: 0 };
    let open = false;
    first.deliver = async (batch) => {
      if (!open) throw new RetryableError('Not yet.', { code: 'HTTP_503' });
      got.first += 1;
      return new Map(batch.items.map(({ id }) => [id, delivered()]));
    };
    second.deliver = async (batch) => {
      got.second += 1;
      return new Map(batch.items.map(({ id }) => [id, delivered()]));
    };
    const { destination, pipeline } = await harness.connect('first');
    const other = await harness.destination('second');
    await harness.accept(Array.from({ length: 30 }, () => ({ event_name: 'before' })));
    await harness.publish(pipeline, nodesOf([other]));
    await harness.accept(Array.from({ length: 7 }, () => ({ event_name: 'after' })));
    expect(await harness.settled(other)).toMatchObject({ accepted: 7, delivered: 7 });
    open = true;
    await eventually(async () => got.first === 30, 20_000);
    expect(got).toEqual({ first: 30, second: 7 });
    await eventually(async () => (await harness.rows()).length === 0);
    expect(
      await eventually(async () =>
        (await harness.engine.accounting(harness.project)).every(({ destination: id }) => id !== destination),
      ),
    ).toBe(true);
  }, 40_000);
});

describe('an event whose transform failed', () => {
  test('goes the whole way again when the failure may pass, and is dead-lettered with its reason when it may not', async () => {
    let tries = 0;
    first.deliver = async (batch) => new Map(batch.items.map(({ id }) => [id, delivered()]));
    behaviour.apply = (name) => {
      if (name === 'never') return fail(new PermanentError('There is no such plan.', { code: 'PLAN_UNKNOWN' }));
      tries += 1;
      return tries < 3
        ? fail(new RetryableError('The look-up did not answer.', { code: 'LOOKUP_FAILED' }))
        : emit({ event_name: name });
    };
    const { destination } = await harness.connect('first', [{ type: 'test' }]);
    const [never] = await harness.accept([{ event_name: 'never' }, { event_name: 'later' }]);
    expect(await harness.settled(destination)).toMatchObject({ accepted: 2, delivered: 1, dead: 1 });
    expect(tries).toBe(3);
    const [dead] = await harness.rows();
    expect(dead).toMatchObject({
      event_id: never,
      state: 'dead',
      stage: 'transform',
      error_code: 'PLAN_UNKNOWN',
      error_message: 'There is no such plan.',
      payload: null,
    });

    // Replayed after the rule was mended, it arrives.
    behaviour.apply = (name) => emit({ event_name: name });
    await harness.database.db.updateTable('deliveries').set({ state: 'retrying', next_at: new Date() }).execute();
    harness.engine.wakeRetries(harness.project);
    expect(
      await eventually(async () =>
        (await harness.account(destination)).dead === 0 ? harness.settled(destination) : undefined,
      ),
    ).toMatchObject({ accepted: 2, delivered: 2, dead: 0 });
    await harness.setDestination(destination, { enabled: false });
  });

  test('of a batch that is refused by its receiver keeps the transformed payload for the next attempt', async () => {
    let refuse = true;
    const seen: string[] = [];
    behaviour.apply = (name) => emit({ event_name: `${name}!`, metadata: { at: seen.length } });
    first.deliver = async (batch) => {
      const [item] = batch.items;
      seen.push(JSON.stringify(item?.event));
      return new Map(
        batch.items.map(({ id }) => [
          id,
          refuse ? failed(new PermanentError('No.', { code: 'HTTP_422' })) : delivered(),
        ]),
      );
    };
    const { destination } = await harness.connect('first', [{ type: 'test' }]);
    await harness.accept([{ event_name: 'hello' }]);
    expect(await harness.settled(destination)).toMatchObject({ dead: 1 });
    refuse = false;
    await harness.database.db.updateTable('deliveries').set({ state: 'retrying', next_at: new Date() }).execute();
    harness.engine.wakeRetries(harness.project);
    await eventually(async () => seen.length === 2);
    expect(seen[1]).toBe(seen[0]);
    await harness.settled(destination);
  });
});
