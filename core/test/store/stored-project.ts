import { randomUUIDv7 } from 'node:crypto';
import { migrateToLatest } from '@switchyard/migrations';
import { defineDestination, defineSource, Secret, Type } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import { PluginConfigs } from '../../src/plugin-host/config.ts';
import { PluginRegistry, type Plugin } from '../../src/plugin-host/registry.ts';
import { SecretBox } from '../../src/plugin-host/secrets.ts';
import { ProjectRepository } from '../../src/store/projects.ts';
import { insertUser } from '../../src/store/users.ts';
import type { Database, DeliveryState } from '../../src/store/schema.ts';
import { Databases } from './databases.ts';

/** A migrated database that the tests of a file share. */
export async function migrated(databases: Databases, kind: 'embedded' | 'postgres'): Promise<Kysely<Database>> {
  const { db } = await databases[kind]();
  await migrateToLatest(db);
  return db;
}

let users = 0;

/** A project of its own with its admin, so that tests of one database do not see each other. */
export async function newProject(db: Kysely<Database>): Promise<{ readonly project: string; readonly admin: string }> {
  users += 1;
  const admin = await insertUser(db, `admin-${process.pid}-${users}@example.com`, 'no hash');
  const { id } = await new ProjectRepository(db).create({ name: `project ${users}`, owner: admin.id, source: null });
  return { project: id, admin: admin.id };
}

export interface NewDelivery {
  readonly project: string;
  readonly destination: string;
  readonly state?: DeliveryState;
  readonly code?: string;
  readonly name?: string;
  readonly event?: string;
  readonly at?: Date;
}

/** A row as the delivery side writes it. */
export async function insertDelivery(db: Kysely<Database>, delivery: NewDelivery): Promise<string> {
  const { project, destination, state = 'dead', code = 'HTTP_500', name = 'signup', at = new Date() } = delivery;
  const id = randomUUIDv7();
  await db
    .insertInto('deliveries')
    .values({
      id,
      project_id: project,
      subscription_id: randomUUIDv7(),
      destination_id: destination,
      event_id: randomUUIDv7(),
      source_id: randomUUIDv7(),
      output: 0,
      state,
      stage: 'deliver',
      partition: '0',
      log_offset: 0,
      order_key: null,
      event: delivery.event ?? JSON.stringify({ event_name: name }),
      payload: null,
      event_name: name,
      user_id: null,
      attempts: 3,
      error_code: code,
      error_message: 'The endpoint answered 500.',
      fingerprint: code,
      pipeline_version: 1,
      updated_at: at,
    })
    .execute();
  return id;
}

const source = (type: string) =>
  defineSource<unknown>({
    type,
    title: type,
    summary: 'A source for tests.',
    stability: 'stable',
    config: Type.Object({}, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'Nothing to set', config: {} }],
    routes: [
      {
        name: 'event',
        method: 'POST',
        path: type === 'http' ? '/api/v1/events' : `/${type}/events`,
        summary: 'Take events',
        responses: { 202: Type.Object({ ids: Type.Array(Type.Unknown()) }) },
      },
      {
        name: 'settings',
        method: 'GET',
        path: `/${type}/settings`,
        summary: 'Say hello',
        responses: { 200: Type.Object({}) },
      },
    ],
    credential: ({ headers, body }) => {
      const header = headers['authorization']?.replace(/^Bearer /, '');
      return (
        header ??
        (typeof body === 'object' && body !== null && 'key' in body && typeof body['key'] === 'string'
          ? body['key']
          : undefined)
      );
    },
    create: () => ({
      receive: ({ route, body }) => {
        if (route === 'settings') return { action: 'challenge', reply: { status: 200, body: { hello: true } } };
        if (typeof body === 'object' && body !== null && 'reject' in body)
          return { action: 'reject', status: 400, code: 'NO_THANKS', message: 'Not that one.' };
        if (typeof body === 'object' && body !== null && 'explode' in body) throw new Error('a secret of the plugin');
        if (typeof body === 'object' && body !== null && 'redirect' in body)
          return { action: 'challenge', reply: { status: 302, headers: { location: '/elsewhere' }, body: null } };
        return {
          action: 'accept',
          drafts: Array.isArray(body) ? body : [body],
          reply: (results) => ({
            status: 202,
            body: { ids: results.map((result) => (result.ok ? result.id : result.error.code)) },
          }),
        };
      },
    }),
  });

const destination = (type: string, ordering: 'none' | 'partition') =>
  defineDestination<{ url?: string; secret?: string }>({
    type,
    title: type,
    summary: 'A destination for tests.',
    stability: 'stable',
    config: Type.Object(
      { url: Type.Optional(Type.String({ format: 'uri' })), secret: Type.Optional(Secret()) },
      { additionalProperties: false },
    ),
    configVersion: 1,
    examples: [{ title: 'Nothing to set', config: {} }],
    capabilities: { batch: { maxEvents: 1 }, concurrency: 1, ordering },
    create: () => ({ check: async () => ({ ok: true, message: 'It answers.' }), deliver: async () => new Map() }),
  });

const plugin = (definition: Plugin['definition']): Plugin => ({
  packageName: `test-${definition.type}`,
  version: '1.0.0',
  directory: '/',
  definition,
});

/** Definitions of plain type, as the registry holds them. */
const erased = (definition: unknown): Plugin['definition'] => definition as Plugin['definition'];

/** The registry of the tests: two sources, two stores and a hook that has a secret. */
export const testRegistry = (
  types: readonly string[] = ['http', 'other', 'timescale', 'analytics', 'hook'],
): PluginRegistry =>
  new PluginRegistry(
    [
      erased(source('http')),
      erased(source('other')),
      erased(destination('timescale', 'partition')),
      erased(destination('analytics', 'partition')),
      erased(destination('hook', 'none')),
    ]
      .filter(({ type }) => types.includes(type))
      .map(plugin),
  );

export const testConfigs = (): PluginConfigs => new PluginConfigs(new SecretBox(Buffer.alloc(32, 7)), () => null);
