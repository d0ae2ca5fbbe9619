import { Type } from '@switchyard/plugin-sdk';

/** What a client posts. Ingress checks it; this says it to people and to generators of clients. */
const EventDraft = Type.Object(
  {
    event_name: Type.String({ minLength: 1, maxLength: 200, description: 'What happened.', examples: ['signup'] }),
    user_id: Type.Optional(
      Type.Union([Type.String({ minLength: 1, maxLength: 200 }), Type.Null()], {
        description: 'Who did it. Events of one user keep their order.',
        examples: ['user-1'],
      }),
    ),
    timestamp: Type.Optional(
      Type.String({
        format: 'date-time',
        description: 'When it happened: RFC 3339 with an offset. Without it, the time at which the event is received.',
        examples: ['2024-05-01T10:00:00Z'],
      }),
    ),
    metadata: Type.Optional(
      Type.Object(
        {},
        { additionalProperties: true, description: 'Data of your own, of any shape.', examples: [{ plan: 'pro' }] },
      ),
    ),
    event_id: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 100,
        description:
          'Your name for this event. Sending the same one again is harmless: it is the same event, with the same id.',
      }),
    ),
    context: Type.Optional(
      Type.Object(
        {
          ip_address: Type.Optional(
            Type.Union([Type.String(), Type.Null()], {
              description: 'IPv4 or IPv6. Without it, the address that the request came from.',
            }),
          ),
          user_agent: Type.Optional(
            Type.Union([Type.String({ maxLength: 1000 }), Type.Null()], {
              description: 'Without it, the User-Agent of the request.',
            }),
          ),
        },
        { additionalProperties: true, description: 'Where the event came from.' },
      ),
    ),
  },
  { additionalProperties: false, description: 'An event.' },
);

const EventId = Type.String({
  format: 'uuid',
  description: 'What the event is called from here on, in tables, webhooks and traces.',
});

const ErrorDetail = Type.Object({
  code: Type.String({ description: 'Stable: made for programs.' }),
  message: Type.String({ description: 'For people: what is wrong, and what to do.' }),
});
const error = (description: string) =>
  Type.Object(
    { error: Type.Object({ ...ErrorDetail.properties, details: Type.Optional(Type.Unknown()) }) },
    { description },
  );

/** What every route may also answer; core does. */
const refusals = {
  401: error('The API key is missing or wrong.'),
  403: error('The API key belongs to another type of source, or its source is disabled.'),
  413: error('The body, an event or the batch is larger than the limit. Nothing was stored.'),
  429: error('Too many requests: try again after Retry-After seconds.'),
  503: error('The event cannot be stored now: send it again.'),
};

export const singleBody = EventDraft;
export const singleResponses = {
  202: Type.Object({ id: EventId }, { description: 'The event is on stable storage.' }),
  400: error('The body is not an event: the message names the field. Nothing was stored.'),
  ...refusals,
};

export const batchBody = Type.Union(
  [Type.Object({ events: Type.Array(EventDraft, { minItems: 1 }) }), Type.Array(EventDraft, { minItems: 1 })],
  {
    description: 'Events, in an object or bare: at most 500 and 1 MiB, unless the operator set other limits.',
  },
);
export const batchResponses = {
  202: Type.Object(
    {
      accepted: Type.Integer({ minimum: 0 }),
      rejected: Type.Integer({ minimum: 0 }),
      results: Type.Array(
        Type.Union([
          Type.Object({ index: Type.Integer(), id: EventId }),
          Type.Object({ index: Type.Integer(), error: ErrorDetail }),
        ]),
        { description: 'One for each event, in the order of the request.' },
      ),
    },
    {
      description:
        'Every event that has an id here is on stable storage; the others were refused, each with the reason.',
    },
  ),
  400: error('The body is not a batch of events. Nothing was stored.'),
  ...refusals,
};
