import {
  Secret,
  Type,
  defineDestination,
  delivered,
  errorFromStatus,
  failed,
  isDeliveryError,
  type DeliveryOutcome,
  type Event,
  type EventId,
  type Static,
} from '@switchyard/plugin-sdk';

const DEFAULT_TEXT = '{event_name} ({user_id})';

const Config = Type.Object(
  {
    url: Type.String({ title: 'Topic', description: 'Such as https://ntfy.sh/my-topic.', format: 'uri' }),
    token: Type.Optional(Secret({ title: 'Access token', description: 'For a topic that is not open to everybody.' })),
    text: Type.Optional(
      Type.String({
        title: 'Text',
        description: '{event_name}, {user_id} and {timestamp} stand for those of the event.',
        default: DEFAULT_TEXT,
        minLength: 1,
        maxLength: 1000,
      }),
    ),
  },
  { additionalProperties: false },
);

export default defineDestination<Static<typeof Config>>({
  type: 'ntfy',
  title: 'ntfy',
  summary: 'Sends a push notification for each event.',
  stability: 'experimental',
  config: Config,
  configVersion: 1,
  examples: [
    { title: 'An open topic', config: { url: 'https://ntfy.example.com/signups' } },
    {
      title: 'A topic of your own, in your own words',
      config: {
        url: 'https://ntfy.example.com/signups',
        token: 'tk_an_example_token',
        text: '{user_id} did {event_name}',
      },
    },
  ],
  capabilities: { batch: { maxEvents: 1 }, concurrency: 4, ordering: 'none' },
  create({ url, token, text = DEFAULT_TEXT }, { http }) {
    const headers: Readonly<Record<string, string>> = token === undefined ? {} : { authorization: `Bearer ${token}` };
    return {
      async deliver({ items }, signal) {
        const outcomes = new Map<EventId, DeliveryOutcome>();
        for (const { id, event } of items) {
          const request = {
            method: 'POST',
            url,
            headers: { ...headers, 'x-event-id': id },
            body: fill(text, event),
          } as const;
          const error = errorFromStatus(await http.request(request, signal));
          outcomes.set(id, error === null ? delivered() : failed(error));
        }
        return outcomes;
      },
      async check(signal) {
        try {
          const { status } = await http.request(
            { method: 'POST', url, headers, body: 'Switchyard is connected.' },
            signal,
          );
          return { ok: status >= 200 && status < 300, message: `ntfy answered ${status}.` };
        } catch (error) {
          if (!isDeliveryError(error)) throw error;
          return { ok: false, message: error.message };
        }
      },
    };
  },
});

function fill(text: string, { event_name, user_id, timestamp }: Event): string {
  const values: Readonly<Record<string, string>> = { event_name, user_id: user_id ?? 'nobody', timestamp };
  return text.replace(/\{(event_name|user_id|timestamp)\}/g, (_, name: string) => values[name] ?? '');
}
