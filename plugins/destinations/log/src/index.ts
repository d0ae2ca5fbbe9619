import { Type, defineDestination, delivered, type Static } from '@switchyard/plugin-sdk';

const FIELDS = ['id', 'event_name', 'user_id', 'timestamp', 'metadata', 'received_at', 'context'] as const;

const Config = Type.Object(
  {
    level: Type.Optional(
      Type.Union([Type.Literal('debug'), Type.Literal('info')], {
        title: 'Level',
        description: 'The level of the lines. The router writes debug lines only when its own level is debug.',
        default: 'info',
      }),
    ),
    fields: Type.Optional(
      Type.Array(Type.Enum([...FIELDS]), {
        title: 'Fields',
        description: 'What a line has of its event. Metadata and context may be personal data.',
        default: ['id', 'event_name'],
        minItems: 1,
        uniqueItems: true,
      }),
    ),
  },
  { additionalProperties: false },
);

export default defineDestination<Static<typeof Config>>({
  type: 'log',
  title: 'Log',
  summary: "Writes a line for each event to the router's own log",
  stability: 'stable',
  config: Config,
  configVersion: 1,
  examples: [
    { title: 'Name and id', config: {} },
    { title: 'Everything, for debugging', config: { level: 'debug', fields: [...FIELDS] } },
  ],
  capabilities: { batch: { maxEvents: 100 }, concurrency: 1, ordering: 'none' },
  create({ level = 'info', fields = ['id', 'event_name'] }, { logger }) {
    return {
      async deliver({ items }, signal) {
        signal.throwIfAborted();
        for (const { event } of items)
          logger[level]('event', Object.fromEntries(fields.map((name) => [name, event[name]])));
        return new Map(items.map(({ id }) => [id, delivered()]));
      },
      async check() {
        return { ok: true, message: 'The log is always there.' };
      },
    };
  },
});
