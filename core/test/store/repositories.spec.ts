import { randomUUIDv7 } from 'node:crypto';
import { jest } from '@jest/globals';
import type { Kysely } from 'kysely';
import { ApiKeyRepository } from '../../src/store/api-keys.ts';
import { DestinationRepository } from '../../src/store/destinations.ts';
import type { NewInstance } from '../../src/store/instances.ts';
import { PipelineRepository } from '../../src/store/pipelines.ts';
import { ProjectRepository } from '../../src/store/projects.ts';
import type { Database } from '../../src/store/schema.ts';
import { SourceRepository } from '../../src/store/sources.ts';
import { Databases } from './databases.ts';
import { migrated, newProject } from './stored-project.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
afterAll(() => databases.clean());

const instance = (name: string, type = 'hook'): NewInstance => ({
  id: randomUUIDv7(),
  name,
  type,
  config: {},
  enabled: true,
});

describe.each(['embedded', 'postgres'] as const)('repositories on %s', (kind) => {
  let db: Kysely<Database>;
  let destinations: DestinationRepository;
  let sources: SourceRepository;
  let pipelines: PipelineRepository;
  let keys: ApiKeyRepository;

  beforeAll(async () => {
    db = await migrated(databases, kind);
    destinations = new DestinationRepository(db);
    sources = new SourceRepository(db);
    pipelines = new PipelineRepository(db);
    keys = new ApiKeyRepository(db);
  });

  /** A project with a source, a destination and a pipeline between them that is not published. */
  async function furnished() {
    const { project, admin } = await newProject(db);
    const source = await sources.create(project, instance('in', 'http'));
    const destination = await destinations.create(project, instance('out'));
    const definition = {
      nodes: [
        { id: 'a', kind: 'source', source: source.id },
        { id: 'b', kind: 'destination', destination: destination.id },
      ],
      edges: [['a', 'b']],
    };
    const pipeline = await pipelines.create(project, 'line', definition);
    const publish = (definition_: unknown = definition) =>
      pipelines.publish(project, pipeline.id, {
        definition: definition_,
        feeds: [destination.id],
        by: admin,
      });
    return { project, admin, source, destination, definition, pipeline, publish };
  }

  it('never reach into another project', async () => {
    const mine = await furnished();
    const theirs = await furnished();
    await expect(destinations.get(mine.project, theirs.destination.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(destinations.update(mine.project, theirs.destination.id, () => ({ name: 'x' }))).rejects.toMatchObject(
      { code: 'NOT_FOUND' },
    );
    await expect(destinations.delete(mine.project, theirs.destination.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(pipelines.get(mine.project, theirs.pipeline.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(pipelines.saveDraft(mine.project, theirs.pipeline.id, {})).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    await expect(pipelines.delete(mine.project, theirs.pipeline.id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await expect(pipelines.versions(mine.project, theirs.pipeline.id, { limit: 10 })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    });
    const { id } = await keys.create(theirs.project, theirs.source.id, 'theirs');
    await expect(keys.revoke(mine.project, id)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect((await destinations.list(mine.project, { limit: 100 })).items).toHaveLength(1);
  });

  it('page through a list without skipping or repeating anything', async () => {
    const { project } = await newProject(db);
    for (let i = 0; i < 5; i += 1) await destinations.create(project, instance(`out ${i}`));
    const names: string[] = [];
    let cursor: string | undefined;
    for (let pages = 0; pages < 3; pages += 1) {
      const page = await destinations.list(project, { limit: 2, cursor });
      names.push(...page.items.map(({ name }) => name));
      cursor = page.next_cursor ?? undefined;
    }
    expect(cursor).toBeUndefined();
    expect(names.sort()).toEqual(['out 0', 'out 1', 'out 2', 'out 3', 'out 4']);
    await expect(destinations.list(project, { limit: 2, cursor: 'bm90IGEgdXVpZA' })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  });

  it('keep names unique in a project, also when two are made at once', async () => {
    const { project } = await newProject(db);
    const other = await newProject(db);
    const made = await Promise.allSettled([1, 2, 3].map(() => destinations.create(project, instance('same'))));
    expect(made.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect(made.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'NAME_TAKEN' } });
    await destinations.create(other.project, instance('same'));
  });

  it('lose no field when two changes of one object are made at once', async () => {
    const { project, destination } = await furnished();
    await Promise.all([
      destinations.update(project, destination.id, () => ({ name: 'renamed' })),
      destinations.update(project, destination.id, () => ({ enabled: false })),
      destinations.update(project, destination.id, () => ({ config: { url: 'https://example.com' } })),
    ]);
    expect(await destinations.get(project, destination.id)).toMatchObject({
      name: 'renamed',
      enabled: false,
      config: { url: 'https://example.com' },
    });
  });

  it('make a new version only of what changed', async () => {
    const { project, pipeline, definition, publish } = await furnished();
    expect(await publish()).toBe(1);
    expect(await publish()).toBe(1);
    const changed = { nodes: [...definition.nodes].reverse(), edges: definition.edges };
    expect(await publish(changed)).toBe(2);
    const { items } = await pipelines.versions(project, pipeline.id, { limit: 1 });
    expect(items).toMatchObject([{ version: 2, definition: changed }]);
    const rest = await pipelines.versions(project, pipeline.id, {
      limit: 1,
      cursor: String((await pipelines.versions(project, pipeline.id, { limit: 1 })).next_cursor),
    });
    expect(rest).toMatchObject({ items: [{ version: 1, definition }], next_cursor: null });
    expect(await pipelines.unpublish(project, pipeline.id)).toMatchObject({ publishedVersion: null });
    await expect(pipelines.unpublish(project, pipeline.id)).rejects.toMatchObject({ code: 'PIPELINE_NOT_PUBLISHED' });
    expect(await publish(changed)).toBe(3);
  });

  it('refuse to delete what a published pipeline needs, and only then', async () => {
    const { project, source, destination, pipeline, publish } = await furnished();
    await publish();
    await expect(destinations.delete(project, destination.id)).rejects.toMatchObject({
      code: 'DESTINATION_IN_USE',
      details: { pipeline: pipeline.id },
    });
    await expect(sources.delete(project, source.id)).rejects.toMatchObject({ code: 'SOURCE_IN_USE' });
    await pipelines.unpublish(project, pipeline.id);
    await destinations.delete(project, destination.id);
    await sources.delete(project, source.id);
  });

  it('never publish a pipeline whose destination is deleted in the same moment', async () => {
    for (let round = 0; round < 5; round += 1) {
      const { project, destination, publish } = await furnished();
      const [published, deleted] = await Promise.allSettled([publish(), destinations.delete(project, destination.id)]);
      expect([published.status, deleted.status].sort()).toEqual(['fulfilled', 'rejected']);
    }
  });

  it('give out what a key allows, until it is revoked', async () => {
    const { project, source } = await furnished();
    const { id, key } = await keys.create(project, source.id, 'mine');
    expect(key).toMatch(/^sy_[0-9A-Za-z]{14}_[0-9A-Za-z]{43}$/);
    const [grant] = await keys.grants([id, 'nobodys']);
    expect(grant).toMatchObject({ id, project, partitions: 4, source: { id: source.id, type: 'http', enabled: true } });
    expect(grant?.secretHash).toHaveLength(32);
    await keys.touch([id]);
    await keys.revoke(project, id);
    await keys.revoke(project, id);
    expect(await keys.grants([id])).toEqual([]);
    const { items } = await keys.list(project, { limit: 10 });
    expect(items).toMatchObject([
      { id, name: 'mine', source: source.id, lastUsedAt: expect.any(Date), revokedAt: expect.any(Date) },
    ]);
    expect(JSON.stringify(items)).not.toContain(key.split('_')[2]);
  });

  it('page through keys that were made in the same millisecond', async () => {
    const { project, source } = await furnished();
    await db.transaction().execute(async (transaction) => {
      for (let i = 0; i < 5; i += 1) await new ApiKeyRepository(transaction).create(project, source.id, `key ${i}`);
    });
    const seen: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<ApiKeyRepository['list']>> = await keys.list(project, {
        limit: 2,
        cursor: cursor ?? undefined,
      });
      seen.push(...page.items.map(({ name }) => name));
      cursor = page.next_cursor;
    } while (cursor !== null);
    expect(seen.sort()).toEqual(['key 0', 'key 1', 'key 2', 'key 3', 'key 4']);
  });

  it('show a user the projects that the user is a member of', async () => {
    const { project, admin } = await newProject(db);
    const other = await newProject(db);
    const projects = new ProjectRepository(db);
    await db.insertInto('members').values({ project_id: other.project, user_id: admin, role: 'viewer' }).execute();
    expect((await projects.listOf(admin, { limit: 50 })).items).toMatchObject([
      { id: project, role: 'admin' },
      { id: other.project, role: 'viewer' },
    ]);
    expect(await projects.roleOf(other.project, admin)).toBe('viewer');
    expect(await projects.roleOf(project, other.admin)).toBeNull();
  });
});
