import { randomBytes, randomUUID } from 'node:crypto';
import { migrateToLatest } from '@switchyard/migrations';
import { RetryableError, Secret, Type, type HttpClient, type PluginContext } from '@switchyard/plugin-sdk';
import { Kysely, PostgresDialect } from 'kysely';
import { createLogger } from '../../src/observability/logger.ts';
import { createMetrics } from '../../src/observability/metrics.ts';
import { PluginConfigs } from '../../src/plugin-host/config.ts';
import { PluginContexts } from '../../src/plugin-host/context.ts';
import { escapeReporter } from '../../src/plugin-host/escape-report.ts';
import { PluginHost } from '../../src/plugin-host/host.ts';
import { transformInstanceId } from '../../src/plugin-host/instance-id.ts';
import { SecretBox } from '../../src/plugin-host/secrets.ts';
import type { Database } from '../../src/store/schema.ts';
import { Databases } from '../store/databases.ts';
import { destination, destinationWith } from './definitions.ts';

const databases = new Databases();
let db: Kysely<Database>;
beforeAll(async () => {
  db = (await databases.embedded()).db;
  await migrateToLatest(db);
}, 60_000);
afterAll(() => databases.clean());

let log = '';
const logger = createLogger('info', { write: (line: string) => void (log += line) });
const metrics = createMetrics();
const http: HttpClient = {
  request: () => Promise.resolve({ status: 204, headers: {}, body: new Uint8Array(), truncated: false, durationMs: 1 }),
};
const identity = { project: randomUUID(), id: randomUUID(), name: 'mine' };

function contextOf(parts: Parameters<typeof destinationWith>[0] = {}, database = db, id = identity.id): PluginContext {
  return new PluginContexts(logger, metrics, http, database).context(destinationWith(parts), { ...identity, id });
}

describe("a plugin's context", () => {
  it('names the project and the instance, and labels what the plugin logs and counts', async () => {
    const context = contextOf();
    expect([context.project, context.instance]).toEqual([{ id: identity.project }, { id: identity.id, name: 'mine' }]);
    context.logger.warn('slow', { ms: 5 });
    expect(JSON.parse(log)).toMatchObject({
      level: 'warn',
      msg: 'slow',
      ms: 5,
      kind: 'destination',
      plugin: 'fixture',
      instance: identity.id,
      project: identity.project,
    });
    context.metrics.counter('sent_total', 'Sent.').inc();
    expect(await metrics.registry.metrics()).toContain(
      `switchyard_plugin_sent_total{plugin="fixture",instance="${identity.id}"} 1`,
    );
    await expect(
      context.http.request({ method: 'GET', url: 'https://example.com' }, AbortSignal.timeout(1000)),
    ).resolves.toMatchObject({ status: 204 });
  });

  it('opens the database to those that declare it, and says so to the others', async () => {
    expect(() => contextOf().database).toThrow(`uses context.database without declaring requires: ['database']`);
    const { database } = contextOf({ requires: ['database'] });
    expect(
      await database.withTables<{ projects: { id: string } }>().selectFrom('projects').select('id').execute(),
    ).toEqual([]);
  });

  it('cannot be changed by the plugin', () => {
    expect(Object.isFrozen(contextOf())).toBe(true);
  });

  it('lets a plugin in a loop log a while, and then says that lines are left out', () => {
    log = '';
    const context = contextOf();
    for (let i = 0; i < 10_000; i++) context.logger.info('again');
    const lines = log.trim().split('\n');
    expect(lines.length).toBeLessThanOrEqual(102);
    expect(lines.at(-1)).toContain('further ones are left out');
  });
});

describe("a plugin's state", () => {
  it('is kept, replaced and deleted, whatever JSON it is', async () => {
    const { state } = contextOf();
    expect(await state.get('cursor')).toBeUndefined();
    for (const value of ['text', 7, null, true, [1, [2]], { a: { b: null } }]) {
      await state.set('cursor', value);
      expect(await contextOf().state.get('cursor')).toEqual(value);
    }
    await state.delete('cursor');
    await state.delete('cursor');
    expect(await state.get('cursor')).toBeUndefined();
  });

  it('is of one instance alone', async () => {
    await contextOf().state.set('shared', 1);
    expect(await contextOf({}, db, randomUUID()).state.get('shared')).toBeUndefined();
  });

  it('is small, and is JSON', async () => {
    const { state } = contextOf();
    await expect(state.set('big', 'x'.repeat(70_000))).rejects.toThrow('at most 65536 are kept');
    await expect(state.set('', 1)).rejects.toThrow('1 to 200 characters');
    await expect(state.set('odd', undefined as never)).rejects.toThrow('is not JSON');
  });

  it('that cannot be reached is a reason to try again, not a bug of the plugin', async () => {
    const refused = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
    const pool = { connect: () => Promise.reject(refused), end: () => Promise.resolve(), options: {} };
    const nobody = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
    const error: unknown = await contextOf({}, nobody)
      .state.get('x')
      .catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RetryableError);
    expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    await nobody.destroy();
  });
});

describe('the host', () => {
  const configs = new PluginConfigs(new SecretBox(randomBytes(32)), () => null);
  const host = (own = configs): PluginHost =>
    new PluginHost(own, new PluginContexts(logger, metrics, http, db), logger, metrics);
  const config = Type.Object({ token: Secret(), size: Type.Integer({ default: 3 }) }, { additionalProperties: false });

  it('creates a plugin with its configuration in plain text and its context', async () => {
    const created: unknown[] = [];
    const definition = destinationWith({
      config,
      create: (plain, context) => {
        created.push(plain, context.instance.id);
        return destination();
      },
    });
    const instance = host().destination(
      definition,
      identity,
      configs.accept(definition, { token: 'hunter2' }, identity.id),
    );
    instance.start();
    expect(await instance.ready).toBe('open');
    expect(created).toEqual([{ token: 'hunter2', size: 3 }, identity.id]);
    await instance.close(100);
  });

  it('makes a secret that does not open the status of the instance', async () => {
    const definition = destinationWith({ config });
    const sealed = configs.accept(definition, { token: 'hunter2' }, identity.id);
    const instance = host(new PluginConfigs(new SecretBox(randomBytes(32)), () => null)).destination(
      definition,
      identity,
      sealed,
    );
    instance.start();
    await new Promise(setImmediate);
    expect(instance.status).toMatchObject({
      state: 'paused',
      code: 'SECRET_UNREADABLE',
      reason: expect.stringContaining('ENCRYPTION_KEY'),
    });
    await instance.close(100);
  });
});

describe('what escapes from a plugin', () => {
  it('is counted and logged, even when it cannot be looked at', async () => {
    log = '';
    const error = Object.defineProperty(new Error('x'), 'message', {
      get: () => {
        throw new Error('trap');
      },
    });
    escapeReporter(logger, metrics)({ kind: 'source', type: 'poll', instance: 'i7' }, error);
    expect(log).toContain('The source plugin \\"poll\\" (instance i7) let an error go outside of any call');
    expect(await metrics.registry.metrics()).toContain(
      'switchyard_contained_faults_total{kind="source",type="poll",fault="escaped"} 1',
    );
  });
});

describe("a transform's instance id", () => {
  it('is a UUID that depends on the pipeline and the node alone', () => {
    const pipeline = randomUUID();
    expect(transformInstanceId(pipeline, 'n1')).toMatch(
      /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    );
    expect(transformInstanceId(pipeline, 'n1')).toBe(transformInstanceId(pipeline, 'n1'));
    expect(
      new Set([
        transformInstanceId(pipeline, 'n1'),
        transformInstanceId(pipeline, 'n2'),
        transformInstanceId(randomUUID(), 'n1'),
      ]).size,
    ).toBe(3);
  });
});
