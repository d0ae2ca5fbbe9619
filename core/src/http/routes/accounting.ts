import { Type } from 'typebox';
import type { ControlPlane, Scope } from '../plane.ts';
import { Id, InProject, answers } from '../schemas.ts';

const Count = Type.Integer({ minimum: 0 });

export function accountingRoutes(app: Scope, plane: ControlPlane): void {
  app.get(
    '/projects/:project/accounting',
    {
      config: { access: 'viewer' },
      schema: {
        tags: ['accounting'],
        summary: 'What became of every accepted event, for each destination of each pipeline',
        params: InProject,
        response: answers({
          200: Type.Object({
            accepted: Type.Integer({
              minimum: 0,
              description: 'Events that the project has accepted since its log began.',
            }),
            subscriptions: Type.Array(
              Type.Object(
                {
                  pipeline: Id,
                  destination: Id,
                  accepted: Count,
                  delivered: Count,
                  waiting: Count,
                  filtered: Count,
                  filtered_by: Type.Record(Type.String(), Count, {
                    description: 'Of `filtered`: how many by which node and reason.',
                  }),
                  dead: Count,
                  parked: Count,
                },
                {
                  description:
                    'Since this pipeline began to deliver to this destination. `accepted` is the sum of delivered, waiting, filtered, dead and parked.',
                },
              ),
            ),
          }),
        }),
      },
    },
    async (request) => {
      const { project } = request.params;
      return { accepted: await plane.accepted(project), subscriptions: [...(await plane.engine.accounting(project))] };
    },
  );
}
