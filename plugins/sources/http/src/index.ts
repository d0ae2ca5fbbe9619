import {
  Type,
  defineSource,
  type DraftResult,
  type Json,
  type Receipt,
  type SourceReply,
} from '@switchyard/plugin-sdk';
import { batchBody, batchResponses, singleBody, singleResponses } from './schemas.ts';

const SINGLE = '/api/v1/events';
const BATCH = '/api/v1/events/batch';

/** There is nothing to set: who may post is decided by API keys. */
type HttpConfig = Record<string, never>;

export default defineSource<HttpConfig>({
  type: 'http',
  title: 'HTTP API',
  summary: 'Receives events that applications post as JSON, one at a time or in batches.',
  stability: 'stable',
  config: Type.Object({}, { additionalProperties: false }),
  configVersion: 1,
  examples: [{ title: 'Receive events', config: {} }],
  routes: [
    {
      name: 'event',
      method: 'POST',
      path: SINGLE,
      summary: 'Post an event',
      body: singleBody,
      responses: singleResponses,
    },
    {
      name: 'batch',
      method: 'POST',
      path: BATCH,
      summary: 'Post a batch of events',
      body: batchBody,
      responses: batchResponses,
    },
  ],
  credential: ({ headers }) => /^bearer +(\S+) *$/i.exec(headers['authorization'] ?? '')?.[1],
  create: () => ({
    receive: ({ route, body }) => (route === 'batch' ? receiveBatch(body) : receiveOne(body)),
  }),
});

function receiveOne(body: Json | undefined): Receipt {
  if (Array.isArray(body))
    return refuse('EVENT_INVALID', `This address takes one event, and the body is an array: post batches to ${BATCH}.`);
  if (!isObject(body)) return refuse('EVENT_INVALID', 'The body must be an event, such as {"event_name": "signup"}.');
  return { action: 'accept', drafts: [body], reply: replyToOne };
}

function receiveBatch(body: Json | undefined): Receipt {
  const events = isObject(body) ? body['events'] : body;
  if (!Array.isArray(events)) {
    return refuse(
      'BATCH_INVALID',
      `The body must be {"events": […]} or an array of events; post a single event to ${SINGLE}.`,
    );
  }
  if (events.length === 0) return refuse('BATCH_EMPTY', 'The batch holds no event.');
  return { action: 'accept', drafts: events, reply: replyToBatch };
}

function replyToOne([result]: readonly DraftResult[]): SourceReply {
  if (result === undefined) throw new Error('The event has no result: core gives one for each draft.');
  if (result.ok) return { status: 202, body: { id: result.id } };
  return { status: result.error.code === 'EVENT_TOO_LARGE' ? 413 : 400, body: { error: result.error } };
}

/** Also 202 when every event is refused: the request was understood, and a client that reads `results` needs no second way to learn it. */
function replyToBatch(results: readonly DraftResult[]): SourceReply {
  const accepted = results.filter(({ ok }) => ok).length;
  return {
    status: 202,
    body: {
      accepted,
      rejected: results.length - accepted,
      results: results.map((result, index) => (result.ok ? { index, id: result.id } : { index, error: result.error })),
    },
  };
}

function refuse(code: string, message: string): Receipt {
  return { action: 'reject', status: 400, code, message };
}

function isObject(body: Json | undefined): body is { readonly [key: string]: Json } {
  return typeof body === 'object' && body !== null && !Array.isArray(body);
}
