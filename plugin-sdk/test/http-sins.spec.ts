import { request as rawRequest } from 'node:http';
import { randomUUID } from 'node:crypto';
import {
  ConfigError,
  PermanentError,
  RetryableError,
  Secret,
  Type,
  defineDestination,
  delivered,
  errorFromStatus,
  failed,
  isDeliveryError,
  type DeliveryItem,
  type DeliveryOutcome,
  type DestinationDefinition,
  type HttpRequest,
  type HttpResponse,
  type PluginContext,
} from '../src/index.ts';
import { contractCases, type DestinationKitOptions } from '../src/testing/index.ts';
import { failures } from './verdict.ts';

interface Config {
  readonly url: string;
  readonly token?: string;
}

type Send = (request: HttpRequest, signal: AbortSignal, context: PluginContext) => Promise<HttpResponse>;

/** What a sinner does otherwise than a decent destination. */
interface Parts {
  readonly headers?: (item: DeliveryItem) => Record<string, string>;
  readonly send?: Send;
  readonly judge?: (response: HttpResponse) => DeliveryOutcome;
  /** Stands around the whole delivery of one item. */
  readonly around?: (deliver: () => Promise<DeliveryOutcome>) => Promise<DeliveryOutcome>;
  readonly exchange?: boolean;
}

const through: Send = (request, signal, { http }) => http.request(request, signal);

const judged = (response: HttpResponse): DeliveryOutcome => {
  const error = errorFromStatus(response);
  return error === null ? delivered() : failed(error);
};

/** A decent webhook, with parts replaced. */
function webhook({
  headers = ({ id }) => ({ 'webhook-id': id }),
  send = through,
  judge = judged,
  around = (deliver) => deliver(),
}: Parts = {}): DestinationDefinition<Config> {
  return defineDestination<Config>({
    type: 'decent',
    title: 'Decent',
    summary: 'Posts events',
    stability: 'stable',
    config: Type.Object({ url: Type.String(), token: Type.Optional(Secret()) }, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: { url: 'https://example.com/', token: 'correct horse' } }],
    capabilities: { batch: { maxEvents: 1 }, concurrency: 4, ordering: 'key' },
    create: ({ url, token = '' }, context) => {
      const post = (item: DeliveryItem, signal: AbortSignal): Promise<HttpResponse> =>
        send(
          {
            method: 'POST',
            url,
            headers: { ...headers(item), authorization: token },
            body: JSON.stringify(item.event.metadata),
          },
          signal,
          context,
        );
      return {
        deliver: async ({ items }, signal) => {
          const [item] = items;
          if (item === undefined) return new Map();
          return new Map([[item.id, await around(async () => judge(await post(item, signal)))]]);
        },
        check: async (signal) => {
          try {
            const { status } = await context.http.request(
              { method: 'GET', url, headers: { authorization: token } },
              signal,
            );
            return { ok: status < 300, message: `The endpoint answered ${status}.` };
          } catch (error) {
            if (!isDeliveryError(error)) throw error;
            return { ok: false, message: error.message };
          }
        },
      };
    },
  });
}

const options: DestinationKitOptions<Config> = { http: { config: (url) => ({ url }) } };

const judging = (change: (response: HttpResponse) => DeliveryOutcome | undefined): Parts => ({
  judge: (response) => change(response) ?? judged(response),
});

const STABLE_ID = ['sends the event id, the same on every attempt'];
const RETRY_AFTER = ['retries 429 when the receiver says so'];
const SILENCE = [
  'retries when the connection is refused',
  'retries when the connection is dropped before an answer',
  'retries when the connection is dropped inside the answer',
  'retries when the receiver never answers',
];

describe('the kit against destinations that speak HTTP', () => {
  it('finds nothing wrong with a decent one', async () => {
    expect(await failures(contractCases(webhook(), options))).toEqual([]);
  }, 30_000);

  const sins: readonly (readonly [sin: string, parts: Parts, cases: readonly string[]])[] = [
    ['goes around the guarded client', { send: bare }, ['delivers over HTTP, through context.http only']],
    ['does not send the id', { headers: () => ({}) }, STABLE_ID],
    [
      'sends another id on every attempt',
      { headers: ({ id }) => ({ 'x-event': id, 'webhook-id': `msg_${randomUUID()}` }) },
      STABLE_ID,
    ],
    [
      'sends the attempt as the key',
      { headers: ({ id, attempt }) => ({ 'x-event': id, 'idempotency-key': `${id}-${attempt}` }) },
      STABLE_ID,
    ],
    [
      'takes an outage for final',
      judging(({ status }) => (status === 503 ? failed(new PermanentError('503')) : undefined)),
      ['retries 500, 502, 503 and 504'],
    ],
    [
      'takes every answer for success',
      judging(() => delivered()),
      [
        'retries 500, 502, 503 and 504',
        ...RETRY_AFTER,
        'survives a Retry-After that makes no sense',
        'gives up on an event that is answered with 400',
        'asks its owner about 401 and 403',
        'asks its owner about 410',
        'does not follow a redirect',
      ],
    ],
    [
      'does not read Retry-After',
      judging(({ status }) => (status === 429 ? failed(new RetryableError('429')) : undefined)),
      RETRY_AFTER,
    ],
    [
      'reads a Retry-After only in seconds',
      judging(({ status, headers }) =>
        status === 429 && /[A-Z]/.test(headers['retry-after'] ?? '') ? failed(new RetryableError('429')) : undefined,
      ),
      RETRY_AFTER,
    ],
    [
      'believes any Retry-After',
      judging(({ status, headers }) =>
        status === 429 && headers['retry-after'] === '-5'
          ? failed(new RetryableError('429', { retryAfterMs: -5000 }))
          : undefined,
      ),
      ['survives a Retry-After that makes no sense'],
    ],
    [
      'retries what is refused',
      judging(({ status }) => (status === 400 ? failed(new RetryableError('400')) : undefined)),
      ['gives up on an event that is answered with 400'],
    ],
    [
      'gives up when its credentials are refused',
      judging(({ status }) => (status === 403 ? failed(new PermanentError('403')) : undefined)),
      ['asks its owner about 401 and 403'],
    ],
    [
      'retries when the endpoint is gone',
      judging(({ status }) => (status === 410 ? failed(new RetryableError('410')) : undefined)),
      ['asks its owner about 410'],
    ],
    [
      'takes a redirect for success',
      judging(({ status }) => (status === 302 ? delivered() : undefined)),
      ['does not follow a redirect'],
    ],
    [
      'follows a redirect',
      {
        send: async (request, signal, context) => {
          const response = await through(request, signal, context);
          const location = response.headers['location'];
          return location === undefined
            ? response
            : through({ ...request, url: new URL(location, request.url).href }, signal, context);
        },
      },
      ['does not follow a redirect'],
    ],
    [
      'takes silence for a refusal',
      {
        around: (deliver) =>
          deliver().catch((error: unknown) => {
            throw isDeliveryError(error) && error.kind === 'retryable' ? new ConfigError(error.message) : error;
          }),
      },
      SILENCE,
    ],
    [
      'does not pass its signal on',
      { send: (request, _signal, context) => through(request, new AbortController().signal, context) },
      ['aborts a request that is under way'],
    ],
    [
      'takes an abort for a failed attempt',
      {
        around: (deliver) =>
          deliver().catch((error: unknown) => failed(isDeliveryError(error) ? error : new RetryableError('aborted'))),
      },
      ['aborts a request that is under way'],
    ],
    [
      'throws something else when it is aborted',
      {
        around: (deliver) =>
          deliver().catch((error: unknown) => {
            throw isDeliveryError(error) ? error : new RetryableError('aborted');
          }),
      },
      ['stops when it is aborted', 'aborts a request that is under way'],
    ],
    [
      'keeps its credentials in the exchange',
      {
        judge: (response) =>
          response.status === 401
            ? failed(new ConfigError('401'), { request: 'POST / authorization: correct horse battery' })
            : judged(response),
      },
      ['keeps its secrets'],
    ],
  ];

  it.each(sins)(
    'blames one that %s',
    async (sin, parts, cases) => {
      const withSecret = { ...options, secrets: { '/token': 'correct horse battery' } };
      expect(
        await failures(contractCases(webhook(parts), sin.includes('credentials in') ? withSecret : options)),
      ).toEqual(cases);
    },
    60_000,
  );
});

/** A client of the plugin's own, which nobody guards. */
function bare(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
  return new Promise((resolve, reject) => {
    const lost = (error: Error): void =>
      reject(signal.aborted ? (signal.reason as Error) : new RetryableError(error.message));
    const outgoing = rawRequest(
      request.url,
      { method: request.method, headers: { ...request.headers }, signal, agent: false, timeout: 1000 },
      (incoming) => {
        let size = 0;
        const answer = (): void =>
          resolve({
            status: incoming.statusCode ?? 0,
            headers: incoming.headers as Record<string, string>,
            body: new Uint8Array(),
            truncated: false,
            durationMs: 0,
          });
        incoming.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size < 100_000) return;
          answer();
          outgoing.destroy();
        });
        incoming.on('end', answer);
        incoming.on('error', lost);
      },
    );
    outgoing.on('timeout', () => outgoing.destroy(new Error('timed out')));
    outgoing.on('error', lost);
    outgoing.end(request.body);
  });
}
