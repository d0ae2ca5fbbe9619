import { randomUUIDv7 } from 'node:crypto';
import { Type } from 'typebox';
import type { StoredInstance } from '../../store/instances.ts';
import { apply, type ControlPlane, type Scope } from '../plane.ts';
import {
  Id,
  InProject,
  Name,
  NoContent,
  OneInProject,
  PageQuery,
  PluginConfig,
  Time,
  answers,
  listOf,
  strict,
} from '../schemas.ts';
import { shownConfig } from '../shown-config.ts';

const Status = Type.Object(
  {
    state: Type.Union([Type.Literal('running'), Type.Literal('opening'), Type.Literal('paused')]),
    code: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    next_attempt_at: Type.Optional(Time),
  },
  {
    description:
      'Whether it brings events at the moment, and if not, why. Only of an enabled source that runs by itself: one that is called has none.',
  },
);

const Source = Type.Object({
  id: Id,
  name: Type.String(),
  type: Type.String(),
  config: PluginConfig,
  enabled: Type.Boolean(),
  status: Type.Optional(Status),
  created_at: Time,
  updated_at: Time,
});

export function sourceRoutes(app: Scope, plane: ControlPlane): void {
  const { sources, registry, configs, keys, pullSources } = plane;
  const tags = ['sources'];

  const shown = (stored: StoredInstance) => {
    const status = pullSources.status(stored.id);
    return {
      id: stored.id,
      name: stored.name,
      type: stored.type,
      config: shownConfig('source', stored, registry, configs),
      enabled: stored.enabled,
      ...(status === null ? {} : { status }),
      created_at: stored.createdAt.toISOString(),
      updated_at: stored.updatedAt.toISOString(),
    };
  };

  const changed = async (project: string): Promise<void> => {
    keys.forget();
    await Promise.all([apply(plane, project, pullSources), apply(plane, project)]);
  };

  app.get(
    '/projects/:project/sources',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'Sources, oldest first',
        params: InProject,
        querystring: PageQuery,
        response: answers({ 200: listOf(Source) }),
      },
    },
    async (request) => {
      const page = await sources.list(request.params.project, request.query);
      return { items: page.items.map(shown), next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects/:project/sources',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Make a source',
        params: InProject,
        body: strict({
          name: Name,
          type: Type.String({ minLength: 1, maxLength: 64 }),
          config: Type.Optional(PluginConfig),
          enabled: Type.Optional(Type.Boolean()),
        }),
        response: answers({ 201: Source }),
      },
    },
    async (request, reply) => {
      const { project } = request.params;
      const { name, type, config = {}, enabled = true } = request.body;
      const id = randomUUIDv7();
      const sealed = configs.accept(registry.get('source', type).definition, config, id);
      const stored = await sources.create(project, { id, name, type, config: sealed, enabled });
      await changed(project);
      return reply.code(201).send(shown(stored));
    },
  );

  app.get(
    '/projects/:project/sources/:id',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'One source', params: OneInProject, response: answers({ 200: Source }) },
    },
    async (request) => shown(await sources.get(request.params.project, request.params.id)),
  );

  app.patch(
    '/projects/:project/sources/:id',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Change the name, the configuration (as a whole) or whether it is enabled',
        params: OneInProject,
        body: strict({
          name: Type.Optional(Name),
          config: Type.Optional(PluginConfig),
          enabled: Type.Optional(Type.Boolean()),
        }),
        response: answers({ 200: Source }),
      },
    },
    async (request) => {
      const { project, id } = request.params;
      const { name, config, enabled } = request.body;
      const stored = await sources.update(project, id, (before) => ({
        name,
        enabled,
        config:
          config === undefined
            ? before.config
            : configs.accept(registry.get('source', before.type).definition, config, id, before.config),
      }));
      await changed(project);
      return shown(stored);
    },
  );

  app.delete(
    '/projects/:project/sources/:id',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Delete a source and its API keys; refused while a published pipeline reads from it',
        params: OneInProject,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { project, id } = request.params;
      await sources.delete(project, id);
      await changed(project);
      return reply.code(204).send(null);
    },
  );
}
