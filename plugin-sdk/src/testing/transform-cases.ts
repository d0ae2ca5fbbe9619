import { randomInt } from 'node:crypto';
import type { Event, EventId } from '../event.ts';
import type { Transform, TransformDefinition, TransformOutcome, TransformOutcomes } from '../transform.ts';
import { describeThrown, must, settles, type CaseSpec } from './case.ts';
import { commonCases, type Exercise } from './common-cases.ts';
import { anEventId, copyOf, deepFreeze, hostileEvents, looseEvent } from './events.ts';
import type { TransformKitOptions } from './options.ts';
import type { Scene } from './scene.ts';
import { Subject } from './subject.ts';
import { answersFor, labelOf, outcomeProblem, plainThroughout } from './transform-outcomes.ts';

const ABORT_MS = 1000;
/** A batch beyond this says nothing more. */
const LARGEST_BATCH = 10_000;

export function transformCases<Config>(
  definition: TransformDefinition<Config>,
  options: TransformKitOptions<Config>,
): { readonly subject: Subject<Config, Transform>; readonly cases: CaseSpec<Scene>[] } {
  const subject = new Subject<Config, Transform>(definition, options);
  const trial = new TransformTrial(subject, definition.batch.maxEvents, options.samples ?? []);
  const exercise: Exercise<Transform> = async (scene, instance) => {
    await trial.apply(scene, instance, [looseEvent()]);
  };
  return {
    subject,
    cases: [...commonCases(subject, exercise), ...outcomeCases(trial), ...inputCases(trial), ...callCases(trial)],
  };
}

/** One transform under trial: how the cases call it, and the events that they call it with. */
class TransformTrial<Config> {
  readonly subject: Subject<Config, Transform>;
  readonly maxEvents: number;
  readonly #samples: readonly Event[];

  constructor(subject: Subject<Config, Transform>, maxEvents: number, samples: readonly Event[]) {
    this.subject = subject;
    this.maxEvents = maxEvents;
    this.#samples = samples;
  }

  /** The author's samples and everyday events, with ids of their own, not frozen. */
  everyday(): Event[] {
    const own = this.#samples.map((sample) => ({ ...copyOf(sample), id: anEventId() }));
    return [looseEvent(), looseEvent({ event_name: 'page_view', user_id: null, metadata: {} }), ...own];
  }

  async start(scene: Scene): Promise<Transform> {
    return (await this.subject.start(scene)).instance;
  }

  apply(
    scene: Scene,
    instance: Transform,
    events: readonly Event[],
    signal = scene.signal,
  ): Promise<TransformOutcomes> {
    return scene.hear('apply', () => instance.apply(events, signal));
  }

  /** Applies in batches that the transform takes. */
  async applyAll(scene: Scene, instance: Transform, events: readonly Event[]): Promise<TransformOutcomes> {
    const all = new Map<EventId, TransformOutcome>();
    for (let from = 0; from < events.length; from += this.maxEvents) {
      for (const [id, outcome] of await this.apply(scene, instance, events.slice(from, from + this.maxEvents)))
        all.set(id, outcome);
    }
    return all;
  }
}

function outcomeCases<Config>(trial: TransformTrial<Config>): CaseSpec<Scene>[] {
  return [
    {
      name: 'takes batches of a size that makes sense',
      rule: 'batch.maxEvents is a whole number, 1 or more.',
      async body() {
        must(Number.isInteger(trial.maxEvents) && trial.maxEvents >= 1, `batch.maxEvents is ${trial.maxEvents}`);
      },
    },
    {
      name: 'has an outcome for every event and for no other',
      rule: 'The result of apply has one outcome for the id of every event in the batch: a missing one fails its event.',
      async body(scene) {
        const instance = await trial.start(scene);
        const events = trial.everyday();
        answersFor(await trial.applyAll(scene, instance, events), events);
      },
    },
    {
      name: 'emits, drops or fails, and nothing else',
      rule: 'An outcome emits at least one event that ingress would take, drops with a reason, or fails with one of the three errors.',
      async body(scene) {
        const instance = await trial.start(scene);
        const events = trial.everyday();
        for (const outcome of (await trial.applyAll(scene, instance, events)).values()) {
          const problem = outcomeProblem(outcome);
          must(problem === null, problem ?? '');
        }
      },
    },
    {
      name: 'gives reasons and codes that do not differ from event to event',
      rule: 'Drops are counted by reason and failures are grouped by code: neither contains anything of the event.',
      async body(scene) {
        const instance = await trial.start(scene);
        const twins = trial.everyday().flatMap((event) => [marked(event), marked(event)]);
        const outcomes = await trial.applyAll(scene, instance, twins);
        for (const [at, event] of twins.entries()) {
          const label = labelOf(outcomes.get(event.id));
          const twin = labelOf(outcomes.get(twins[at % 2 === 0 ? at + 1 : at - 1]?.id ?? ''));
          const marks = [event.id, event.received_at, event.user_id ?? event.id];
          must(
            label === null || !marks.some((mark) => label.includes(mark)),
            `${JSON.stringify(label)} names the event`,
          );
          must(
            label === null || twin === null || label === twin,
            `two events that differ only in who and when got ${JSON.stringify(label)} and ${JSON.stringify(twin)}`,
          );
        }
      },
    },
  ];
}

function inputCases<Config>(trial: TransformTrial<Config>): CaseSpec<Scene>[] {
  return [
    {
      name: 'leaves the events that it gets as they are',
      rule: 'Events are shared between subscriptions and deeply frozen: a transform that wants another event makes one.',
      async body(scene) {
        const instance = await trial.start(scene);
        const [usual, hostile] = [trial.everyday(), [...hostileEvents().values()]];
        const events = [...usual, ...hostile];
        const before = events.map((event) => JSON.stringify(event));
        await trial.applyAll(scene, instance, usual);
        // Whether it copes with these is another case.
        for (const event of hostile) await trial.apply(scene, instance, [event]).catch(() => {});
        for (const [at, event] of events.entries())
          must(
            JSON.stringify(event) === before[at],
            `an event was changed from ${before[at]?.slice(0, 300)} to ${JSON.stringify(event).slice(0, 300)}`,
          );
        const end = await settles(
          trial.applyAll(scene, instance, deepFreeze(trial.everyday())),
          ABORT_MS * 2,
          'apply was not over',
        );
        must(end.ok, `with frozen events, apply threw ${end.ok ? '' : describeThrown(end.error)}`);
      },
    },
    {
      name: 'answers for hostile events without losing their neighbours',
      rule: 'An event that is unusual gets an outcome of its own, at worst a failure: apply does not throw for it, its neighbours come out as they do without it, and nothing gets a prototype out of data.',
      async body(scene) {
        const instance = await trial.start(scene);
        const neighbour = looseEvent();
        const alone = (await trial.apply(scene, instance, [neighbour])).get(neighbour.id)?.action;
        const members = Reflect.ownKeys(Object.prototype).length;
        for (const [kind, event] of hostileEvents()) {
          const events = trial.maxEvents === 1 ? [event] : [neighbour, event];
          const end = await settles(
            trial.apply(scene, instance, events),
            ABORT_MS * 2,
            `with ${kind}, apply was not over`,
          );
          must(end.ok, `with ${kind}, apply threw ${end.ok ? '' : describeThrown(end.error)}`);
          const outcome = end.value.get(event.id);
          must(outcome !== undefined, `with ${kind}, the event has no outcome`);
          const foreign =
            outcome.action === 'emit' ? outcome.events.find((output) => !plainThroughout(output)) : undefined;
          must(foreign === undefined, `with ${kind}, an emitted object has a prototype that came from data`);
          must(
            events.length === 1 || end.value.get(neighbour.id)?.action === alone,
            `with ${kind}, its neighbour came out otherwise`,
          );
        }
        must(Reflect.ownKeys(Object.prototype).length === members, 'Object.prototype was changed');
      },
    },
  ];
}

function callCases<Config>(trial: TransformTrial<Config>): CaseSpec<Scene>[] {
  return [
    {
      name: 'handles a full batch',
      rule: 'apply takes as many events as batch.maxEvents says.',
      async body(scene) {
        const instance = await trial.start(scene);
        const events = Array.from({ length: Math.min(trial.maxEvents, LARGEST_BATCH) }, () => looseEvent());
        const end = await settles(
          trial.apply(scene, instance, events),
          4000,
          `apply with ${events.length} events was not over after 4000 ms`,
        );
        must(end.ok, `with ${events.length} events, apply threw ${end.ok ? '' : describeThrown(end.error)}`);
        const answered = events.filter((event) => end.value.has(event.id)).length;
        must(answered === events.length, `of ${events.length} events, ${answered} have an outcome`);
      },
    },
    {
      name: 'keeps calls that are under way at once apart',
      rule: 'Any number of apply calls may be under way: each answers for its own events.',
      async body(scene) {
        const instance = await trial.start(scene);
        const batches = Array.from({ length: 4 }, () =>
          Array.from({ length: Math.min(trial.maxEvents, 5) }, () => looseEvent()),
        );
        const results = await Promise.all(batches.map((batch) => trial.apply(scene, instance, batch)));
        for (const [at, result] of results.entries()) {
          const others = batches.filter((_, other) => other !== at).flat();
          must(!others.some((event) => result.has(event.id)), 'a call answered for an event of another call');
          must(
            (batches[at] ?? []).some((event) => result.has(event.id)),
            'a call answered for none of its events',
          );
        }
      },
    },
    {
      name: 'stops when it is aborted',
      rule: 'When the signal aborts, before the call or during it, apply ends soon; its result is not looked at.',
      async body(scene) {
        const instance = await trial.start(scene);
        const aborted = AbortSignal.abort(new Error('aborted by the kit'));
        await settles(
          trial.apply(scene, instance, [looseEvent()], aborted),
          ABORT_MS,
          `with a signal that was aborted already, apply was not over after ${ABORT_MS} ms`,
        );
        const controller = new AbortController();
        const call = trial.apply(
          scene,
          instance,
          Array.from({ length: Math.min(trial.maxEvents, LARGEST_BATCH) }, () => looseEvent()),
          controller.signal,
        );
        controller.abort(new Error('aborted by the kit'));
        await settles(call, ABORT_MS, `apply was not over ${ABORT_MS} ms after its signal aborted`);
      },
    },
  ];
}

/** A copy that differs from another marked copy only in who did it and when. */
function marked(event: Event): Event {
  const received_at = new Date(Date.now() - randomInt(1e9)).toISOString();
  return {
    ...copyOf(event),
    id: anEventId(),
    received_at,
    user_id: event.user_id === null ? null : `mark-${randomInt(1e9)}`,
  };
}
