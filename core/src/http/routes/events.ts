import { isDeliveryError } from '@switchyard/plugin-sdk';
import { Type } from 'typebox';
import { SwitchyardError } from '../../errors.ts';
import type { ControlPlane, Scope } from '../plane.ts';
import { InProject, OneInProject, Time, answers, listOf, pageQuery, strict } from '../schemas.ts';

const EventName = Type.String({ minLength: 1, maxLength: 200 });
/** Events are shown as they are stored: what a client put into one has no schema. */
const AnyEvent = Type.Unknown({ description: 'The event as it was posted, with its id, received_at and context.' });
const Point = Type.Object({ event_name: Type.String(), time_bucket: Time, count: Type.Integer() });

/** A person waits, and a query that takes longer than this has to be narrowed. */
const QUERY_MS = 30_000;

/** Lists and counts, from whichever destination of the project keeps them: core does not know which plugin stands behind. */
export function eventRoutes(app: Scope, { running }: ControlPlane): void {
  app.get(
    '/projects/:project/events',
    {
      config: { access: 'viewer' },
      schema: {
        tags: ['events'],
        summary: 'Events, newest first',
        params: InProject,
        querystring: pageQuery({
          event_name: Type.Optional(EventName),
          user_id: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
          from: Type.Optional(Time),
          to: Type.Optional(Type.String({ format: 'date-time', description: 'Exclusive.' })),
        }),
        response: answers({ 200: listOf(AnyEvent) }),
      },
    },
    async (request) => {
      const query =
        (await running.query(request.params.project)) ?? unsupported('list events: add an archive to the project');
      const { items, next_cursor } = await asking(query(request.query, AbortSignal.timeout(QUERY_MS)));
      return { items: [...items], next_cursor };
    },
  );

  app.get(
    '/projects/:project/events/:id',
    {
      config: { access: 'viewer' },
      schema: { tags: ['events'], summary: 'One event', params: OneInProject, response: answers({ 200: AnyEvent }) },
    },
    async (request) => {
      const { project, id } = request.params;
      const query = (await running.query(project)) ?? unsupported('find events: add an archive to the project');
      const { items } = await asking(query({ id, limit: 1 }, AbortSignal.timeout(QUERY_MS)));
      const [event] = items;
      if (event === undefined)
        throw new SwitchyardError(
          'NOT_FOUND',
          'There is no such event in the archive. One that was accepted a moment ago may still be on its way.',
        );
      return event;
    },
  );

  app.get(
    '/projects/:project/analytics',
    {
      config: { access: 'viewer' },
      schema: {
        tags: ['events'],
        summary: 'How many events of a name there were in each stretch of time, newest first',
        params: InProject,
        querystring: strict({
          event_name: Type.Optional(EventName),
          from: Type.Optional(Time),
          to: Type.Optional(Type.String({ format: 'date-time', description: 'Exclusive.' })),
          limit: Type.Integer({ minimum: 1, maximum: 1000, default: 1000 }),
        }),
        response: answers({ 200: listOf(Point) }),
      },
    },
    async (request) => {
      const series =
        (await running.series(request.params.project)) ?? unsupported('count events: add one that keeps counts');
      const points = await asking(series(request.query, AbortSignal.timeout(QUERY_MS)));
      return { items: [...points], next_cursor: null };
    },
  );
}

function unsupported(what: string): never {
  throw new SwitchyardError('QUERY_UNSUPPORTED', `No running destination of this project can ${what}.`);
}

/** What a plugin says of a query that it cannot answer, as an answer of ours. */
async function asking<Result>(result: Promise<Result>): Promise<Result> {
  try {
    return await result;
  } catch (error) {
    if (isDeliveryError(error))
      throw new SwitchyardError(
        error.kind === 'permanent' ? 'REQUEST_INVALID' : 'STORE_UNAVAILABLE',
        error.message,
        { code: error.code },
        { cause: error },
      );
    if (error instanceof Error && error.name === 'TimeoutError') {
      throw new SwitchyardError(
        'STORE_UNAVAILABLE',
        `The query took longer than ${QUERY_MS / 1000} s: narrow it with "from" and "to".`,
        undefined,
        { cause: error },
      );
    }
    throw error;
  }
}
