import { Type, defineDestination, delivered } from '@switchyard/plugin-sdk';

export default defineDestination({
  type: 'shout',
  title: 'Shout',
  summary: 'Writes the name of each event, in capitals, to the log of the router.',
  stability: 'experimental',
  config: Type.Object({}, { additionalProperties: false }),
  configVersion: 1,
  examples: [{ title: 'Nothing to set', config: {} }],
  capabilities: { batch: { maxEvents: 100 }, concurrency: 1, ordering: 'none' },
  create: (_config, { logger }) => ({
    async deliver({ items }) {
      for (const { event } of items) logger.info(event.event_name.toUpperCase());
      return new Map(items.map(({ id }) => [id, delivered()]));
    },
    async check() {
      return { ok: true, message: 'The log is always there.' };
    },
  }),
});
