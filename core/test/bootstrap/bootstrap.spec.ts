import { jest } from '@jest/globals';
import { bootstrap, type FirstStart } from '../../src/bootstrap/bootstrap.ts';
import { parseApiKey } from '../../src/store/api-key-format.ts';
import { ApiKeyRepository } from '../../src/store/api-keys.ts';
import { Passwords } from '../../src/store/passwords.ts';
import { PipelineRepository } from '../../src/store/pipelines.ts';
import { UserRepository } from '../../src/store/users.ts';
import { Databases } from '../store/databases.ts';
import { migrated, testConfigs, testRegistry } from '../store/stored-project.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
afterEach(() => databases.clean());

const first: FirstStart = { adminEmail: 'Admin@Localhost', adminPassword: null, apiKey: null };
const plugins = (types?: readonly string[]) => ({
  registry: testRegistry(types),
  configs: testConfigs(),
  passwords: new Passwords(),
});

describe.each(['embedded', 'postgres'] as const)('the first start on %s', (kind) => {
  it('makes a project that works, and says once how to get in', async () => {
    const db = await migrated(databases, kind);
    const made = await bootstrap(db, first, plugins());
    expect(made).toMatchObject({
      email: 'admin@localhost',
      generatedPassword: expect.stringMatching(/^[a-z2-9]{20}$/),
    });
    const { project = '', generatedPassword, apiKey } = made ?? {};

    const users = new UserRepository(db, new Passwords());
    expect(await users.authenticate(' ADMIN@localhost', generatedPassword ?? '')).toMatchObject({
      email: 'admin@localhost',
    });
    expect(await users.authenticate('admin@localhost', 'wrong')).toBeNull();

    const [grant] = await new ApiKeyRepository(db).grants([parseApiKey(apiKey ?? '')?.id ?? '']);
    expect(grant).toMatchObject({ project, source: { type: 'http', enabled: true } });

    const { items } = await new PipelineRepository(db).list(project, { limit: 10 });
    expect(items).toMatchObject([
      {
        name: 'default',
        publishedVersion: 1,
        draft: {
          edges: [
            ['http', 'timescale'],
            ['http', 'analytics'],
          ],
        },
      },
    ]);
    expect(await db.selectFrom('projects').select('partitions').execute()).toEqual([{ partitions: 4 }]);

    expect(await bootstrap(db, first, plugins())).toBeNull();
  });

  it('leaves out plugins that are not installed', async () => {
    const db = await migrated(databases, kind);
    expect(await bootstrap(db, first, plugins([]))).toMatchObject({ apiKey: null });
    expect(await db.selectFrom('pipelines').selectAll().execute()).toEqual([]);
  });
});

it('happens once when several processes start together, with the password and the key that the operator chose', async () => {
  const databaseUrl = await databases.postgresUrl();
  const starting = await Promise.all([1, 2, 3].map(() => databases.open({ databaseUrl })));
  await migrated({ postgres: async () => starting[0] } as unknown as Databases, 'postgres');
  const apiKey = `sy_0123456789ab_${'s'.repeat(43)}`;
  const made = await Promise.all(
    starting.map(({ db }) => bootstrap(db, { ...first, adminPassword: 'correct horse', apiKey }, plugins())),
  );
  expect(made.filter((one) => one !== null)).toMatchObject([{ generatedPassword: null, apiKey }]);
  const [{ db } = { db: undefined }] = starting;
  expect(await db?.selectFrom('users').select('email').execute()).toHaveLength(1);
  expect(await db?.selectFrom('projects').select('name').execute()).toHaveLength(1);
});
