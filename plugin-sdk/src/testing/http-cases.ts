import type { DeliveryBatch, DeliveryOutcome, Destination } from '../destination.ts';
import { isDeliveryError, type DeliveryError, type FailureKind } from '../errors.ts';
import { describeThrown, must, settles, type CaseSpec } from './case.ts';
import type { TestContext } from './context.ts';
import { aBatch, looseEvent } from './events.ts';
import {
  answer,
  dropConnection,
  dropMidBody,
  endlessBody,
  faultServer,
  neverAnswer,
  type FaultServer,
  type Treatment,
} from './fault-server.ts';
import { testHttpClient } from './http-client.ts';
import type { HttpDestinationOptions } from './options.ts';
import type { Scene } from './scene.ts';
import type { Subject } from './subject.ts';

const ABORT_MS = 1000;
/** Where a receiver is silent, the client gives up after this; what it gives up with is what the cases look at. */
const SHORT_TIMEOUT_MS = 200;
const KEPT_BYTES = 65_536;
const DAY_MS = 86_400_000;

/** What `deliver` made of one event. */
type Verdict =
  | { readonly kind: 'delivered'; readonly outcome: DeliveryOutcome }
  | { readonly kind: FailureKind; readonly error: DeliveryError };

/** A destination with a receiver that can be told to misbehave. */
class Line {
  readonly scene: Scene;
  readonly server: FaultServer;
  readonly instance: Destination;
  readonly context: TestContext;

  constructor(scene: Scene, server: FaultServer, instance: Destination, context: TestContext) {
    this.scene = scene;
    this.server = server;
    this.instance = instance;
    this.context = context;
  }

  send(batch: DeliveryBatch, signal = this.scene.signal): Promise<ReadonlyMap<string, DeliveryOutcome>> {
    return this.scene.hear('deliver', () => this.instance.deliver(batch, signal));
  }

  /** Sends one event. A throw and a failed outcome say the same of a batch of one. */
  async sendOne(batch: DeliveryBatch = aBatch([looseEvent()])): Promise<Verdict> {
    const end = await settles(this.send(batch), 4000, 'deliver was not over after 4000 ms');
    if (!end.ok) return verdictOf(end.error, 'deliver threw');
    const outcome = end.value.get(batch.items[0]?.id ?? '');
    must(outcome !== undefined, 'the event has no outcome');
    return outcome.status === 'delivered'
      ? { kind: 'delivered', outcome }
      : verdictOf(outcome.error, 'the outcome failed with');
  }
}

function verdictOf(error: unknown, how: string): Verdict {
  must(isDeliveryError(error), `${how} ${describeThrown(error)}, which is none of the three errors`);
  return { kind: error.kind, error };
}

/** Every fault of a receiver, on a real server. */
export function httpCases<Config>(
  subject: Subject<Config, Destination>,
  http: HttpDestinationOptions<Config>,
): CaseSpec<Scene>[] {
  const connect = async (scene: Scene, treatment: Treatment, timeoutCapMs?: number): Promise<Line> => {
    const server = await faultServer(treatment);
    scene.defer(() => server.close());
    const client = timeoutCapMs === undefined ? {} : { context: { http: testHttpClient({ timeoutCapMs }) } };
    const { instance, context } = await subject.start(scene, { config: http.config(server.url), ...client });
    return new Line(scene, server, instance, context);
  };
  const success = answer(http.success ?? { status: 200, body: '{}' });
  return [...answerCases(connect, success), ...silenceCases(connect, success)];
}

type Connect = (scene: Scene, treatment: Treatment, timeoutCapMs?: number) => Promise<Line>;

function answerCases(connect: Connect, success: Treatment): CaseSpec<Scene>[] {
  /** One answer after another, each of which must lead to one of `kinds`. */
  const statuses = (
    name: string,
    rule: string,
    list: readonly number[],
    kinds: readonly Verdict['kind'][],
  ): CaseSpec<Scene> => ({
    name,
    rule,
    async body(scene) {
      const line = await connect(scene, success);
      for (const status of list) {
        line.server.treat(answer({ status }));
        const { kind } = await line.sendOne();
        must(kinds.includes(kind), `${status} led to "${kind}" instead of "${kinds.join('" or "')}"`);
      }
    },
  });
  return [
    {
      name: 'delivers over HTTP, through context.http only',
      rule: 'When the receiver takes the event, it is delivered. Every request goes through context.http: it alone is guarded.',
      async body(scene) {
        const line = await connect(scene, success);
        const verdict = await line.sendOne();
        must(verdict.kind === 'delivered', `the receiver took the event, and it counts as "${verdict.kind}"`);
        must(line.server.received.length > 0, 'the event counts as delivered, and no request arrived');
        const { length } = line.context.recorded.requests;
        must(
          line.server.received.length === length,
          `${line.server.received.length} requests arrived, and ${length} went through context.http`,
        );
      },
    },
    {
      name: 'sends the event id, the same on every attempt',
      rule: 'The id of the item is in every request, and headers that receivers remove duplicates by do not change between attempts.',
      async body(scene) {
        const line = await connect(scene, answer({ status: 503 }));
        const event = looseEvent();
        await line.sendOne(aBatch([event]));
        line.server.treat(success);
        await line.sendOne(aBatch([event], { position: null, attempt: 2 }));
        const [first, second] = [line.server.received.at(0), line.server.received.at(-1)];
        must(
          first !== undefined && second !== undefined && first !== second,
          'two attempts did not lead to two requests',
        );
        for (const { headers, body } of [first, second])
          must(
            body.includes(event.id) || Object.values(headers).includes(event.id),
            `the event id is neither in the body nor in a header`,
          );
        for (const name of Object.keys(first.headers).filter(isIdentity)) {
          must(
            first.headers[name] === second.headers[name],
            `the header ${name} was ${first.headers[name]} on the first attempt and ${second.headers[name]} on the second`,
          );
        }
      },
    },
    statuses(
      'retries 500, 502, 503 and 504',
      'A server that is in trouble may recover: RetryableError.',
      [500, 502, 503, 504],
      ['retryable'],
    ),
    {
      name: 'retries 429 when the receiver says so',
      rule: 'Retry-After, in seconds or as a date, becomes retryAfterMs of a RetryableError, at most a day.',
      async body(scene) {
        const line = await connect(scene, success);
        const after = async (value: string): Promise<number | undefined> => {
          line.server.treat(answer({ status: 429, headers: { 'retry-after': value } }));
          const verdict = await line.sendOne();
          must(verdict.kind === 'retryable', `429 led to "${verdict.kind}" instead of "retryable"`);
          return 'retryAfterMs' in verdict.error ? verdict.error.retryAfterMs : undefined;
        };
        const seconds = await after('7');
        must(seconds === 7000, `Retry-After: 7 became ${seconds} ms`);
        const date = await after(new Date(Date.now() + 90_000).toUTCString());
        must(date !== undefined && date > 60_000 && date <= 90_000, `a Retry-After 90 seconds ahead became ${date} ms`);
        const huge = await after('99999999999');
        must(huge === undefined || huge <= DAY_MS, `Retry-After: 99999999999 became ${huge} ms`);
      },
    },
    {
      name: 'survives a Retry-After that makes no sense',
      rule: 'A Retry-After that is garbage, negative or past is as good as none: RetryableError, and no retryAfterMs below zero.',
      async body(scene) {
        const line = await connect(scene, success);
        for (const value of ['soon', '-5', '', '1e9', 'NaN', '0x10', 'Thu, 01 Jan 1970 00:00:00 GMT', '7, 8']) {
          line.server.treat(answer({ status: 429, headers: { 'retry-after': value } }));
          const verdict = await line.sendOne();
          must(
            verdict.kind === 'retryable',
            `with Retry-After "${value}", 429 led to "${verdict.kind}" instead of "retryable"`,
          );
          const ms = 'retryAfterMs' in verdict.error ? verdict.error.retryAfterMs : undefined;
          must(ms === undefined || (ms >= 0 && ms <= DAY_MS), `Retry-After "${value}" became ${ms} ms`);
        }
      },
    },
    statuses(
      'gives up on an event that is answered with 400',
      'The receiver will never take this event: PermanentError.',
      [400],
      ['permanent'],
    ),
    statuses(
      'asks its owner about 401 and 403',
      'The credentials are wrong, for every event: ConfigError.',
      [401, 403],
      ['config'],
    ),
    statuses('asks its owner about 410', 'The endpoint is gone, for every event: ConfigError.', [410], ['config']),
    {
      name: 'does not follow a redirect',
      rule: 'A redirect is a failure that its owner mends: it is not followed, and not retried as if it would go away.',
      async body(scene) {
        const line = await connect(scene, (response, request) =>
          answer(
            request.path === '/elsewhere' ? { status: 200 } : { status: 302, headers: { location: '/elsewhere' } },
          )(response, request),
        );
        const { kind } = await line.sendOne();
        must(!line.server.received.some(({ path }) => path === '/elsewhere'), 'it followed the redirect');
        must(kind === 'config' || kind === 'permanent', `302 led to "${kind}" instead of "config" or "permanent"`);
      },
    },
  ];
}

function silenceCases(connect: Connect, success: Treatment): CaseSpec<Scene>[] {
  const noAnswer = (name: string, treatment: Treatment): CaseSpec<Scene> => ({
    name,
    rule: 'Where there was no complete answer, nobody knows what became of the event: RetryableError.',
    async body(scene) {
      const { kind } = await (await connect(scene, treatment, SHORT_TIMEOUT_MS)).sendOne();
      must(kind === 'retryable', `it led to "${kind}" instead of "retryable"`);
    },
  });
  return [
    {
      name: 'retries when the connection is refused',
      rule: 'A receiver that does not listen may come back: RetryableError.',
      async body(scene) {
        const line = await connect(scene, success);
        await line.server.close();
        const { kind } = await line.sendOne();
        must(kind === 'retryable', `it led to "${kind}" instead of "retryable"`);
      },
    },
    noAnswer('retries when the connection is dropped before an answer', dropConnection),
    noAnswer('retries when the connection is dropped inside the answer', dropMidBody),
    noAnswer('retries when the receiver never answers', neverAnswer),
    {
      name: 'bounds an answer without end',
      rule: 'A body is read to 64 KiB and no further, and an exchange keeps no more than that.',
      async body(scene) {
        const verdict = await (await connect(scene, endlessBody)).sendOne();
        const kept =
          verdict.kind === 'delivered' ? Buffer.byteLength(verdict.outcome.exchange?.response?.body ?? '') : 0;
        must(kept <= KEPT_BYTES, `the exchange keeps ${kept} bytes of the answer`);
      },
    },
    {
      name: 'aborts a request that is under way',
      rule: "When the signal aborts, deliver throws the signal's reason within a second: the batch is requeued and no attempt is spent.",
      async body(scene) {
        const line = await connect(scene, neverAnswer);
        const controller = new AbortController();
        const reason = new Error('aborted by the kit');
        const delivery = line.send(aBatch([looseEvent()]), controller.signal);
        await Promise.race([line.server.arrived(1), settles(delivery, 4000, 'no request arrived')]);
        controller.abort(reason);
        const end = await settles(delivery, ABORT_MS, `deliver was not over ${ABORT_MS} ms after its signal aborted`);
        must(!end.ok, 'deliver gave outcomes for events that were not answered for');
        must(end.error === reason, `deliver threw ${describeThrown(end.error)} instead of the signal's reason`);
      },
    },
    {
      name: 'finishes a request that is under way before it closes',
      rule: 'close drains: a delivery that was sent before it gets its answer, or one of the three errors.',
      async body(scene) {
        let release = (): void => {};
        const line = await connect(scene, (response, request) => {
          release = () => success(response, request);
        });
        const delivery = settles(line.sendOne(), 4500, 'deliver was not over');
        await Promise.race([line.server.arrived(1), delivery]);
        const closing = scene.hear('close', () => line.instance.close?.(scene.signal));
        release();
        const closed = await settles(closing, ABORT_MS, `close was not over ${ABORT_MS} ms after the last answer`);
        must(closed.ok, `close threw ${closed.ok ? '' : describeThrown(closed.error)}`);
        const end = await delivery;
        if (!end.ok) throw end.error;
        const { kind } = end.value;
        must(kind === 'delivered' || kind === 'retryable', `the delivery under way ended as "${kind}"`);
      },
    },
  ];
}

/** Headers by which receivers know an event again. Those that name one request out of many are not among them. */
function isIdentity(name: string): boolean {
  return (
    (name === 'idempotency-key' || name.endsWith('-id')) && !/^x-(request|correlation|trace|amzn-trace)-id$/.test(name)
  );
}
