import type { IncomingHttpHeaders } from 'node:http';
import type {
  DraftResult,
  Json,
  Receipt,
  SourceDefinition,
  SourceReply,
  SourceRequest,
  SourceRoute,
} from '@switchyard/plugin-sdk';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { SwitchyardError } from '../errors.ts';
import { readBody } from '../event/body.ts';
import type { KeyGrant } from '../store/api-keys.ts';
import { toSwitchyardError } from './error-answers.ts';
import type { Lifecycle } from './server.ts';
import type { OpenSource, SourceInstances } from './source-instances.ts';

/** Where drafts become durable. */
interface Acceptor {
  accept(
    origin: { readonly id: string; readonly type: string; readonly project: string; readonly partitions: number },
    drafts: readonly unknown[],
    sender: { readonly ip: string | null; readonly userAgent: string | null },
    parsed: ReadonlySet<unknown>,
  ): Promise<readonly DraftResult[]>;
}

interface IngestionMetrics {
  readonly ingestedEvents: {
    inc(labels: { source_type: string; result: string }, by?: number): void;
    labels(labels: { source_type: string; result: string }): { inc(by: number): void };
  };
  readonly refusedRequests: { inc(labels: { source_type: string; code: string }): void };
  readonly ingestDuration: { labels(labels: { source_type: string }): { observe(seconds: number): void } };
}

interface Ingestion {
  /** Push sources: each of their routes is served. */
  readonly definitions: readonly SourceDefinition<unknown>[];
  readonly keys: { find(credential: string): KeyGrant | null | Promise<KeyGrant | null> };
  readonly sources: Pick<SourceInstances, 'get'>;
  readonly ingress: Acceptor;
  readonly metrics: IngestionMetrics;
  /** Of the body as it is sent, and again once it is inflated. */
  readonly maxBodyBytes: number;
  readonly lifecycle: Lifecycle;
}

type Headers = Readonly<Record<string, string | undefined>>;

const NO_BODY = Buffer.alloc(0);

/**
 * Mounts the routes of every push source. The scope carries no plugins and no hooks: each of them would cost every event. What it needs of them it does
 * itself: the key look-up (in memory), the body (raw bytes, whatever the content type says), the errors (the server's).
 *
 * A request is refused as early as what it says allows: too large before it is read to its end, a bad key in the headers before the body is parsed.
 */
export async function registerIngestion(app: FastifyInstance, ingestion: Ingestion): Promise<void> {
  await app.register(async (scope) => {
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: ingestion.maxBodyBytes }, (_request, body, done) =>
      done(null, body),
    );
    scope.setErrorHandler((error, request) => {
      const source_type = request.routeOptions.config.documented?.source ?? '';
      const refusal = toSwitchyardError(error, request.id);
      ingestion.metrics.refusedRequests.inc({ source_type, code: refusal.code });
      throw refusal;
    });
    for (const definition of ingestion.definitions) {
      for (const route of definition.routes) mount(scope, ingestion, definition, route);
    }
  });
}

function mount(
  scope: FastifyInstance,
  ingestion: Ingestion,
  definition: SourceDefinition<unknown>,
  route: SourceRoute,
): void {
  const endpoint = new Endpoint(ingestion, definition, route);
  for (const url of [route.path, `${route.path}/`]) {
    scope.route({
      method: route.method,
      url,
      exposeHeadRoute: false,
      config: { documented: { source: definition.type, route, hidden: url !== route.path } },
      onRequest: forgiveContentType,
      handler: (request, reply) => endpoint.serve(request, reply),
    });
  }
}

/** A content type that is none would be a 415, though nobody here looks at it. */
function forgiveContentType(request: FastifyRequest, _reply: FastifyReply, done: () => void): void {
  if (request.headers['content-type'] !== undefined && request.mediaType === undefined)
    delete request.raw.headers['content-type'];
  done();
}

class Endpoint {
  private readonly duration: { observe(seconds: number): void };
  private readonly accepted: { inc(by: number): void };

  constructor(
    private readonly ingestion: Ingestion,
    private readonly definition: SourceDefinition<unknown>,
    private readonly route: SourceRoute,
  ) {
    const source_type = definition.type;
    this.duration = ingestion.metrics.ingestDuration.labels({ source_type });
    this.accepted = ingestion.metrics.ingestedEvents.labels({ source_type, result: 'accepted' });
  }

  async serve(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
    const { definition, ingestion } = this;
    const startedAt = performance.now();
    if (ingestion.lifecycle.stopping)
      throw new SwitchyardError('STOPPING', 'This process is shutting down: send the request again.');
    const ip = addressOf(request.raw.socket.remoteAddress);
    const headers = singleHeaders(request.raw.headers);
    const bare: SourceRequest = {
      route: this.route.name,
      headers,
      query: singleQuery(request.query),
      body: undefined,
      ip: ip ?? '',
    };
    const early = definition.credential(bare);
    let grant = early === undefined ? null : await this.open(early);
    const body = this.route.method === 'GET' ? undefined : this.read(request.body, headers);
    const whole: SourceRequest = body === undefined ? bare : { ...bare, body };
    grant ??= await this.open(definition.credential(whole));
    const opening = ingestion.sources.get(definition, grant);
    const source = opening instanceof Promise ? await opening : opening;
    const answer = await this.take(source.receive(whole), source, grant, ip, whole);
    this.duration.observe((performance.now() - startedAt) / 1000);
    return send(reply, answer);
  }

  /** Whom the key lets in, and where. */
  private async open(credential: string | undefined): Promise<KeyGrant> {
    const found = credential === undefined ? null : this.ingestion.keys.find(credential);
    const grant = found instanceof Promise ? await found : found;
    if (grant === null) {
      const problem =
        credential === undefined ? 'The request has no API key' : 'The API key is malformed, unknown or revoked';
      throw new SwitchyardError(
        'KEY_INVALID',
        `${problem}: send "Authorization: Bearer sy_<id>_<secret>", or the key where your SDK puts its write key.`,
      );
    }
    const { source } = grant;
    if (source.type !== this.definition.type) {
      throw new SwitchyardError(
        'SOURCE_MISMATCH',
        `This address is for sources of the type "${this.definition.type}", and the key belongs to "${source.name}" of the type "${source.type}": use a key of the right source, or that type's address.`,
      );
    }
    if (!source.enabled)
      throw new SwitchyardError(
        'SOURCE_DISABLED',
        `The source "${source.name}" is disabled: enable it, or use another key.`,
      );
    return grant;
  }

  private read(raw: unknown, headers: Headers): Json {
    return readBody(Buffer.isBuffer(raw) ? raw : NO_BODY, headers['content-encoding'], this.ingestion.maxBodyBytes);
  }

  private async take(
    receipt: Receipt,
    from: OpenSource,
    grant: KeyGrant,
    ip: string | null,
    request: SourceRequest,
  ): Promise<SourceReply> {
    switch (receipt.action) {
      case 'challenge':
        return receipt.reply;
      case 'reject':
        return { status: receipt.status, body: { error: { code: receipt.code, message: receipt.message } } };
      case 'accept': {
        const { source, project, partitions } = grant;
        const results = await this.ingestion.ingress.accept(
          { id: source.id, type: source.type, project, partitions },
          receipt.drafts,
          { ip, userAgent: request.headers['user-agent']?.slice(0, 1000) ?? null },
          objectsOf(request.body),
        );
        this.count(results);
        return from.reply(() => receipt.reply(results));
      }
    }
  }

  private count(results: readonly DraftResult[]): void {
    let accepted = 0;
    for (const result of results) {
      if (result.ok) accepted += 1;
      else this.ingestion.metrics.ingestedEvents.inc({ source_type: this.definition.type, result: result.error.code });
    }
    if (accepted > 0) this.accepted.inc(accepted);
  }
}

/** The objects of a body that may be drafts: the body itself, and the members of the lists in it. */
function objectsOf(body: Json | undefined): ReadonlySet<unknown> {
  if (Array.isArray(body)) return new Set<unknown>(body);
  const objects = new Set<unknown>([body]);
  if (typeof body === 'object' && body !== null) {
    for (const value of Object.values(body)) if (Array.isArray(value)) for (const member of value) objects.add(member);
  }
  return objects;
}

function send(reply: FastifyReply, { status, headers, body }: SourceReply): FastifyReply {
  // Senders take a redirect for success and lose the events.
  if (status < 200 || status > 599 || (status >= 300 && status < 400)) {
    throw new SwitchyardError(
      'INTERNAL',
      `The source answered with the status ${status}, which no sender understands: it is a bug of the plugin.`,
    );
  }
  reply.code(status).header('content-type', 'application/json; charset=utf-8');
  if (headers !== undefined) reply.headers(headers);
  return reply.send(JSON.stringify(body));
}

/** An IPv4 client of a socket that listens on IPv6 is still an IPv4 client. */
function addressOf(address: string | undefined): string | null {
  if (address === undefined) return null;
  return address.startsWith('::ffff:') ? address.slice(7) : address;
}

/** Node joins repeated headers itself, all but this one, and no source reads cookies. */
function singleHeaders(headers: IncomingHttpHeaders): Headers {
  return isSingle(headers) ? headers : { ...headers, 'set-cookie': undefined };
}

const isSingle = (headers: IncomingHttpHeaders): headers is IncomingHttpHeaders & Headers =>
  headers['set-cookie'] === undefined;

/** Of a parameter that is given several times, the last one counts. */
function singleQuery(query: unknown): Readonly<Record<string, string | undefined>> {
  const result: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(query ?? {}))
    result[name] = Array.isArray(value) ? String(value.at(-1)) : String(value);
  return result;
}
