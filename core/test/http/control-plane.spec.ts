import { randomUUIDv7 } from 'node:crypto';
import { RetryableError, PermanentError, type Event } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../../src/errors.ts';
import { insertDelivery } from '../store/stored-project.ts';
import { RunningServer } from './running-server.ts';

let server: RunningServer;
beforeAll(async () => {
  server = await RunningServer.start();
});
afterAll(() => server.stop());

/** One request as a member of a project of its own. */
async function member() {
  const { headers, base, project, source, admin } = await server.project();
  const call = async (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, payload?: object) => {
    const response = await server.app.inject({
      method,
      url: `${base}${path}`,
      headers,
      ...(payload === undefined ? {} : { payload }),
    });
    return {
      status: response.statusCode,
      body: response.body === '' ? null : response.json<Record<string, unknown>>(),
      text: response.body,
    };
  };
  return { call, headers, base, project, source, admin };
}

const definitionOf = (source: string, destination: string) => ({
  nodes: [
    { id: 'in', kind: 'source', source },
    { id: 'out', kind: 'destination', destination },
  ],
  edges: [['in', 'out']],
});

describe('projects', () => {
  it('begin with a source and with their maker as admin', async () => {
    const user = await server.user('maker@example.com');
    const headers = await server.bearer(user);
    const made = await server.app.inject({
      method: 'POST',
      url: '/api/v1/projects',
      headers,
      payload: { name: 'shop' },
    });
    expect(made.statusCode).toBe(201);
    expect(made.json()).toEqual({ id: expect.any(String), name: 'shop', role: 'admin' });
    const list = await server.app.inject({ url: '/api/v1/projects', headers });
    expect(list.json()).toEqual({ items: [made.json()], next_cursor: null });
    const sources = await server.app.inject({
      url: `/api/v1/projects/${made.json<{ id: string }>().id}/sources`,
      headers,
    });
    expect(sources.json()).toMatchObject({ items: [{ name: 'http', type: 'http', enabled: true }] });
  });
});

describe('API keys', () => {
  it('are shown once and listed without their secret', async () => {
    const { call, source } = await member();
    const made = await call('POST', '/api-keys', { name: 'web' });
    expect(made).toMatchObject({
      status: 201,
      body: {
        id: expect.any(String),
        name: 'web',
        source: source.id,
        key: expect.stringMatching(/^sy_[0-9A-Za-z]+_[0-9A-Za-z]{43}$/),
      },
    });
    const listed = await call('GET', '/api-keys');
    expect(listed.body).toMatchObject({
      items: [{ id: made.body?.['id'], name: 'web', last_used_at: null, revoked_at: null }],
    });
    expect(listed.text).not.toContain(String(made.body?.['key']).split('_')[2]);
    expect(await call('DELETE', `/api-keys/${String(made.body?.['id'])}`)).toMatchObject({ status: 204 });
    expect(await call('DELETE', '/api-keys/nobodys')).toMatchObject({ status: 404 });
    expect((await call('GET', '/api-keys')).body).toMatchObject({ items: [{ revoked_at: expect.any(String) }] });
    expect(await call('POST', '/api-keys', { name: 'web', source: randomUUIDv7() })).toMatchObject({ status: 404 });
  });
});

describe('destinations', () => {
  it('keep their secrets to themselves, and keep them through a change', async () => {
    const { call, project } = await member();
    const made = await call('POST', '/destinations', {
      name: 'hook',
      type: 'hook',
      config: { url: 'https://example.com', secret: 'hush-hush' },
    });
    expect(made).toMatchObject({
      status: 201,
      body: {
        name: 'hook',
        type: 'hook',
        enabled: true,
        status: { state: 'active' },
        config: { url: 'https://example.com', secret: { set: true } },
      },
    });
    const id = String(made.body?.['id']);
    const changed = await call('PATCH', `/destinations/${id}`, {
      config: { url: 'https://example.com/other', secret: { set: true } },
      enabled: false,
    });
    expect(changed).toMatchObject({
      status: 200,
      body: { enabled: false, config: { url: 'https://example.com/other', secret: { set: true } } },
    });
    for (const path of ['/destinations', `/destinations/${id}`])
      expect((await call('GET', path)).text).not.toContain('hush');
    const stored = await server.plane.destinations.get(project, id);
    expect(JSON.stringify(stored.config)).not.toContain('hush');
    expect(
      server.plane.configs.open(server.plane.registry.get('destination', 'hook').definition, stored.config, id),
    ).toEqual({ url: 'https://example.com/other', secret: 'hush-hush' });
    expect(server.moved.reloaded.filter((reloaded) => reloaded === project)).toHaveLength(2);
    expect(await call('POST', `/destinations/${id}/check`)).toEqual({
      status: 200,
      body: { ok: true, message: 'It answers.' },
      text: expect.any(String),
    });
    expect(await call('DELETE', `/destinations/${id}`)).toMatchObject({ status: 204, text: '' });
    expect(await call('GET', `/destinations/${id}`)).toMatchObject({ status: 404 });
    expect(await call('POST', `/destinations/${id}/check`)).toMatchObject({ status: 404 });
  });

  it('are refused with the field that is wrong', async () => {
    const { call } = await member();
    expect(await call('POST', '/destinations', { name: 'x', type: 'pigeon' })).toMatchObject({
      status: 400,
      body: { error: { code: 'PLUGIN_UNKNOWN' } },
    });
    expect(await call('POST', '/destinations', { name: 'x', type: 'hook', config: { url: 'no url' } })).toMatchObject({
      status: 400,
      body: { error: { code: 'CONFIG_INVALID', details: { fields: [{ field: '/url' }] } } },
    });
    expect(await call('POST', '/destinations', { name: 'x', type: 'hook', enable: true })).toMatchObject({
      status: 400,
      body: {
        error: {
          code: 'REQUEST_INVALID',
          message: 'Unknown field "enable" in the body.',
          details: { place: 'body', field: 'enable' },
        },
      },
    });
    expect(await call('POST', '/destinations', { name: 'x', type: 'hook', enabled: 'yes' })).toMatchObject({
      status: 400,
      body: { error: { details: { field: 'enabled' } } },
    });
    expect(await call('POST', '/destinations', { type: 'hook' })).toMatchObject({
      status: 400,
      body: { error: { message: 'The field "name" is missing in the body.' } },
    });
    await call('POST', '/destinations', { name: 'x', type: 'hook' });
    expect(await call('POST', '/destinations', { name: 'x', type: 'hook' })).toMatchObject({
      status: 409,
      body: { error: { code: 'NAME_TAKEN' } },
    });
  });
});

describe('pipelines', () => {
  it('run what was published, while drafts change', async () => {
    const { call, source, admin, project } = await member();
    const destination = String((await call('POST', '/destinations', { name: 'hook', type: 'hook' })).body?.['id']);
    const definition = definitionOf(source.id, destination);
    const made = await call('POST', '/pipelines', { name: 'line', definition });
    expect(made).toMatchObject({ status: 201, body: { name: 'line', draft: definition, published_version: null } });
    const path = `/pipelines/${String(made.body?.['id'])}`;
    expect(await call('POST', `${path}/publish`)).toMatchObject({ status: 200, body: { version: 1 } });
    expect(server.moved.reloaded.at(-1)).toBe(project);
    for (const draft of [{ definition: { nodes: [], edges: [] } }, { nodes: [], edges: [] }]) {
      expect(await call('PUT', `${path}/draft`, draft)).toMatchObject({
        status: 200,
        body: { published_version: 1, draft: { nodes: [], edges: [] } },
      });
    }
    expect(await call('PUT', `${path}/draft`, { nodes: [], edges: [], name: 'x' })).toMatchObject({ status: 400 });
    expect((await call('GET', `${path}/versions`)).body).toMatchObject({
      items: [{ version: 1, definition, published_by: admin }],
      next_cursor: null,
    });
    expect(await call('DELETE', `/destinations/${destination}`)).toMatchObject({
      status: 409,
      body: { error: { code: 'DESTINATION_IN_USE' } },
    });
    expect(await call('DELETE', `/sources/${source.id}`)).toMatchObject({
      status: 409,
      body: { error: { code: 'SOURCE_IN_USE' } },
    });
    expect(await call('POST', `${path}/unpublish`)).toMatchObject({ status: 200, body: { published_version: null } });
    expect(await call('POST', `${path}/unpublish`)).toMatchObject({
      status: 409,
      body: { error: { code: 'PIPELINE_NOT_PUBLISHED' } },
    });
    expect(await call('DELETE', path)).toMatchObject({ status: 204 });
    expect(await call('GET', path)).toMatchObject({ status: 404 });
  });

  it('name the field of the node that is wrong', async () => {
    const { call } = await member();
    const refused = await call('POST', '/pipelines', {
      name: 'x',
      definition: { nodes: [{ id: 'f', kind: 'transform', type: 'filter' }], edges: [] },
    });
    expect(refused).toMatchObject({
      status: 400,
      body: { error: { code: 'REQUEST_INVALID', details: { field: 'definition/nodes/0/config' } } },
    });
    const unknown = await call('POST', '/pipelines', {
      name: 'x',
      definition: { nodes: [{ id: 'f', kind: 'magic' }], edges: [] },
    });
    expect(unknown).toMatchObject({ status: 400, body: { error: { code: 'REQUEST_INVALID' } } });
  });

  it('are checked when they are published', async () => {
    const { call } = await member();
    const made = await call('POST', '/pipelines', { name: 'line', definition: { nodes: [], edges: [] } });
    server.moved.refuse = new SwitchyardError('PIPELINE_INVALID', 'The pipeline cannot run: there is no destination.', {
      problems: [{ node: null }],
    });
    const refused = await call('POST', `/pipelines/${String(made.body?.['id'])}/publish`);
    server.moved.refuse = null;
    expect(refused).toMatchObject({
      status: 400,
      body: { error: { code: 'PIPELINE_INVALID', details: { problems: [{ node: null }] } } },
    });
  });
});

describe('a filter', () => {
  it('that holds a NUL character is refused, since nothing can be found by it', async () => {
    const { call } = await member();
    for (const list of ['/dead-letters', '/events', '/analytics'])
      expect(await call('GET', `${list}?event_name=a%00b`)).toMatchObject({
        status: 400,
        body: { error: { code: 'REQUEST_INVALID' } },
      });
  });
});

describe('events and analytics', () => {
  const event = {
    id: randomUUIDv7(),
    event_name: 'signup',
    metadata: { n: JSON.rawJSON('12345678901234567890') },
  } as unknown as Event;

  it('come from whichever destination keeps them', async () => {
    const { call } = await member();
    const seen: unknown[] = [];
    server.moved.queries = {
      ...server.moved.queries,
      query: async () => async (query) => {
        seen.push(query);
        return { items: query.id === undefined || query.id === event.id ? [event] : [], next_cursor: 'next' };
      },
      series: async () => async () => [{ event_name: 'signup', time_bucket: '2026-01-01T00:00:00Z', count: 3 }],
    };
    const listed = await call(
      'GET',
      '/events?event_name=signup&user_id=u&from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z&limit=7&cursor=abc',
    );
    expect(listed.status).toBe(200);
    expect(listed.text).toContain('12345678901234567890');
    expect(listed.body).toMatchObject({ items: [{ id: event.id }], next_cursor: 'next' });
    expect(seen[0]).toEqual({
      event_name: 'signup',
      user_id: 'u',
      from: '2026-01-01T00:00:00Z',
      to: '2026-02-01T00:00:00Z',
      limit: 7,
      cursor: 'abc',
    });
    expect(await call('GET', `/events/${event.id}`)).toMatchObject({ status: 200, body: { id: event.id } });
    expect(await call('GET', `/events/${randomUUIDv7()}`)).toMatchObject({ status: 404 });
    expect((await call('GET', '/analytics?event_name=signup')).body).toEqual({
      items: [{ event_name: 'signup', time_bucket: '2026-01-01T00:00:00Z', count: 3 }],
      next_cursor: null,
    });
  });

  it('say so when no destination keeps them, or it cannot answer', async () => {
    const { call } = await member();
    const fail = (error: Error) => {
      server.moved.queries = {
        ...server.moved.queries,
        query: async () => () => Promise.reject(error),
        series: async () => null,
      };
    };
    fail(new PermanentError('The cursor is not one of ours.'));
    expect(await call('GET', '/events')).toMatchObject({ status: 400, body: { error: { code: 'REQUEST_INVALID' } } });
    fail(new RetryableError('The store is restarting.'));
    expect(await call('GET', '/events')).toMatchObject({ status: 503, body: { error: { code: 'STORE_UNAVAILABLE' } } });
    fail(new Error('password=hunter2'));
    const broken = await call('GET', '/events');
    expect(broken).toMatchObject({
      status: 500,
      body: { error: { code: 'INTERNAL', details: { request_id: expect.any(String) } } },
    });
    expect(broken.text).not.toContain('hunter2');
    expect(await call('GET', '/analytics')).toMatchObject({
      status: 409,
      body: { error: { code: 'QUERY_UNSUPPORTED' } },
    });
    for (const query of ['limit=0', 'limit=1001', 'limit=x', 'from=yesterday', 'order=asc']) {
      expect(await call('GET', `/events?${query}`)).toMatchObject({
        status: 400,
        body: { error: { code: 'REQUEST_INVALID' } },
      });
    }
  });
});

describe('dead letters', () => {
  it('are listed with their event and put on their way again', async () => {
    const { call, project } = await member();
    const destination = String((await call('POST', '/destinations', { name: 'hook', type: 'hook' })).body?.['id']);
    const id = await insertDelivery(server.db, {
      project,
      destination,
      event: '{"event_name":"signup","metadata":{"n":12345678901234567890}}',
    });
    await insertDelivery(server.db, { project, destination, code: 'HTTP_400' });
    const listed = await call('GET', `/dead-letters?error_code=HTTP_500&destination=${destination}`);
    expect(listed.body).toMatchObject({
      items: [
        {
          id,
          state: 'dead',
          event: { event_name: 'signup' },
          destination,
          stage: 'deliver',
          error: { code: 'HTTP_500' },
          attempts: 3,
          pipeline_version: 1,
          at: expect.any(String),
        },
      ],
      next_cursor: null,
    });
    expect(listed.text).toContain('12345678901234567890');
    const woken = server.moved.woken;
    expect(
      (await call('POST', '/dead-letters/replay', { filter: { error_code: 'HTTP_500' }, dry_run: true })).body,
    ).toEqual({ matched: 1, replayed: 0 });
    expect(server.moved.woken).toBe(woken);
    expect((await call('POST', '/dead-letters/replay', { filter: { error_code: 'HTTP_500' } })).body).toEqual({
      matched: 1,
      replayed: 1,
    });
    expect(server.moved.woken).toBe(woken + 1);
    // A misspelt filter must not replay everything.
    expect(await call('POST', '/dead-letters/replay', { filter: { code: 'HTTP_400' } })).toMatchObject({ status: 400 });
    expect(await call('POST', '/dead-letters/replay', { ids: ['x'] })).toMatchObject({ status: 400 });
    expect((await call('POST', '/dead-letters/replay', {})).body).toEqual({ matched: 1, replayed: 1 });
  });
});

describe('accounting and plugins', () => {
  it('answer in their shapes', async () => {
    const { call, headers } = await member();
    expect((await call('GET', '/accounting')).body).toEqual({ accepted: 0, subscriptions: [] });
    const plugins = await server.app.inject({ url: '/api/v1/plugins', headers });
    expect(plugins.json()).toMatchObject({
      items: expect.arrayContaining([
        expect.objectContaining({
          kind: 'destination',
          type: 'hook',
          config: expect.objectContaining({ type: 'object' }),
        }),
      ]),
      next_cursor: null,
    });
  });
});
