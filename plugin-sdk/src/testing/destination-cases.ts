import type {
  DeliveryBatch,
  DeliveryOutcome,
  DeliveryOutcomes,
  Destination,
  DestinationDefinition,
} from '../destination.ts';
import { isDeliveryError } from '../errors.ts';
import type { Event } from '../event.ts';
import { describeThrown, must, settles, type CaseSpec } from './case.ts';
import { commonCases, type Exercise } from './common-cases.ts';
import { abortedWell, answersFor, outcomeProblem } from './delivery-outcomes.ts';
import { aBatch, anEventId, copyOf, deepFreeze, hostileEvents, looseEvent } from './events.ts';
import { answer, faultServer } from './fault-server.ts';
import { httpCases } from './http-cases.ts';
import type { DestinationKitOptions } from './options.ts';
import type { Scene } from './scene.ts';
import { Subject } from './subject.ts';

const ABORT_MS = 1000;
const LARGEST_BATCH = 10_000;
const ORDERINGS: ReadonlySet<unknown> = new Set(['none', 'key', 'partition']);

export function destinationCases<Config>(
  definition: DestinationDefinition<Config>,
  options: DestinationKitOptions<Config>,
): { readonly subject: Subject<Config, Destination>; readonly cases: CaseSpec<Scene>[] } {
  const { http } = options;
  const everyday = async (scene: Scene): Promise<Config> => {
    if (http === undefined) return options.config ?? definition.examples[0].config;
    const server = await faultServer(answer(http.success ?? { status: 200, body: '{}' }));
    scene.defer(() => server.close());
    return http.config(server.url);
  };
  const subject = new Subject<Config, Destination>(definition, options, everyday);
  const exercise: Exercise<Destination> = async (scene, instance) => {
    await deliver(scene, instance, aBatch([looseEvent()]));
    await scene.hear('check', () => instance.check(scene.signal));
  };
  const cases = [
    ...commonCases(subject, exercise),
    ...batchCases(subject, definition, options.samples ?? []),
    ...flightCases(subject, definition),
    ...checkCases(subject, options),
    ...(http === undefined ? [] : httpCases(subject, http)),
  ];
  return { subject, cases };
}

function deliver(
  scene: Scene,
  instance: Destination,
  batch: DeliveryBatch,
  signal = scene.signal,
): Promise<DeliveryOutcomes> {
  return scene.hear('deliver', () => instance.deliver(batch, signal));
}

function batchCases<Config>(
  subject: Subject<Config, Destination>,
  definition: DestinationDefinition<Config>,
  samples: readonly Event[],
): CaseSpec<Scene>[] {
  const { batch, concurrency, ordering } = definition.capabilities;
  const many = (count: number): Event[] =>
    Array.from({ length: Math.min(count, batch.maxEvents, LARGEST_BATCH) }, () => looseEvent());
  /** The author's samples and everyday events, in batches that the destination takes. */
  const everyday = (): DeliveryBatch[] => {
    const events = [
      looseEvent(),
      looseEvent({ event_name: 'page_view', user_id: null, metadata: {} }),
      ...samples.map((sample) => ({ ...copyOf(sample), id: anEventId() })),
    ];
    return chunks(events, batch.maxEvents).map((chunk) => aBatch(chunk));
  };
  return [
    {
      name: 'states capabilities that make sense',
      rule: 'capabilities has a batch.maxEvents and a concurrency that are whole numbers, 1 or more, and an ordering that exists.',
      async body() {
        must(Number.isInteger(batch.maxEvents) && batch.maxEvents >= 1, `batch.maxEvents is ${batch.maxEvents}`);
        must(Number.isInteger(concurrency) && concurrency >= 1, `concurrency is ${concurrency}`);
        must(ORDERINGS.has(ordering), `ordering is ${JSON.stringify(ordering)}`);
      },
    },
    {
      name: 'has an outcome for every event and for no other',
      rule: 'deliver says what became of every item of the batch, by id: a missing one is recorded as PLUGIN_MISSING_OUTCOME.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        for (const work of everyday()) answersFor(await deliver(scene, instance, work), work);
      },
    },
    {
      name: 'says delivered or failed, and nothing else',
      rule: 'An outcome is delivered, or failed with one of the three errors and a code in UPPER_SNAKE; an exchange is text.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const delivered: DeliveryOutcome[] = [];
        for (const work of everyday()) delivered.push(...(await deliver(scene, instance, work)).values());
        for (const outcome of delivered) {
          const problem = outcomeProblem(outcome);
          must(problem === null, problem ?? '');
        }
        must(
          delivered.some(({ status }) => status === 'delivered'),
          'not one everyday event was delivered',
        );
      },
    },
    {
      name: 'takes a batch again',
      rule: 'Delivery is at least once: the same batch, at the same position, may come again, and then as retries without a position.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const first = aBatch(many(5));
        const again = aBatch(
          first.items.map(({ event }) => event),
          { position: first.position, attempt: 2 },
        );
        const retry = aBatch(
          first.items.map(({ event }) => event),
          { position: null, attempt: 3 },
        );
        for (const [which, work] of Object.entries({ first, again, retry })) {
          const outcomes = await deliver(scene, instance, work);
          const kept = work.items.filter(({ id }) => outcomes.get(id)?.status === 'delivered').length;
          must(kept === work.items.length, `of ${work.items.length} events, ${kept} were delivered (${which})`);
        }
      },
    },
    {
      name: 'handles a full batch',
      rule: 'deliver takes as many items as batch.maxEvents says.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const work = aBatch(many(batch.maxEvents));
        answersFor(await deliver(scene, instance, work), work);
      },
    },
    {
      name: 'leaves the events that it gets as they are',
      rule: 'Events are shared between subscriptions and deeply frozen.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const loose = aBatch(many(2));
        const before = JSON.stringify(loose);
        await deliver(scene, instance, loose);
        must(JSON.stringify(loose) === before, 'the batch was changed');
        const end = await settles(
          deliver(scene, instance, deepFreeze(aBatch(many(2)))),
          ABORT_MS * 2,
          'deliver was not over',
        );
        must(end.ok, `with frozen events, deliver threw ${end.ok ? '' : describeThrown(end.error)}`);
      },
    },
    {
      name: 'answers for hostile events without losing their neighbours',
      rule: 'An event that is unusual gets an outcome of its own, at worst a failure: deliver does not throw for it, and its neighbours are delivered.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const members = Reflect.ownKeys(Object.prototype).length;
        for (const [kind, event] of hostileEvents()) {
          const neighbour = looseEvent();
          const work = aBatch(batch.maxEvents === 1 ? [event] : [neighbour, event]);
          const end = await settles(deliver(scene, instance, work), ABORT_MS * 2, `with ${kind}, deliver was not over`);
          must(end.ok, `with ${kind}, deliver threw ${end.ok ? '' : describeThrown(end.error)}`);
          must(end.value.has(event.id), `with ${kind}, the event has no outcome`);
          must(
            work.items.length === 1 || end.value.get(neighbour.id)?.status === 'delivered',
            `with ${kind}, its neighbour was not delivered`,
          );
        }
        must(Reflect.ownKeys(Object.prototype).length === members, 'Object.prototype was changed');
      },
    },
  ];
}

function flightCases<Config>(
  subject: Subject<Config, Destination>,
  definition: DestinationDefinition<Config>,
): CaseSpec<Scene>[] {
  const { batch, concurrency } = definition.capabilities;
  return [
    {
      name: 'keeps deliveries that are under way at once apart',
      rule: 'As many deliver calls as capabilities.concurrency says may be under way: each answers for its own items.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const works = Array.from({ length: Math.min(concurrency, 4) }, () =>
          aBatch(Array.from({ length: Math.min(batch.maxEvents, 3) }, () => looseEvent())),
        );
        const results = await Promise.all(works.map((work) => deliver(scene, instance, work)));
        for (const [at, outcomes] of results.entries()) {
          const others = works.filter((_, other) => other !== at).flatMap(({ items }) => items);
          must(!others.some(({ id }) => outcomes.has(id)), 'a call answered for an item of another call');
          must(
            (works[at]?.items ?? []).some(({ id }) => outcomes.has(id)),
            'a call answered for none of its items',
          );
        }
      },
    },
    {
      name: 'stops when it is aborted',
      rule: "When the signal aborts, before the call or during it, deliver ends soon: with outcomes, or by throwing the signal's reason.",
      async body(scene) {
        const { instance } = await subject.start(scene);
        const reason = new Error('aborted by the kit');
        const before = deliver(scene, instance, aBatch([looseEvent()]), AbortSignal.abort(reason));
        abortedWell(
          await settles(
            before,
            ABORT_MS,
            `with a signal that was aborted already, deliver was not over after ${ABORT_MS} ms`,
          ),
          reason,
        );
        const controller = new AbortController();
        const during = deliver(
          scene,
          instance,
          aBatch(Array.from({ length: batch.maxEvents }, () => looseEvent()).slice(0, LARGEST_BATCH)),
          controller.signal,
        );
        controller.abort(reason);
        abortedWell(
          await settles(during, ABORT_MS, `deliver was not over ${ABORT_MS} ms after its signal aborted`),
          reason,
        );
      },
    },
    {
      name: 'can be closed during a delivery',
      rule: 'close finishes what is under way: both end, and the delivery ends with outcomes or one of the three errors.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        const work = aBatch([looseEvent()]);
        const delivery = settles(
          deliver(scene, instance, work),
          ABORT_MS * 3,
          'the delivery under way was not over after close',
        );
        const close = scene.hear('close', () => instance.close?.(scene.signal));
        const closed = await settles(close, ABORT_MS * 2, 'close was not over');
        must(closed.ok, `close threw ${closed.ok ? '' : describeThrown(closed.error)}`);
        const end = await delivery;
        if (end.ok) answersFor(end.value, work);
        const known = end.ok || isDeliveryError(end.error);
        must(known, `deliver threw ${known ? '' : describeThrown(end.error)}, which is none of the three errors`);
      },
    },
  ];
}

function checkCases<Config>(
  subject: Subject<Config, Destination>,
  options: DestinationKitOptions<Config>,
): CaseSpec<Scene>[] {
  const check = async (scene: Scene, config?: Config): Promise<boolean> => {
    const { instance } = await subject.make(scene, config === undefined ? {} : { config });
    const end = await settles(
      scene.hear('check', () => instance.check(scene.signal)),
      4000,
      'check was not over after 4000 ms',
    );
    must(end.ok, `check threw ${end.ok ? '' : describeThrown(end.error)}: what it found belongs into its result`);
    must(
      typeof end.value.message === 'string' && end.value.message.trim() !== '',
      'the result of check has no message',
    );
    return end.value.ok;
  };
  const cases: CaseSpec<Scene>[] = [
    {
      name: 'checks a connection that works, without open',
      rule: 'check answers { ok: true } with a sentence for a person, with short-lived resources of its own.',
      async body(scene) {
        must(await check(scene), 'check says that it does not work');
      },
    },
  ];
  const { http, unreachable } = options;
  if (http === undefined && unreachable === undefined) return cases;
  cases.push({
    name: 'checks a connection that does not work',
    rule: 'check answers { ok: false } with what came back; it does not throw for it.',
    async body(scene) {
      if (unreachable !== undefined) must(!(await check(scene, unreachable)), 'check says that it works');
      if (http === undefined) return;
      const server = await faultServer(answer({ status: 401 }));
      scene.defer(() => server.close());
      must(!(await check(scene, http.config(server.url))), 'the receiver answers 401, and check says that it works');
      await server.close();
      must(!(await check(scene, http.config(server.url))), 'nobody listens, and check says that it works');
    },
  });
  return cases;
}

function chunks(events: readonly Event[], size: number): Event[][] {
  return Array.from({ length: Math.ceil(events.length / size) }, (_, at) => events.slice(at * size, (at + 1) * size));
}
