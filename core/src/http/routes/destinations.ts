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
    state: Type.Union([
      Type.Literal('active'),
      Type.Literal('idle'),
      Type.Literal('disabled'),
      Type.Literal('opening'),
      Type.Literal('paused'),
    ]),
    code: Type.Optional(Type.String()),
    reason: Type.Optional(Type.String()),
    next_attempt_at: Type.Optional(Time),
  },
  {
    description:
      'Whether it gets events at the moment, and if not, why. `idle`: no published pipeline delivers to it. `paused`: its events wait in the log.',
  },
);

const Destination = Type.Object({
  id: Id,
  name: Type.String(),
  type: Type.String(),
  config: PluginConfig,
  enabled: Type.Boolean(),
  status: Status,
  created_at: Time,
  updated_at: Time,
});

const Check = Type.Object({
  ok: Type.Boolean(),
  message: Type.String({ description: 'What was tried and what came back.' }),
  exchange: Type.Optional(
    Type.Object({
      request: Type.String(),
      response: Type.Optional(Type.Object({ status: Type.Integer(), body: Type.String() })),
    }),
  ),
});

/** A person waits for "test connection". */
const CHECK_MS = 20_000;

export function destinationRoutes(app: Scope, plane: ControlPlane): void {
  const { destinations, registry, configs, engine, running } = plane;
  const tags = ['destinations'];

  const shown = (stored: StoredInstance) => ({
    id: stored.id,
    name: stored.name,
    type: stored.type,
    config: shownConfig('destination', stored, registry, configs),
    enabled: stored.enabled,
    status: engine.status(stored.id),
    created_at: stored.createdAt.toISOString(),
    updated_at: stored.updatedAt.toISOString(),
  });

  app.get(
    '/projects/:project/destinations',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'Destinations, oldest first',
        params: InProject,
        querystring: PageQuery,
        response: answers({ 200: listOf(Destination) }),
      },
    },
    async (request) => {
      const page = await destinations.list(request.params.project, request.query);
      return { items: page.items.map(shown), next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects/:project/destinations',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Make a destination; it gets events once a published pipeline delivers to it',
        params: InProject,
        body: strict({
          name: Name,
          type: Type.String({ minLength: 1, maxLength: 64 }),
          config: Type.Optional(PluginConfig),
          enabled: Type.Optional(Type.Boolean()),
        }),
        response: answers({ 201: Destination }),
      },
    },
    async (request, reply) => {
      const { project } = request.params;
      const { name, type, config = {}, enabled = true } = request.body;
      const id = randomUUIDv7();
      const sealed = configs.accept(registry.get('destination', type).definition, config, id);
      const stored = await destinations.create(project, { id, name, type, config: sealed, enabled });
      await apply(plane, project);
      return reply.code(201).send(shown(stored));
    },
  );

  app.get(
    '/projects/:project/destinations/:id',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'One destination', params: OneInProject, response: answers({ 200: Destination }) },
    },
    async (request) => shown(await destinations.get(request.params.project, request.params.id)),
  );

  app.patch(
    '/projects/:project/destinations/:id',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary:
          'Change the name, the configuration (as a whole) or whether it is enabled; a disabled destination keeps its events waiting',
        params: OneInProject,
        body: strict({
          name: Type.Optional(Name),
          config: Type.Optional(PluginConfig),
          enabled: Type.Optional(Type.Boolean()),
        }),
        response: answers({ 200: Destination }),
      },
    },
    async (request) => {
      const { project, id } = request.params;
      const { name, config, enabled } = request.body;
      const stored = await destinations.update(project, id, (before) => ({
        name,
        enabled,
        config:
          config === undefined
            ? before.config
            : configs.accept(registry.get('destination', before.type).definition, config, id, before.config),
      }));
      await apply(plane, project);
      return shown(stored);
    },
  );

  app.delete(
    '/projects/:project/destinations/:id',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Delete a destination; refused while a published pipeline delivers to it',
        params: OneInProject,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { project, id } = request.params;
      await destinations.delete(project, id);
      await apply(plane, project);
      return reply.code(204).send(null);
    },
  );

  app.post(
    '/projects/:project/destinations/:id/check',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Test the connection with the stored configuration; a failed test is an answer, not an error',
        params: OneInProject,
        response: answers({ 200: Check }),
      },
    },
    async (request) => {
      const { project, id } = request.params;
      await destinations.get(project, id);
      return running.check(project, id, AbortSignal.timeout(CHECK_MS));
    },
  );
}
