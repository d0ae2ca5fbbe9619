import { Type, defineDestination, readStore, storeBatch } from '@switchyard/plugin-sdk';
import { sql } from 'kysely';
import { readSeries } from './read.ts';
import { countStore } from './write.ts';

/** There is nothing to set: it counts where the project lives. */
type AnalyticsConfig = Record<string, never>;

export default defineDestination<AnalyticsConfig>({
  type: 'analytics',
  title: 'Live analytics',
  summary: 'Counts events by name and minute, each event once, for live charts.',
  stability: 'stable',
  config: Type.Object({}, { additionalProperties: false }),
  configVersion: 1,
  examples: [{ title: 'Count every event', config: {} }],
  requires: ['database'],
  capabilities: { batch: { maxEvents: 1000 }, concurrency: 4, ordering: 'partition' },
  create: (_config, { database, project }) => {
    const store = countStore(database, project.id);
    return {
      deliver: (batch, signal) => storeBatch(store, batch, signal),
      series: (query, signal) => readSeries(database, project.id, query, signal),
      check: async (signal) => {
        const counted = () =>
          sql<{ some: boolean }>`
          select exists (select from aggregates where project_id = ${project.id}::uuid) as some
        `.execute(database);
        try {
          const { rows } = await readStore(counted, signal);
          return {
            ok: true,
            message:
              rows[0]?.some === true
                ? 'The counts answer.'
                : 'The counts answer. Nothing of this project was counted yet.',
          };
        } catch (error) {
          signal.throwIfAborted();
          return { ok: false, message: error instanceof Error ? error.message : String(error) };
        }
      },
    };
  },
});
