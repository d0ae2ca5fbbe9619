import { Type, defineDestination, readStore, storeBatch } from '@switchyard/plugin-sdk';
import { sql } from 'kysely';
import { readEvents } from './read.ts';
import { archiveStore } from './write.ts';

/** There is nothing to set: it writes where the project lives. */
type TimescaleConfig = Record<string, never>;

export default defineDestination<TimescaleConfig>({
  type: 'timescale',
  title: 'Event archive',
  summary: "Keeps every event in the project's database, in TimescaleDB hypertables where available.",
  stability: 'stable',
  config: Type.Object({}, { additionalProperties: false }),
  configVersion: 1,
  examples: [{ title: 'Keep every event', config: {} }],
  requires: ['database'],
  capabilities: { batch: { maxEvents: 1000 }, concurrency: 4, ordering: 'partition' },
  create: (_config, { database, project }) => {
    const store = archiveStore(database, project.id);
    return {
      deliver: (batch, signal) => storeBatch(store, batch, signal),
      query: (query, signal) => readEvents(database, project.id, query, signal),
      check: async (signal) => {
        const newest = () =>
          sql<{ newest: string | null }>`
          select to_char(max(timestamp) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') as newest from events where project_id = ${project.id}::uuid
        `.execute(database);
        try {
          const { rows } = await readStore(newest, signal);
          const at = rows[0]?.newest ?? null;
          return {
            ok: true,
            message:
              at === null
                ? 'The archive answers. It holds no event of this project yet.'
                : `The archive answers. Its newest event is of ${at}.`,
          };
        } catch (error) {
          signal.throwIfAborted();
          return { ok: false, message: error instanceof Error ? error.message : String(error) };
        }
      },
    };
  },
});
