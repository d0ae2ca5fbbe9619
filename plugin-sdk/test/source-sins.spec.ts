import {
  Type,
  defineSource,
  type DraftResult,
  type EventDraft,
  type Json,
  type PullSource,
  type PushSource,
  type Receipt,
  type SourceDefinition,
  type SourceReply,
  type SourceRequest,
} from '../src/index.ts';
import { aRequest, contractCases, type SourceKitOptions } from '../src/testing/index.ts';
import { complaint, failures } from './verdict.ts';

type Config = Readonly<Record<string, never>>;
type Reply = (results: readonly DraftResult[]) => SourceReply;
type Parts = Partial<SourceDefinition<Config>> & { readonly receive?: PushSource['receive']; readonly reply?: Reply };

const isRecord = (value: unknown): value is Readonly<Record<string, Json>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const honest: Reply = (results) => ({
  status: 202,
  body: { results: results.map((result) => (result.ok ? { id: result.id } : { error: { code: result.error.code } })) },
});

const receiving =
  (reply: Reply) =>
  ({ body, query }: SourceRequest): Receipt => {
    if (query['challenge'] !== undefined)
      return { action: 'challenge', reply: { status: 200, body: query['challenge'] } };
    const drafts = isRecord(body) ? body['batch'] : undefined;
    if (!Array.isArray(drafts))
      return { action: 'reject', status: 400, code: 'BODY_INVALID', message: 'A batch is wanted.' };
    return { action: 'accept', drafts, reply };
  };

/** A decent push source, with parts replaced. */
function source({ reply = honest, receive = receiving(reply), ...parts }: Parts = {}): SourceDefinition<Config> {
  return defineSource<Config>({
    type: 'decent',
    title: 'Decent',
    summary: 'Takes batches',
    stability: 'stable',
    config: Type.Object({}, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: {} }],
    routes: [
      {
        name: 'batch',
        method: 'POST',
        path: '/v1/batch',
        summary: 'Takes a batch',
        responses: { 202: Type.Unknown() },
      },
    ],
    credential: ({ headers }) => headers['authorization']?.match(/^Bearer (\S+)$/)?.[1],
    create: () => ({ receive }),
    ...parts,
  });
}

const drafts = [{ event_name: 'a' }, { event_name: 'b' }];
const request = aRequest({ route: 'batch', headers: { authorization: 'Bearer key-1' }, body: { batch: drafts } });

const options: SourceKitOptions<Config> = {
  deadlineMs: 1500,
  samples: [
    { request, credential: 'key-1', receipt: 'accept' },
    {
      request: aRequest({ route: 'batch', body: { batch: [{ event_name: 'one' }] } }),
      credential: undefined,
      receipt: 'accept',
    },
    { request: aRequest({ route: 'batch', body: {} }), credential: undefined, receipt: 'reject' },
    { request: aRequest({ route: 'batch', query: { challenge: 'abc' } }), credential: undefined, receipt: 'challenge' },
  ],
};

const PURE = ['receives without side effects'];
const FORM = ['replies in good form, whatever became of the drafts'];
const CLAIMS = ['never claims success for a draft that failed'];
const ROUTES = ['serves routes that core can serve'];

const route = (path: string, name = 'batch'): SourceDefinition<Config>['routes'][number] => ({
  name,
  method: 'POST',
  path,
  summary: 'x',
  responses: {},
});

describe('the kit against push sources', () => {
  it('finds nothing wrong with a decent one', async () => {
    expect(await failures(contractCases(source(), options))).toEqual([]);
  });

  let received = 0;
  const sins: readonly (readonly [sin: string, parts: Parts, cases: readonly string[]])[] = [
    ['serves a path with parameters', { routes: [route('/v1/:project')] }, ROUTES],
    ['serves a path with a slash at its end', { routes: [route('/v1/batch/')] }, ROUTES],
    ['serves a path twice', { routes: [route('/v1/batch'), route('/v1/batch', 'other')] }, ROUTES],
    ['overlooks the credential', { credential: () => undefined }, ['finds the credential of each sample request']],
    [
      'throws where there is no credential',
      {
        credential: ({ headers }) =>
          isRecord(headers) && headers['authorization'] === 'Bearer'
            ? (headers as Record<string, string>)['x']!.trim()
            : headers['authorization']?.match(/^Bearer (\S+)$/)?.[1],
      },
      ['finds no credential where there is none, without throwing'],
    ],
    [
      'changes the request',
      {
        receive: (incoming) => {
          if (isRecord(incoming.body) && !Object.isFrozen(incoming.body))
            (incoming.body as Record<string, Json>)['seen'] = true;
          return receiving(honest)(incoming);
        },
      },
      PURE,
    ],
    [
      'counts requests in its receipts',
      {
        receive: (incoming) => ({
          ...receiving(honest)(incoming),
          ...(isRecord(incoming.body) && incoming.body['batch'] !== undefined && !Array.isArray(incoming.body['batch'])
            ? {}
            : { seen: (received += 1) }),
        }),
      },
      PURE,
    ],
    [
      'starts a timer for each request',
      { receive: (incoming) => (clearTimeout(setTimeout(() => {}, 1e6)), receiving(honest)(incoming)) },
      PURE,
    ],
    [
      'stores something for each request',
      {
        create: (_config, { state }) => ({
          receive: (incoming) => (void state.set('seen', 1), receiving(honest)(incoming)),
        }),
      },
      PURE,
    ],
    [
      'throws for a request that makes no sense',
      {
        receive: (incoming) => {
          if (incoming.body === null) throw new TypeError('null');
          return receiving(honest)(incoming);
        },
      },
      ['answers every request with a receipt'],
    ],
    [
      'rejects with a success',
      {
        receive: (incoming) => {
          const receipt = receiving(honest)(incoming);
          return receipt.action === 'reject' ? { ...receipt, status: 200 } : receipt;
        },
      },
      ['answers each sample request with one of the three receipts', 'answers every request with a receipt'],
    ],
    ['replies with a redirect', { reply: (results) => ({ ...honest(results), status: 302 }) }, FORM],
    [
      'replies with a header of two lines',
      { reply: (results) => ({ ...honest(results), headers: { 'x-a': 'b\r\nc: d' } }) },
      FORM,
    ],
    [
      'replies with what is not JSON',
      {
        reply: (results) => ({
          status: 202,
          body: { results: honest(results).body, at: undefined as unknown as Json },
        }),
      },
      FORM,
    ],
    ['claims success whatever happened', { reply: () => ({ status: 202, body: { success: true } }) }, CLAIMS],
    [
      'claims success as soon as one draft was stored',
      {
        reply: (results) => (results.some(({ ok }) => ok) ? { status: 200, body: 'ok' } : { status: 503, body: 'no' }),
      },
      CLAIMS,
    ],
    [
      'makes up ids',
      { reply: (results) => ({ status: 202, body: [honest(results).body, '018f0000-0000-7000-8000-00000000dead'] }) },
      CLAIMS,
    ],
  ];

  it.each(sins)(
    'blames one that %s',
    async (_sin, parts, cases) => {
      expect(await failures(contractCases(source(parts), options))).toEqual(cases);
    },
    30_000,
  );

  it("takes the author's word for how clients read a reply", async () => {
    const claims = ({ body }: SourceReply): boolean => isRecord(body) && body['success'] === true;
    const boastful = source({
      reply: (results) => ({
        status: 200,
        body: { success: true, errors: results.flatMap((result) => (result.ok ? [] : [result.error.code])) },
      }),
    });
    expect(await failures(contractCases(boastful, options))).toEqual([]);
    expect(await failures(contractCases(boastful, { ...options, claims }))).toEqual(CLAIMS);
  });

  it('asks for samples: without any, the cases would say nothing', async () => {
    const failed = await failures(contractCases(source(), { deadlineMs: 1500 }));
    expect(failed).toEqual([
      'finds the credential of each sample request',
      'receives without side effects',
      'answers each sample request with one of the three receipts',
      ...FORM,
      ...CLAIMS,
    ]);
  });
});

describe('the kit against pull sources', () => {
  const pull = (run: PullSource['run']): SourceDefinition<Config> =>
    source({ routes: [], credential: () => undefined, create: () => ({ run }) });
  const untilAborted = (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => (signal.aborted ? resolve() : signal.addEventListener('abort', () => resolve())));
  const polled: readonly EventDraft[] = [{ event_name: 'polled' }];

  it('finds nothing wrong with a decent one', async () => {
    const decent = pull(async (emit, signal) => {
      await Promise.race([emit(polled), untilAborted(signal)]);
      await untilAborted(signal);
    });
    expect(await failures(contractCases(decent, { deadlineMs: 1500 }))).toEqual([]);
  });

  it('blames one that waits for emit whatever its signal says', async () => {
    const stubborn = contractCases(
      pull(async (emit) => void (await emit(polled))),
      { deadlineMs: 2500 },
    );
    expect(await failures(stubborn)).toEqual(['stops running when it is aborted']);
    expect(await complaint(stubborn, 'stops running when it is aborted')).toContain(
      'aborted before anything could be stored, run was not over after 1000 ms',
    );
  });
});
