import { Type } from 'typebox';
import type { StoredPipeline } from '../../store/pipelines.ts';
import type { PipelineDefinition } from '../../pipeline/definition.ts';
import { callerOf } from '../access.ts';
import { apply, type ControlPlane, type Scope } from '../plane.ts';
import {
  Definition,
  Id,
  InProject,
  Name,
  NoContent,
  OneInProject,
  PageQuery,
  Time,
  answers,
  listOf,
  orNull,
  strict,
} from '../schemas.ts';

const Pipeline = Type.Object({
  id: Id,
  name: Type.String(),
  draft: Type.Unknown({ description: 'What publishing would make run: a definition.' }),
  published_version: orNull(Type.Integer({ description: 'The version that runs.' })),
  created_at: Time,
  updated_at: Time,
});
const Version = Type.Object({
  version: Type.Integer(),
  definition: Type.Unknown(),
  published_at: Time,
  published_by: orNull(Type.String({ format: 'uuid', description: 'The user; null for the default pipeline.' })),
});

const shown = (stored: StoredPipeline) => ({
  id: stored.id,
  name: stored.name,
  draft: stored.draft,
  published_version: stored.publishedVersion,
  created_at: stored.createdAt.toISOString(),
  updated_at: stored.updatedAt.toISOString(),
});

export function pipelineRoutes(app: Scope, plane: ControlPlane): void {
  const { pipelines } = plane;
  const tags = ['pipelines'];

  app.get(
    '/projects/:project/pipelines',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'Pipelines, oldest first',
        params: InProject,
        querystring: PageQuery,
        response: answers({ 200: listOf(Pipeline) }),
      },
    },
    async (request) => {
      const page = await pipelines.list(request.params.project, request.query);
      return { items: page.items.map(shown), next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects/:project/pipelines',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Make a pipeline; nothing runs before it is published',
        params: InProject,
        body: strict({ name: Name, definition: Definition }),
        response: answers({ 201: Pipeline }),
      },
    },
    async (request, reply) => {
      const { name, definition } = request.body;
      return reply.code(201).send(shown(await pipelines.create(request.params.project, name, definition)));
    },
  );

  app.get(
    '/projects/:project/pipelines/:id',
    {
      config: { access: 'viewer' },
      schema: { tags, summary: 'One pipeline', params: OneInProject, response: answers({ 200: Pipeline }) },
    },
    async (request) => shown(await pipelines.get(request.params.project, request.params.id)),
  );

  app.put(
    '/projects/:project/pipelines/:id/draft',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Save a draft; it may be incomplete, and nothing that runs changes',
        params: OneInProject,
        body: strict({ definition: Definition }),
        response: answers({ 200: Pipeline }),
      },
      // The definition by itself is what the path names, so it is taken as well.
      preValidation: (request, _reply, done) => {
        const { body }: { body: unknown } = request;
        if (typeof body === 'object' && body !== null && 'nodes' in body)
          Object.assign(request, { body: { definition: body } });
        done();
      },
    },
    async (request) =>
      shown(await pipelines.saveDraft(request.params.project, request.params.id, request.body.definition)),
  );

  app.post(
    '/projects/:project/pipelines/:id/publish',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Check the draft and run it from now on; publishing what runs already changes nothing',
        params: OneInProject,
        response: answers({ 200: Type.Object({ version: Type.Integer() }) }),
      },
    },
    async (request) => {
      const { project, id } = request.params;
      // Only definitions of this shape are ever stored as drafts.
      const definition = (await pipelines.get(project, id)).draft as PipelineDefinition;
      await plane.definitions.check(definition, project);
      const feeds = definition.nodes.flatMap((node) => (node.kind === 'destination' ? [node.destination] : []));
      const version = await pipelines.publish(project, id, {
        definition,
        feeds,
        by: callerOf(request).id,
      });
      await apply(plane, project);
      return { version };
    },
  );

  app.post(
    '/projects/:project/pipelines/:id/unpublish',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Stop a pipeline; its draft and its versions stay',
        params: OneInProject,
        response: answers({ 200: Pipeline }),
      },
    },
    async (request) => {
      const { project, id } = request.params;
      const stored = await pipelines.unpublish(project, id);
      await apply(plane, project);
      return shown(stored);
    },
  );

  app.get(
    '/projects/:project/pipelines/:id/versions',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'Everything that was ever published, newest first',
        params: OneInProject,
        querystring: PageQuery,
        response: answers({ 200: listOf(Version) }),
      },
    },
    async (request) => {
      const page = await pipelines.versions(request.params.project, request.params.id, request.query);
      return {
        items: page.items.map(({ version, definition, publishedAt, publishedBy }) => ({
          version,
          definition,
          published_at: publishedAt.toISOString(),
          published_by: publishedBy,
        })),
        next_cursor: page.next_cursor,
      };
    },
  );

  app.delete(
    '/projects/:project/pipelines/:id',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Stop a pipeline and delete it with its versions',
        params: OneInProject,
        response: answers({ 204: NoContent }),
      },
    },
    async (request, reply) => {
      const { project, id } = request.params;
      await pipelines.delete(project, id);
      await apply(plane, project);
      return reply.code(204).send(null);
    },
  );
}
