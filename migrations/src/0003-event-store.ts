import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { runStatements } from './statements.ts';
import { hasTimescale, makeHypertables } from './timescale.ts';

/**
 * The archive and its rollups. No foreign keys: these are the hottest tables, and an archive shard
 * (`EVENT_STORE_URLS`) does not hold the projects.
 */
export const eventStore: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await runStatements(db, [
      // The key holds the timestamp because a hypertable's unique indexes must. It therefore does not make an
      // event's id unique: event_ledger does, in the transaction that writes the event.
      `create table events (
        id uuid not null,
        project_id uuid not null,
        event_name text not null,
        user_id text,
        timestamp timestamptz not null,
        metadata jsonb not null,
        received_at timestamptz not null,
        ip_address inet,
        user_agent text,
        context jsonb,
        primary key (id, timestamp)
      )`,
      `create index events_recent on events (project_id, timestamp desc, id)`,
      `create index events_name on events (project_id, event_name, timestamp desc)`,
      `create index events_user on events (project_id, user_id, timestamp desc)`,

      `create table aggregates (
        project_id uuid not null,
        event_name text not null,
        time_bucket timestamptz not null,
        count bigint not null,
        primary key (project_id, time_bucket, event_name)
      )`,

      // Which events a store has already counted in: makes a redelivery of an event harmless (promise P3).
      `create table event_ledger (
        destination_id uuid not null,
        event_id uuid not null,
        created_at timestamptz not null default now(),
        primary key (destination_id, event_id)
      )`,

      // Up to where a store has taken a subscription's log: makes a redelivery of a whole batch one look-up.
      `create table store_positions (
        subscription_id uuid not null,
        partition text not null,
        last_offset bigint not null,
        primary key (subscription_id, partition)
      )`,
    ]);
    if (await hasTimescale(db)) {
      await makeHypertables(db);
    }
  },
};
