import { randomUUID } from 'node:crypto';
import { migrateToLatest } from '@switchyard/migrations';
import type { DeliveryBatch, DeliveryOutcomes, Event } from '@switchyard/plugin-sdk';
import { CompiledQuery } from 'kysely';
import { freeze, openDatabase, openPluginHost, type OpenDatabase } from '../core.ts';
import { eventOf } from '../events.ts';
import { timed } from '../measure.ts';
import type { Room, Row, Sample, Skipped, Suite } from '../row.ts';

/** What core delivers at once when there is a backlog, and how many partitions deliver side by side. */
const BATCH = 1000;
const PARTITIONS = 4;
const BATCHES_PER_PARTITION = 3;

const title = (where: string): string => `archive: batches of ${BATCH} into ${where}`;

const INSERT = `
  insert into events (id, project_id, event_name, user_id, timestamp, metadata, received_at, ip_address, user_agent)
  select id, $1::uuid, event_name, user_id, timestamp, metadata::jsonb, received_at, ip_address, user_agent
  from unnest($2::uuid[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::timestamptz[], $8::inet[], $9::text[])
    as u (id, event_name, user_id, timestamp, metadata, received_at, ip_address, user_agent)
  on conflict do nothing`;

/**
 * The archive plugin as the engine calls it (positions that move with the rows, an outcome for every event), against one multi-row insert of the same events into the same
 * table over the same connection. Both sides build their columns from the events.
 */
export const archive: Suite = {
  rows: ['archive', 'archive-postgres'],
  async open(room, wanted) {
    const rows: (Row | Skipped)[] = [];
    if (wanted.includes('archive')) {
      const database = await openDatabase(room.folder, undefined);
      rows.push(await archiveRow('archive', title('the embedded database'), database, room));
    }
    if (wanted.includes('archive-postgres')) {
      const name = 'archive-postgres';
      const url = process.env['TEST_DATABASE_URL'];
      if (url === undefined)
        rows.push({
          name,
          title: title('PostgreSQL'),
          skipped: 'set TEST_DATABASE_URL to a server whose data may be thrown away',
        });
      else
        rows.push(
          await archiveRow(
            name,
            title('PostgreSQL'),
            await openDatabase(room.folder, await scratchDatabase(url, room)),
            room,
          ),
        );
    }
    return rows;
  },
};

/** A database of its own on the server that was given, so that nothing else there is touched. */
async function scratchDatabase(url: string, room: Room): Promise<string> {
  const name = `switchyard_bench_${process.pid}`;
  const admin = await openDatabase(room.folder, url);
  room.onClose(async () => {
    await admin.db.executeQuery(CompiledQuery.raw(`drop database if exists ${name} with (force)`));
    await admin.close();
  });
  await admin.db.executeQuery(CompiledQuery.raw(`create database ${name}`));
  const scratch = new URL(url);
  scratch.pathname = `/${name}`;
  return scratch.href;
}

async function archiveRow(name: string, rowTitle: string, database: OpenDatabase, room: Room): Promise<Row> {
  room.onClose(() => database.close());
  await migrateToLatest(database.db);
  const project = randomUUID();
  const plugins = await openPluginHost({ database });
  const destination = await plugins.destination('timescale', {}, project);
  room.onClose(() => destination.close());
  const { deepFreeze } = await freeze();
  const subscription = randomUUID();
  const offsets = Array.from({ length: PARTITIONS }, () => 0);

  const batchesOf = (): Event[][] =>
    Array.from({ length: BATCHES_PER_PARTITION }, () =>
      Array.from({ length: BATCH }, (_, index) => deepFreeze(eventOf(index))),
    );
  const inParallel = async (store: (events: readonly Event[], partition: number) => Promise<void>): Promise<Sample> => {
    // Made before the clock runs: every event is new, as an id is stored once.
    const work = Array.from({ length: PARTITIONS }, batchesOf);
    return timed(PARTITIONS * BATCHES_PER_PARTITION * BATCH, () =>
      Promise.all(
        work.map(async (batches, partition) => {
          for (const events of batches) await store(events, partition);
        }),
      ),
    );
  };
  const ours = async (events: readonly Event[], partition: number): Promise<void> => {
    const first = offsets[partition] ?? 0;
    offsets[partition] = first + events.length;
    const batch: DeliveryBatch = {
      position: { subscription, partition: `bench/${partition}`, first, last: first + events.length - 1 },
      items: events.map((event, index) => ({ id: event.id, event, offset: first + index, attempt: 1 })),
    };
    const result = await destination.deliver(batch);
    if (!result.ok || !allDelivered(result.value))
      throw new Error(`The archive did not take a batch: ${JSON.stringify(result)}`);
  };
  const bare = async (events: readonly Event[]): Promise<void> => {
    const column = (value: (event: Event) => string | null): (string | null)[] => events.map(value);
    const columns = [
      column(({ id }) => id),
      column(({ event_name }) => event_name),
      column(({ user_id }) => user_id),
      column(({ timestamp }) => timestamp),
      column(({ metadata }) => JSON.stringify(metadata)),
      column(({ received_at }) => received_at),
      column(({ context }) => context.ip_address),
      column(({ context }) => context.user_agent),
    ];
    await database.db.executeQuery(CompiledQuery.raw(INSERT, [project, ...columns]));
  };
  return {
    name,
    title: rowTitle,
    unit: 'events',
    target: 0.7,
    sides: { ours: () => inParallel(ours), bare: () => inParallel(bare) },
  };
}

function allDelivered(outcomes: DeliveryOutcomes): boolean {
  for (const { status } of outcomes.values()) if (status !== 'delivered') return false;
  return true;
}
