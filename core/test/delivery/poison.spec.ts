import {
  defineTransform,
  delivered,
  drop,
  emit,
  failed,
  RetryableError,
  Type,
  type Event,
  type TransformOutcome,
} from '@switchyard/plugin-sdk';
import { eventually } from '../support/eventually.ts';
import { aDestination, sameFor, Harness } from './harness.ts';

const first = aDestination('first');
const second = aDestination('second');
const batched = aDestination('batched', { batch: { maxEvents: 10 } });
const plain = first.deliver;
const behaviour = { apply: (event: Event): TransformOutcome => emit(event), opens: true };
const transform = defineTransform<never>({
  type: 'test',
  title: 'Test',
  summary: 'A transform of the tests.',
  stability: 'stable',
  configVersion: 1,
  config: Type.Object({}, { additionalProperties: false }),
  examples: [{ title: 'The only one', config: {} as never }],
  batch: { maxEvents: 50 },
  create: () => ({
    open: (signal) =>
      behaviour.opens
        ? Promise.resolve()
        : new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error))),
    apply: (batch) => new Map(batch.map((event) => [event.id, behaviour.apply(event)])),
  }),
});

let harness: Harness;
beforeEach(async () => {
  harness = await Harness.open([first, second, batched, transform]);
}, 60_000);
afterEach(async () => {
  for (const destination of [first, second, batched]) destination.deliver = plain;
  behaviour.apply = (event) => emit(event);
  behaviour.opens = true;
  await harness.close();
}, 30_000);

const someEvents = (count: number): object[] =>
  Array.from({ length: count }, (_, index) => ({ event_name: `e${index}`, user_id: 'u' }));

test('a receiver that asks for a wait beyond the calendar holds up nobody else', async () => {
  first.deliver = async (batch) =>
    sameFor(batch, failed(new RetryableError('Later.', { code: 'HTTP_429', retryAfterMs: 1e16 })));
  await harness.connect('first');
  const { destination } = await harness.connect('second');
  await harness.accept(someEvents(6));
  expect(await harness.settled(destination)).toMatchObject({ accepted: 6, delivered: 6 });
  const [row] = await harness.rows();
  expect(row?.next_at?.getTime()).toBeLessThanOrEqual(Date.now() + 24 * 3_600_000);
});

test('an answer with a status that is none is not kept, and the event goes out once', async () => {
  let calls = 0;
  first.deliver = async (batch) => {
    calls += 1;
    return sameFor(batch, delivered({ request: 'POST /', response: { status: 3_000_000_000, body: '' } }));
  };
  const { destination } = await harness.connect('first');
  await harness.accept(someEvents(1));
  expect(await harness.settled(destination)).toMatchObject({ delivered: 1 });
  expect(calls).toBe(1);
});

test('a transform that throws for one event parks that event; its neighbours arrive', async () => {
  behaviour.apply = (event) => {
    if (event.event_name === 'e4') throw new TypeError('boom');
    return emit(event);
  };
  const { destination } = await harness.connect('first', [{ type: 'test' }]);
  await harness.accept(someEvents(9));
  expect(await harness.settled(destination)).toMatchObject({ accepted: 9, delivered: 8, parked: 1 });
}, 20_000);

test('a bug that one event of a batch provokes in its destination parks that event alone', async () => {
  batched.deliver = async (batch) => {
    if (batch.items.some(({ event }) => event.event_name === 'e4')) throw new RangeError('boom');
    return sameFor(batch, delivered());
  };
  const { destination } = await harness.connect('batched');
  await harness.accept(someEvents(9));
  expect(await harness.settled(destination)).toMatchObject({ accepted: 9, delivered: 8, parked: 1 });
}, 20_000);

test('events that wait for a retry come back when their destination is disabled while it is away, and enabled', async () => {
  first.deliver = () => Promise.reject(new RetryableError('No connection.', { code: 'CONNECTION_REFUSED' }));
  const { destination } = await harness.connect('first');
  await harness.accept(someEvents(10));
  await eventually(
    async () => harness.engine.status(destination).state === 'paused' && (await harness.rows()).length > 0,
  );
  await harness.setDestination(destination, { enabled: false });
  first.deliver = plain;
  await harness.setDestination(destination, { enabled: true });
  expect(await harness.settled(destination, 15_000)).toMatchObject({ accepted: 10, delivered: 10 });
}, 30_000);

test('a transform that cannot open holds up neither a change of the project nor the stop', async () => {
  behaviour.opens = false;
  const { destination } = await harness.connect('first', [{ type: 'test' }]);
  await harness.accept(someEvents(5));
  await harness.setDestination(destination, { enabled: false });
  await harness.setDestination(destination, { enabled: true });
  expect(await harness.account(destination)).toMatchObject({ accepted: 5, waiting: 5 });
  const started = performance.now();
  await harness.stop(1_000);
  expect(performance.now() - started).toBeLessThan(8_000);
  behaviour.opens = true;
  behaviour.apply = () => drop('enough');
  await harness.start();
  expect(await harness.settled(destination)).toMatchObject({ accepted: 5, filtered: 5 });
}, 40_000);
