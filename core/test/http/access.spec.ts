import { createSecretKey, randomUUIDv7 } from 'node:crypto';
import { SignJWT, UnsecuredJWT } from 'jose';
import type { MemberRole } from '../../src/store/schema.ts';
import { PASSWORD, RunningServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await RunningServer.start();
});
afterAll(() => server.stop());

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

interface Operation {
  readonly method: Method;
  readonly path: string;
}

const ROLES: readonly MemberRole[] = ['viewer', 'developer', 'admin'];

/** What a role may do at least, written down a second time: a route that is not here fails the test until somebody decides. */
const needs = ({ method, path }: Operation): MemberRole => {
  if (method === 'GET') return 'viewer';
  return path.includes('/api-keys') ? 'admin' : 'developer';
};

function projectOperations(): readonly Operation[] {
  const { paths = {} } = server.app.swagger() as { paths?: Record<string, Record<string, unknown>> };
  return Object.entries(paths)
    .filter(([path]) => path.startsWith('/api/v1/projects/{project}/'))
    .flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method: method.toUpperCase() as Method, path })),
    );
}

async function ask({ method, path }: Operation, project: string, headers: Record<string, string>): Promise<number> {
  const url = path.replace('{project}', project).replaceAll(/\{\w+\}/g, randomUUIDv7());
  const response = await server.app.inject({
    method,
    url,
    headers: { ...headers, 'content-type': 'application/json' },
    ...(method === 'GET' || method === 'DELETE' ? {} : { payload: '{}' }),
  });
  const { error } = response.json<{ error?: { code: string; message: string } }>();
  expect(typeof error?.code === 'string' && error.message !== '').toBe(response.statusCode >= 400);
  return response.statusCode;
}

describe('every route of a project', () => {
  it('is in the OpenAPI document', () => {
    const operations = projectOperations().map(
      ({ method, path }) => `${method} ${path.replace('/api/v1/projects/{project}', '')}`,
    );
    expect(operations.sort()).toEqual(
      [
        'DELETE /api-keys/{key}',
        'DELETE /destinations/{id}',
        'DELETE /pipelines/{id}',
        'DELETE /sources/{id}',
        'GET /accounting',
        'GET /analytics',
        'GET /api-keys',
        'GET /dead-letters',
        'GET /destinations',
        'GET /destinations/{id}',
        'GET /events',
        'GET /events/{id}',
        'GET /pipelines',
        'GET /pipelines/{id}',
        'GET /pipelines/{id}/versions',
        'GET /sources',
        'GET /sources/{id}',
        'PATCH /destinations/{id}',
        'PATCH /sources/{id}',
        'POST /api-keys',
        'POST /dead-letters/replay',
        'POST /destinations',
        'POST /destinations/{id}/check',
        'POST /pipelines',
        'POST /pipelines/{id}/publish',
        'POST /pipelines/{id}/unpublish',
        'POST /sources',
        'PUT /pipelines/{id}/draft',
      ].sort(),
    );
  });

  it.each(ROLES)('lets a %s do what the role may, and nothing else', async (role) => {
    for (const operation of projectOperations()) {
      // A project for each: the replay of nothing, but the deletion of something, could change what the next one finds.
      const { project, headers } = await server.project(role);
      const status = await ask(operation, project, headers);
      const allowed = ROLES.indexOf(role) >= ROLES.indexOf(needs(operation));
      expect({ ...operation, refused: status === 403 }).toEqual({ ...operation, refused: !allowed });
      expect(status).not.toBe(401);
      expect(status).not.toBe(500);
    }
  });

  it('looks to a stranger as if the project did not exist', async () => {
    const { project } = await server.project();
    const { headers } = await server.project('admin');
    for (const operation of projectOperations()) {
      for (const target of [project, randomUUIDv7(), 'default', "'", '%00'])
        expect({ ...operation, status: await ask(operation, target, headers) }).toEqual({ ...operation, status: 404 });
    }
  });

  it('asks for a login before it looks at anything else', async () => {
    const { project } = await server.project();
    for (const operation of projectOperations())
      expect({ ...operation, status: await ask(operation, project, {}) }).toEqual({ ...operation, status: 401 });
  });
});

describe('a login', () => {
  const login = async (payload: object) => server.app.inject({ method: 'POST', url: '/api/v1/auth/login', payload });

  it('gives a token that works', async () => {
    const user = await server.user('ada@example.com');
    const response = await login({ email: 'Ada@Example.com', password: PASSWORD });
    expect(response.statusCode).toBe(200);
    expect(response.json()).toEqual({
      access_token: expect.any(String),
      expires_in: 900,
      user: { id: user.id, email: 'ada@example.com' },
    });
    expect(response.headers['cache-control']).toBe('no-store');
    const { access_token } = response.json<{ access_token: string }>();
    expect(
      (await server.app.inject({ url: '/api/v1/projects', headers: { authorization: `bearer ${access_token}` } }))
        .statusCode,
    ).toBe(200);
  });

  it('tells nobody whether it was the email or the password', async () => {
    await server.user('known@example.com');
    const answers = [];
    for (const email of ['known@example.com', 'unknown@example.com'])
      answers.push((await login({ email, password: 'wrong password' })).body);
    expect(answers[0]).toBe(answers[1]);
    expect(JSON.parse(answers[0] ?? '')).toMatchObject({ error: { code: 'LOGIN_FAILED' } });
  });

  it('is slowed after ten wrong passwords, for that account only', async () => {
    await server.user('victim@example.com');
    const statuses = await Promise.all(
      Array.from(
        { length: 12 },
        async () => (await login({ email: 'victim@example.com', password: 'guess' })).statusCode,
      ),
    );
    expect(statuses.filter((status) => status === 401)).toHaveLength(10);
    const refused = await login({ email: 'VICTIM@example.com ', password: PASSWORD });
    expect(refused.statusCode).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(800);
    await server.user('other@example.com');
    expect((await login({ email: 'other@example.com', password: PASSWORD })).statusCode).toBe(200);
  });

  it.each([
    {},
    { email: 'a@b.c' },
    { email: 'a@b.c', password: 1 },
    { email: 'a@b.c', password: 'x', admin: true },
    { email: ['a@b.c'], password: 'x' },
  ])('refuses %j', async (payload) => {
    expect((await login(payload)).statusCode).toBe(400);
  });
});

describe('an access token', () => {
  const key = (text: string) => createSecretKey(text, 'utf8');
  const secret = key('s'.repeat(32));
  const claims = () =>
    new SignJWT({ email: 'a@b.c' })
      .setSubject(randomUUIDv7())
      .setIssuedAt()
      .setIssuer('switchyard')
      .setAudience('switchyard-api')
      .setExpirationTime('5m');
  const header = { alg: 'HS256', typ: 'at+jwt' };
  const status = async (token: string) =>
    (await server.app.inject({ url: '/api/v1/projects', headers: { authorization: `Bearer ${token}` } })).statusCode;

  it('of ours is taken', async () => {
    expect(await status(await claims().setProtectedHeader(header).sign(secret))).toBe(200);
  });

  it.each<readonly [string, () => Promise<string> | string]>([
    [
      'without an algorithm',
      () =>
        new UnsecuredJWT({ email: 'a@b.c' })
          .setSubject('x')
          .setIssuer('switchyard')
          .setAudience('switchyard-api')
          .setIssuedAt()
          .setExpirationTime('5m')
          .encode(),
    ],
    [
      'of another algorithm',
      () =>
        claims()
          .setProtectedHeader({ ...header, alg: 'HS512' })
          .sign(key('s'.repeat(64))),
    ],
    [
      'of another secret',
      () =>
        claims()
          .setProtectedHeader(header)
          .sign(key('x'.repeat(32))),
    ],
    ['of another type', () => claims().setProtectedHeader({ alg: 'HS256', typ: 'JWT' }).sign(secret)],
    ['of another issuer', () => claims().setIssuer('somebody').setProtectedHeader(header).sign(secret)],
    ['for another audience', () => claims().setAudience('somebody').setProtectedHeader(header).sign(secret)],
    ['that expired', () => claims().setExpirationTime('-1s').setProtectedHeader(header).sign(secret)],
    [
      'that lasts longer than ours do',
      () => claims().setIssuedAt('-1h').setExpirationTime('10h').setProtectedHeader(header).sign(secret),
    ],
    [
      'with a key id that is a path',
      () =>
        claims()
          .setProtectedHeader({ ...header, kid: '../../dev/null' })
          .sign(createSecretKey(Buffer.alloc(32))),
    ],
    ['that is huge', () => `${'a'.repeat(5000)}.b.c`],
    ['that is none', () => 'sy_abc_0123456789abcdef'],
  ])('%s is refused', async (_name, make) => {
    expect(await status(await make())).toBe(401);
  });
});

it('a route that does not say who may use it does not start', async () => {
  const { guardRoutes } = await import('../../src/http/access.ts');
  const { default: Fastify } = await import('fastify');
  const app = Fastify();
  guardRoutes(app, server.tokens, server.plane.projects);
  expect(() => app.get('/open', () => 'x')).toThrow(/does not say who may use it/);
  expect(() => app.get('/projects/:project/x', { config: { access: 'user' } }, () => 'x')).toThrow(/cannot guard it/);
  expect(() => app.get('/projects', { config: { access: 'viewer' } }, () => 'x')).toThrow(/cannot guard it/);
});
