import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { secureHeaders } from './secure-headers.ts';
import type { Lifecycle } from './server.ts';

/** Something that the process depends on. */
export interface HealthProbe {
  readonly name: string;
  /** Whether the process is of no use without it: then it is not ready, and a load balancer sends requests elsewhere. */
  readonly required: boolean;
  /** Rejects, with what is wrong, when it does not work. */
  check(signal: AbortSignal): Promise<void>;
}

export interface Operations {
  readonly probes: readonly HealthProbe[];
  readonly metrics: { readonly contentType: string; metrics(): Promise<string> };
  readonly lifecycle: Lifecycle;
}

const PROBE_MS = 2_000;
/** However often the page is asked for, a dependency is asked once in this time. */
const KEEP_MS = 500;

interface Finding {
  readonly name: string;
  readonly required: boolean;
  readonly ok: boolean;
  readonly message: string;
  readonly duration_ms: number;
}

const Health = Type.Object({
  status: Type.Union([Type.Literal('ok'), Type.Literal('failing'), Type.Literal('stopping')]),
  checks: Type.Record(
    Type.String(),
    Type.Object({ ok: Type.Boolean(), required: Type.Boolean(), message: Type.String(), duration_ms: Type.Number() }),
  ),
});

/** What operators and their machines read: health, metrics, and a page that says where everything is. */
export async function registerOperations(
  app: FastifyInstance,
  { probes, metrics, lifecycle }: Operations,
): Promise<void> {
  const findings = new Findings(probes);
  const answer = async (reply: FastifyReply, relevant: (finding: Finding) => boolean): Promise<void> => {
    const checks = (await findings.current()).filter(relevant);
    const ok = checks.every((check) => check.ok) && !lifecycle.stopping;
    await reply.code(ok ? 200 : 503).send({
      status: lifecycle.stopping ? 'stopping' : ok ? 'ok' : 'failing',
      checks: Object.fromEntries(checks.map(({ name, ...check }) => [name, check])),
    });
  };
  await app.register(async (scope) => {
    await scope.register(secureHeaders);
    const schema = (summary: string) => ({ tags: ['operations'], summary, response: { 200: Health, 503: Health } });
    scope.get(
      '/health',
      { schema: schema('Every dependency; 503 when one does not work') },
      async (_request, reply) => {
        await answer(reply, () => true);
        return reply;
      },
    );
    scope.get(
      '/health/ready',
      { schema: schema('Whether to send requests here; 503 while stopping') },
      async (_request, reply) => {
        await answer(reply, ({ required }) => required);
        return reply;
      },
    );
    scope.get(
      '/health/live',
      {
        schema: {
          tags: ['operations'],
          summary: 'Whether the process answers at all',
          response: { 200: Type.Object({ status: Type.Literal('ok') }) },
        },
      },
      () => ({
        status: 'ok',
      }),
    );
    scope.get(
      '/metrics',
      { schema: { tags: ['operations'], summary: 'Prometheus metrics' } },
      async (_request, reply) => reply.type(metrics.contentType).send(await metrics.metrics()),
    );
    scope.get('/api/openapi.json', { schema: { tags: ['operations'], summary: 'This document' } }, () => app.swagger());
    scope.get('/', { schema: { hide: true } }, async (_request, reply) =>
      reply.type('text/html; charset=utf-8').send(PAGE),
    );
  });
}

const PAGE = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Switchyard</title>
<h1>Switchyard is running</h1>
<ul>
<li><a href="/api/openapi.json">/api/openapi.json</a>: every route, as an OpenAPI document</li>
<li><a href="/health">/health</a>: what works and what does not</li>
<li><a href="/metrics">/metrics</a>: Prometheus metrics</li>
</ul>
<p>Send an event: <code>POST /api/v1/events</code> with an API key. Log in: <code>POST /api/v1/auth/login</code>.</p>
</html>
`;

/** The state of all dependencies, asked side by side and shared by everybody who asks at the same moment. */
class Findings {
  private latest: Promise<readonly Finding[]> | null = null;
  private until = 0;

  constructor(private readonly probes: readonly HealthProbe[]) {}

  async current(): Promise<readonly Finding[]> {
    if (this.latest === null || performance.now() >= this.until) {
      this.until = performance.now() + KEEP_MS;
      this.latest = Promise.all(this.probes.map(ask));
    }
    return this.latest;
  }
}

async function ask(probe: HealthProbe): Promise<Finding> {
  const { name, required } = probe;
  const startedAt = performance.now();
  const took = (): number => Math.round(performance.now() - startedAt);
  const signal = AbortSignal.timeout(PROBE_MS);
  const late = new Promise<never>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error(`no answer within ${PROBE_MS / 1000} s`)), { once: true });
  });
  try {
    await Promise.race([probe.check(signal), late]);
    return { name, required, ok: true, message: 'ok', duration_ms: took() };
  } catch (error) {
    return {
      name,
      required,
      ok: false,
      message: error instanceof Error ? error.message : String(error),
      duration_ms: took(),
    };
  }
}
