import { randomBytes, randomUUIDv7 } from 'node:crypto';
import { sql, type Kysely } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import type { PipelineDefinition } from '../pipeline/definition.ts';
import type { PluginConfigs } from '../plugin-host/config.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import { formatApiKey, newApiKey, parseApiKey, type ApiKey } from '../store/api-key-format.ts';
import { insertKey } from '../store/api-keys.ts';
import { DEFAULT_PROJECT, defaultInstance, defaultSource } from './defaults.ts';
import { insertInstance, type NewInstance } from '../store/instances.ts';
import type { Passwords } from '../store/passwords.ts';
import { insertPipeline, insertVersion } from '../store/pipelines.ts';
import { PARTITIONS } from '../store/projects.ts';
import type { Database } from '../store/schema.ts';
import { insertUser } from '../store/users.ts';

export interface FirstStart {
  readonly adminEmail: string;
  /** Null: one is generated. */
  readonly adminPassword: string | null;
  /** Null: one is generated. */
  readonly apiKey: string | null;
}

/** What the first start made, to be shown once: the database holds only hashes of it. */
export interface Bootstrapped {
  readonly project: string;
  readonly email: string;
  /** Null when the operator chose it. */
  readonly generatedPassword: string | null;
  /** The first API key, or null when there is no source that it could belong to. */
  readonly apiKey: string | null;
}

/** Any number that nothing else in the database locks. */
const LOCK = 7_339_018_204;

/** Letters and digits that nobody confuses when typing them over. */
const LEGIBLE = 'abcdefghijkmnpqrstuvwxyz23456789';

/** 100 bits. */
const newPassword = (): string => Array.from(randomBytes(20), (byte) => LEGIBLE[byte % LEGIBLE.length] ?? '').join('');

/**
 * Sets up the default project and the first admin in an empty database, in one transaction. Answers null when there is a project already, whoever made it: of two
 * processes that start at once, one does it and the other finds it done.
 */
export async function bootstrap(
  db: Kysely<Database>,
  first: FirstStart,
  plugins: { readonly registry: PluginRegistry; readonly configs: PluginConfigs; readonly passwords: Passwords },
): Promise<Bootstrapped | null> {
  if (await isSetUp(db)) return null;
  const password = first.adminPassword ?? newPassword();
  // Before the transaction: it takes a tenth of a second, and the lock is for everybody.
  const passwordHash = await plugins.passwords.hash(password);
  return db.transaction().execute(async (transaction) => {
    await sql`select pg_advisory_xact_lock(${LOCK})`.execute(transaction);
    if (await isSetUp(transaction)) return null;
    const project = randomUUIDv7();
    await transaction
      .insertInto('projects')
      .values({ id: project, name: DEFAULT_PROJECT.name, partitions: PARTITIONS })
      .execute();
    const admin = await insertUser(transaction, first.adminEmail, passwordHash);
    await transaction.insertInto('members').values({ project_id: project, user_id: admin.id, role: 'admin' }).execute();
    const apiKey = await setUpProject(transaction, project, first.apiKey, plugins);
    return { project, email: admin.email, generatedPassword: first.adminPassword === null ? password : null, apiKey };
  });
}

async function isSetUp(db: Kysely<Database>): Promise<boolean> {
  return (await db.selectFrom('projects').select('id').limit(1).executeTakeFirst()) !== undefined;
}

async function setUpProject(
  db: Kysely<Database>,
  project: string,
  wantedKey: string | null,
  { registry, configs }: { readonly registry: PluginRegistry; readonly configs: PluginConfigs },
): Promise<string | null> {
  const source = defaultSource(registry, configs);
  const destinations = DEFAULT_PROJECT.destinations.flatMap(
    (wanted) => defaultInstance('destination', wanted, registry, configs) ?? [],
  );
  for (const destination of destinations) await insertInstance(db, 'destinations', project, destination);
  if (source === null) return null;
  await insertInstance(db, 'sources', project, source);
  if (destinations.length > 0) {
    const definition = straight(source, destinations);
    const pipeline = await insertPipeline(db, project, DEFAULT_PROJECT.pipeline, definition);
    await insertVersion(db, pipeline.id, definition, null);
  }
  const key = keyOf(wantedKey);
  await insertKey(db, project, source.id, 'first key', key);
  return formatApiKey(key);
}

/** From the source to each destination, with nothing in between. */
function straight(source: NewInstance, destinations: readonly NewInstance[]): PipelineDefinition {
  return {
    nodes: [
      { id: source.name, kind: 'source', source: source.id },
      ...destinations.map(({ id, name }) => ({ id: name, kind: 'destination' as const, destination: id })),
    ],
    edges: destinations.map(({ name }) => [source.name, name]),
  };
}

function keyOf(wanted: string | null): ApiKey {
  if (wanted === null) return newApiKey();
  const key = parseApiKey(wanted);
  if (key === null) throw new SwitchyardError('SETTING_INVALID', 'BOOTSTRAP_API_KEY must look like sy_<id>_<secret>.');
  return key;
}
