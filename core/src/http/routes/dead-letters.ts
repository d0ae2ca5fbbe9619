import { Type } from 'typebox';
import { parseExact } from '../../event/json.ts';
import type { DeadLetter } from '../../store/dead-letters.ts';
import type { ControlPlane, Scope } from '../plane.ts';
import { Id, InProject, Time, answers, listOf, pageQuery, strict } from '../schemas.ts';

const Letter = Type.Object({
  id: Id,
  state: Type.Union([Type.Literal('dead'), Type.Literal('parked')], {
    description: '`dead`: delivery failed for good. `parked`: put aside before it was tried.',
  }),
  event: Type.Unknown({ description: 'As it came in, before any transform.' }),
  destination: Id,
  stage: Type.String({ description: 'Where on its way it failed: a transform node or the delivery.' }),
  error: Type.Object({ code: Type.String(), message: Type.String() }),
  attempts: Type.Integer(),
  pipeline_version: Type.Integer(),
  at: Time,
});

const Code = Type.String({ minLength: 1, maxLength: 100 });
const EventName = Type.String({ minLength: 1, maxLength: 200 });

const shown = (letter: DeadLetter) => ({
  id: letter.id,
  state: letter.state,
  event: parseExact(letter.event),
  destination: letter.destination,
  stage: letter.stage,
  error: letter.error,
  attempts: letter.attempts,
  pipeline_version: letter.pipelineVersion,
  at: letter.at.toISOString(),
});

export function deadLetterRoutes(app: Scope, { deadLetters, engine }: ControlPlane): void {
  const tags = ['dead-letters'];

  app.get(
    '/projects/:project/dead-letters',
    {
      config: { access: 'viewer' },
      schema: {
        tags,
        summary: 'Events that a destination did not get and that nobody is trying to deliver, newest first',
        params: InProject,
        querystring: pageQuery({
          destination: Type.Optional(Id),
          error_code: Type.Optional(Code),
          event_name: Type.Optional(EventName),
        }),
        response: answers({ 200: listOf(Letter) }),
      },
    },
    async (request) => {
      const { destination, error_code: errorCode, event_name: eventName, limit, cursor } = request.query;
      const page = await deadLetters.list(
        request.params.project,
        { destination, errorCode, eventName },
        { limit, cursor },
      );
      return { items: page.items.map(shown), next_cursor: page.next_cursor };
    },
  );

  app.post(
    '/projects/:project/dead-letters/replay',
    {
      config: { access: 'developer' },
      schema: {
        tags,
        summary: 'Deliver again whatever these conditions name together; with none, everything',
        params: InProject,
        body: strict({
          ids: Type.Optional(Type.Array(Id, { minItems: 1, maxItems: 10_000 })),
          destination: Type.Optional(Id),
          filter: Type.Optional(strict({ error_code: Type.Optional(Code), event_name: Type.Optional(EventName) })),
          dry_run: Type.Optional(Type.Boolean({ description: 'Only count.' })),
        }),
        response: answers({
          200: Type.Object({
            matched: Type.Integer({ description: 'Dead letters that the conditions name.' }),
            replayed: Type.Integer({
              description: 'Those of them that are on their way again: not those whose destination is gone.',
            }),
          }),
        }),
      },
    },
    async (request) => {
      const { ids, destination, filter = {}, dry_run: dryRun = false } = request.body;
      const { project } = request.params;
      const result = await deadLetters.replay(
        project,
        { ids, destination, errorCode: filter.error_code, eventName: filter.event_name },
        dryRun,
      );
      if (result.replayed > 0) engine.wakeRetries(project);
      return result;
    },
  );
}
