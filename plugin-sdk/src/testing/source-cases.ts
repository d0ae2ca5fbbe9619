import type { Json } from '../event.ts';
import type {
  DraftResult,
  PullSource,
  PushSource,
  Receipt,
  SourceDefinition,
  SourceReply,
  SourceRequest,
} from '../source.ts';
import { attempt, describeThrown, must, settles, type CaseSpec } from './case.ts';
import { commonCases, type Exercise } from './common-cases.ts';
import { anEventId, aRequest, copyOf, deepFreeze } from './events.ts';
import type { RequestSample, SourceKitOptions } from './options.ts';
import { observe } from './purity.ts';
import type { Scene } from './scene.ts';
import { claimsByStatusOrError, idsIn, mixesOf, receiptProblem, replyProblem, summaryOf } from './source-receipts.ts';
import { Subject } from './subject.ts';

type Source = PushSource | PullSource;
type Accepted = Extract<Receipt, { readonly action: 'accept' }>;

const STOP_MS = 1000;
const NO_SAMPLES = 'give the kit sample requests through options.samples';

export function sourceCases<Config>(
  definition: SourceDefinition<Config>,
  options: SourceKitOptions<Config>,
): { readonly subject: Subject<Config, Source>; readonly cases: CaseSpec<Scene>[] } {
  const subject = new Subject<Config, Source>(definition, options);
  const samples = options.samples ?? [];
  const exercise: Exercise<Source> = async (scene, instance) => {
    if ('run' in instance)
      return instance.run(() => Promise.resolve([]), AbortSignal.abort(new Error('aborted by the kit')));
    for (const { request } of samples) await scene.hear('receive', () => instance.receive(copyOf(request)));
  };
  const own =
    definition.routes.length > 0
      ? pushCases(definition, subject, samples, options.claims ?? claimsByStatusOrError)
      : pullCases(subject);
  return { subject, cases: [...commonCases(subject, exercise), ...own] };
}

function pushCases<Config>(
  definition: SourceDefinition<Config>,
  subject: Subject<Config, Source>,
  samples: readonly RequestSample[],
  claims: (reply: SourceReply, index: number, results: readonly DraftResult[]) => boolean,
): CaseSpec<Scene>[] {
  const start = async (scene: Scene): Promise<PushSource> => {
    const { instance } = await subject.start(scene);
    must('receive' in instance, 'the definition has routes and the instance has no receive');
    return instance;
  };
  return [
    {
      name: 'serves routes that core can serve',
      rule: 'Routes have names and paths of their own; a path is absolute, literal and without a slash at its end.',
      async body() {
        const seen = new Set<string>();
        for (const { name, method, path } of definition.routes) {
          must(/^(\/[A-Za-z0-9._~-]+)+$/.test(path), `the path ${JSON.stringify(path)} is not literal and absolute`);
          for (const key of [`name ${name}`, `${method} ${path}`]) {
            must(!seen.has(key), `there are two routes with the ${key}`);
            seen.add(key);
          }
        }
      },
    },
    {
      name: 'finds the credential of each sample request',
      rule: 'credential finds the API key wherever the clients of this source put it.',
      async body() {
        must(samples.length > 0, NO_SAMPLES);
        for (const { request, credential } of samples) {
          const found = definition.credential(deepFreeze(copyOf(request)));
          must(
            found === credential,
            `for ${requestLine(request)} it found ${JSON.stringify(found)} instead of ${JSON.stringify(credential)}`,
          );
        }
      },
    },
    {
      name: 'finds no credential where there is none, without throwing',
      rule: 'credential is called for every request, whatever it looks like: it returns undefined or what it found.',
      async body() {
        for (const request of oddRequests(definition.routes[0]?.name ?? '')) {
          const found = attempt(() => definition.credential(request));
          must(found.ok, `for ${requestLine(request)} it threw ${found.ok ? '' : describeThrown(found.error)}`);
          must(
            found.value === undefined || typeof found.value === 'string',
            `for ${requestLine(request)} it returned a ${typeof found.value}`,
          );
        }
      },
    },
    {
      name: 'receives without side effects',
      rule: 'receive is pure: no I/O, no timers, no change of the request, the same receipt for the same request.',
      async body(scene) {
        const { instance, context } = await subject.start(scene);
        must('receive' in instance, 'the definition has routes and the instance has no receive');
        must(samples.length > 0, NO_SAMPLES);
        for (const { request } of samples) {
          const loose = copyOf(request);
          const first = await observe(() => instance.receive(loose));
          must(
            first.outcome.ok,
            `for ${requestLine(request)}, receive threw ${first.outcome.ok ? '' : describeThrown(first.outcome.error)}`,
          );
          must(
            JSON.stringify(loose) === JSON.stringify(request),
            `for ${requestLine(request)}, receive changed the request`,
          );
          must(first.effects.length === 0, `for ${requestLine(request)}, in receive, ${first.effects.join('; ')}`);
          const frozen = await observe(() => instance.receive(deepFreeze(copyOf(request))));
          must(
            frozen.outcome.ok && JSON.stringify(frozen.outcome.value) === JSON.stringify(first.outcome.value),
            `for ${requestLine(request)}, the second receipt differs from the first`,
          );
        }
        must(
          context.recorded.doors.size === 0,
          `receive used context.${[...context.recorded.doors].join(', context.')}`,
        );
      },
    },
    {
      name: 'answers each sample request with one of the three receipts',
      rule: 'A receipt accepts drafts, rejects with a status, a code and a message, or answers a challenge.',
      async body(scene) {
        const instance = await start(scene);
        must(
          samples.some(({ receipt }) => receipt === 'accept'),
          'none of options.samples is one that is accepted',
        );
        for (const { request, receipt: wanted } of samples) {
          const receipt = await scene.hear('receive', () => instance.receive(copyOf(request)));
          const problem = receiptProblem(receipt);
          must(problem === null, `for ${requestLine(request)}, ${problem ?? ''}`);
          must(
            receipt.action === wanted,
            `for ${requestLine(request)} the receipt is "${receipt.action}" instead of "${wanted}"`,
          );
        }
      },
    },
    {
      name: 'answers every request with a receipt',
      rule: 'receive does not throw: a request that makes no sense is rejected.',
      async body(scene) {
        const instance = await start(scene);
        for (const request of definition.routes.flatMap(({ name }) => oddRequests(name))) {
          const end = await settles(
            scene.hear('receive', () => instance.receive(request)),
            STOP_MS,
            'receive was not over',
          );
          must(end.ok, `for ${requestLine(request)}, receive threw ${end.ok ? '' : describeThrown(end.error)}`);
          const problem = receiptProblem(end.value);
          must(problem === null, `for ${requestLine(request)}, ${problem ?? ''}`);
        }
      },
    },
    {
      name: 'replies in good form, whatever became of the drafts',
      rule: 'A reply has a status that is no redirect, headers of one line, and a body that is JSON; for all results, none, and some.',
      async body(scene) {
        const instance = await start(scene);
        for (const accepted of await acceptedSamples(scene, instance, samples)) {
          for (const results of mixesOf(accepted.drafts.length)) {
            const problem = replyProblem(await scene.hear('reply', () => accepted.reply(results)));
            must(problem === null, `with ${summaryOf(results)}, ${problem ?? ''}`);
          }
        }
      },
    },
    {
      name: 'never claims success for a draft that failed',
      rule: 'A reply says no more than the results do: a client must learn that a draft was not stored, and no id that was not given.',
      async body(scene) {
        const instance = await start(scene);
        for (const accepted of await acceptedSamples(scene, instance, samples)) {
          for (const results of mixesOf(accepted.drafts.length)) {
            const reply = await scene.hear('reply', () => accepted.reply(results));
            const given = new Set(results.map((result) => (result.ok ? result.id : '')));
            const invented = idsIn(reply.body).find((id) => !given.has(id));
            must(
              invented === undefined,
              `with ${summaryOf(results)}, the reply contains the id ${invented ?? ''}, which no draft got`,
            );
            const claimed = results.findIndex((result, index) => !result.ok && claims(reply, index, results));
            must(
              claimed < 0,
              `with ${summaryOf(results)}, the reply (${reply.status}) says nothing of the failure of draft ${claimed}`,
            );
          }
        }
      },
    },
  ];
}

function pullCases<Config>(subject: Subject<Config, Source>): CaseSpec<Scene>[] {
  const emits = {
    'before anything could be stored': (): Promise<readonly DraftResult[]> => new Promise(() => {}),
    'while it runs': (drafts: readonly unknown[]) =>
      Promise.resolve(drafts.map(() => ({ ok: true as const, id: anEventId() }))),
  };
  return [
    {
      name: 'stops running when it is aborted',
      rule: 'run goes on until its signal aborts, and then ends soon, also while emit has not resolved.',
      async body(scene) {
        for (const [when, emit] of Object.entries(emits)) {
          const { instance } = await subject.start(scene);
          must('run' in instance, 'the definition has no routes and the instance has no run');
          const controller = new AbortController();
          const run = scene.hear('run', () => instance.run(emit, controller.signal));
          controller.abort(new Error('aborted by the kit'));
          await settles(run, STOP_MS, `aborted ${when}, run was not over after ${STOP_MS} ms`);
        }
      },
    },
  ];
}

async function acceptedSamples(
  scene: Scene,
  instance: PushSource,
  samples: readonly RequestSample[],
): Promise<readonly Accepted[]> {
  const receipts = await Promise.all(
    samples.map(({ request }) => scene.hear('receive', () => instance.receive(copyOf(request)))),
  );
  const accepted = receipts.filter(
    (receipt): receipt is Accepted => receipt.action === 'accept' && receipt.drafts.length > 0,
  );
  must(accepted.length > 0, 'none of options.samples gave a receipt that accepts a draft');
  return accepted;
}

/** What scanners and broken clients send. */
function oddRequests(route: string): readonly SourceRequest[] {
  const authorizations = ['', 'Basic', 'Basic %%%', 'Bearer', 'Bearer ', 'Digest x', ' '];
  const bodies: readonly (Json | undefined)[] = [
    null,
    [],
    {},
    '',
    0,
    false,
    [null],
    [[]],
    { batch: null },
    { batch: {} },
    { events: 'x' },
    { events: [null, 1, 'x', []] },
  ];
  return [
    aRequest({ route }),
    ...authorizations.map((authorization) => aRequest({ route, headers: { authorization } })),
    ...bodies.map((body) => aRequest({ route, body })),
  ].map(deepFreeze);
}

function requestLine({ route, body }: SourceRequest): string {
  return `a request to "${route}" with the body ${JSON.stringify(body)?.slice(0, 100) ?? '(none)'}`;
}
