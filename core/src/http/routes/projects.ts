import { Type } from 'typebox';
import { defaultSource } from '../../bootstrap/defaults.ts';
import { callerOf } from '../access.ts';
import type { ControlPlane, Scope } from '../plane.ts';
import { Id, PageQuery, answers, listOf, strict } from '../schemas.ts';

const Membership = Type.Object({
  id: Id,
  name: Type.String(),
  role: Type.Union([Type.Literal('admin'), Type.Literal('developer'), Type.Literal('viewer')], {
    description: 'Yours, in this project.',
  }),
});

export function projectRoutes(app: Scope, plane: ControlPlane): void {
  const { projects, registry, configs } = plane;
  const tags = ['projects'];

  app.get(
    '/projects',
    {
      config: { access: 'user' },
      schema: {
        tags,
        summary: 'The projects that you are a member of',
        querystring: PageQuery,
        response: answers({ 200: listOf(Membership) }),
      },
    },
    async (request) => {
      const page = await projects.listOf(callerOf(request).id, request.query);
      return { items: [...page.items], next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects',
    {
      config: { access: 'user' },
      schema: {
        tags,
        summary: 'Make a project, with you as its admin and a first source',
        body: strict({ name: Type.String({ minLength: 1, maxLength: 100, pattern: '^\\S(?:.*\\S)?$' }) }),
        response: answers({ 201: Membership }),
      },
    },
    async (request, reply) => {
      const project = await projects.create({
        name: request.body.name,
        owner: callerOf(request).id,
        source: defaultSource(registry, configs),
      });
      return reply.code(201).send(project);
    },
  );
}
