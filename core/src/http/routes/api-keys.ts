import { Type } from 'typebox';
import { SwitchyardError } from '../../errors.ts';
import type { ListedKey } from '../../store/api-keys.ts';
import type { ControlPlane, Scope } from '../plane.ts';
import { Id, InProject, NoContent, PageQuery, Time, answers, listOf, orNull, strict } from '../schemas.ts';

const KeyId = Type.String({ pattern: '^[0-9A-Za-z]{1,64}$', description: 'The public part of the key: sy_<id>_…' });
const Listed = Type.Object({
  id: KeyId,
  name: Type.String(),
  source: Id,
  created_at: Time,
  last_used_at: orNull(Type.String({ format: 'date-time', description: 'To the minute.' })),
  revoked_at: orNull(Time),
});

const listed = (key: ListedKey) => ({
  id: key.id,
  name: key.name,
  source: key.source,
  created_at: key.createdAt.toISOString(),
  last_used_at: key.lastUsedAt?.toISOString() ?? null,
  revoked_at: key.revokedAt?.toISOString() ?? null,
});

export function apiKeyRoutes(app: Scope, { apiKeys, sources, keys }: ControlPlane): void {
  const tags = ['api-keys'];

  app.get(
    '/projects/:project/api-keys',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'API keys, newest first, without their secrets',
        params: InProject,
        querystring: PageQuery,
        response: answers({ 200: listOf(Listed) }),
      },
    },
    async (request) => {
      const page = await apiKeys.list(request.params.project, request.query);
      return { items: page.items.map(listed), next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects/:project/api-keys',
    {
      config: { access: 'admin' },
      schema: {
        tags,
        summary: 'Make an API key; the answer is the only time that it is shown',
        params: InProject,
        body: strict({
          name: Type.String({ minLength: 1, maxLength: 100 }),
          source: Type.Optional(
            Type.String({
              format: 'uuid',
              description: 'The source that it lets events in through; the oldest of the project when left out.',
            }),
          ),
        }),
        response: answers({
          201: Type.Object({
            id: KeyId,
            name: Type.String(),
            source: Id,
            key: Type.String({ description: 'sy_<id>_<secret>' }),
          }),
        }),
      },
    },
    async (request, reply) => {
      const { project } = request.params;
      const { name, source: wanted } = request.body;
      const source = wanted === undefined ? await sources.first(project) : await sources.get(project, wanted);
      if (source === null)
        throw new SwitchyardError(
          'REQUEST_INVALID',
          'The project has no source that the key could belong to: make one first.',
          { place: 'body', field: 'source' },
        );
      const { id, key } = await apiKeys.create(project, source.id, name);
      keys.forget();
      return reply.code(201).send({ id, name, source: source.id, key });
    },
  );

  app.delete(
    '/projects/:project/api-keys/:key',
    {
      config: { access: 'admin' },
      schema: {
        tags,
        summary: 'Revoke an API key: it is refused from now on, in other processes within a second',
        params: Type.Object({ project: Id, key: KeyId }),
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      await apiKeys.revoke(request.params.project, request.params.key);
      keys.forget();
      return reply.code(204).send(null);
    },
  );
}
