import { setTimeout as sleep } from 'node:timers/promises';
import { RunningServer } from './running-server.ts';

let server: RunningServer;
const working: Record<string, 'yes' | 'no' | 'hangs'> = { log: 'yes', database: 'yes' };
let asked = 0;

const probe = (name: string, required: boolean) => ({
  name,
  required,
  check: async () => {
    asked += 1;
    if (working[name] === 'no') throw new Error('no connection');
    if (working[name] === 'hangs') await new Promise(() => undefined);
  },
});

beforeAll(async () => {
  server = await RunningServer.start({ probes: [probe('log', true), probe('database', false)] });
});
afterAll(() => server.stop());

const get = async (url: string) => {
  // Findings are kept for a moment.
  await sleep(510);
  return server.app.inject({ url });
};

describe('health', () => {
  it('names every dependency', async () => {
    const response = await get('/health');
    expect(response.statusCode).toBe(200);
    expect(response.json()).toMatchObject({
      status: 'ok',
      checks: { log: { ok: true, required: true }, database: { ok: true, required: false } },
    });
  });

  it('fails with a dependency, while readiness asks only for what is required', async () => {
    working['database'] = 'no';
    const health = await get('/health');
    expect(health.statusCode).toBe(503);
    expect(health.json()).toMatchObject({
      status: 'failing',
      checks: { log: { ok: true }, database: { ok: false, message: 'no connection' } },
    });
    expect((await server.app.inject({ url: '/health/ready' })).statusCode).toBe(200);
    working['database'] = 'yes';
    working['log'] = 'no';
    expect((await get('/health/ready')).statusCode).toBe(503);
    expect((await server.app.inject({ url: '/health/live' })).statusCode).toBe(200);
    working['log'] = 'yes';
  });

  it('answers while a dependency hangs, and asks it once for everybody who asks', async () => {
    working['database'] = 'hangs';
    await sleep(510);
    asked = 0;
    const all = await Promise.all(Array.from({ length: 20 }, () => server.app.inject({ url: '/health' })));
    expect(all[0]?.json()).toMatchObject({
      checks: { database: { ok: false, message: expect.stringContaining('no answer within') } },
    });
    expect(asked).toBe(2);
    working['database'] = 'yes';
  });
});

describe('the OpenAPI document', () => {
  it('is 3.1 and has every route, ingestion included, once', async () => {
    const document = (await get('/api/openapi.json')).json<{
      openapi: string;
      paths: Record<string, Record<string, { security?: unknown }>>;
    }>();
    expect(document.openapi).toBe('3.1.0');
    expect(document.paths['/api/v1/events']).toMatchObject({
      post: { security: [{ key: [] }], responses: { 202: expect.anything() } },
    });
    expect(document.paths['/api/v1/events/']).toBeUndefined();
    expect(document.paths['/api/v1/auth/login']?.['post']?.security).toBeUndefined();
    expect(document.paths['/api/v1/projects/{project}/destinations']).toMatchObject({
      get: { security: [{ token: [] }] },
      post: {
        requestBody: {
          content: { 'application/json': { schema: { additionalProperties: false, required: ['name', 'type'] } } },
        },
        responses: { 201: expect.anything(), '4XX': expect.anything() },
      },
    });
    const text = JSON.stringify(document);
    expect(text).not.toContain('"$ref"');
    // Tuples and defaults as OpenAPI 3.1 has them.
    expect(text).not.toMatch(/"items":\[|"additionalItems"/);
    expect(document.paths['/api/v1/projects']).toMatchObject({
      get: { parameters: expect.arrayContaining([expect.objectContaining({ name: 'limit', required: false })]) },
    });
  });
});

describe('pages for people', () => {
  it('load nothing, run nothing and are never framed', async () => {
    const response = await get('/');
    expect(response.statusCode).toBe(200);
    expect(response.headers['content-security-policy']).toBe(
      "default-src 'none';base-uri 'none';form-action 'none';frame-ancestors 'none'",
    );
    expect(response.headers).toMatchObject({ 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' });
    expect(response.body).toContain('/api/openapi.json');
  });

  it('have metrics in the text format', async () => {
    const response = await get('/metrics');
    expect(response.headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4/);
    expect(response.body).toContain('process_cpu_seconds_total');
  });
});
