import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { runStatements } from './statements.ts';

/**
 * Where every subscription stands, and every event that is not simply delivered.
 * `deliveries` and `attempts` are hot and may outlive what they name: no foreign keys on them.
 */
export const delivery: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await runStatements(db, [
      `create table subscriptions (
        id uuid primary key,
        project_id uuid not null references projects (id) on delete cascade,
        pipeline_id uuid not null references pipelines (id) on delete cascade,
        destination_id uuid not null references destinations (id) on delete cascade,
        started_at timestamptz not null default now(),
        ended_at timestamptz
      )`,
      // At most one living subscription of a destination in a pipeline; ended ones stay for the accounting.
      `create unique index subscriptions_living on subscriptions (pipeline_id, destination_id) where ended_at is null`,
      `create index subscriptions_project on subscriptions (project_id)`,
      `create index subscriptions_destination on subscriptions (destination_id)`,

      // All counters are in accepted events, so that they add up to next_offset's progress (promise P2).
      `create table cursors (
        subscription_id uuid not null references subscriptions (id) on delete cascade,
        partition text not null,
        start_offset bigint not null,
        next_offset bigint not null,
        end_offset bigint,
        processed bigint not null default 0,
        delivered bigint not null default 0,
        filtered bigint not null default 0,
        updated_at timestamptz not null default now(),
        primary key (subscription_id, partition)
      )`,

      `create table filtered_by (
        subscription_id uuid not null references subscriptions (id) on delete cascade,
        reason text not null,
        count bigint not null,
        primary key (subscription_id, reason)
      )`,

      // event and payload are text, not jsonb: what is replayed is byte for byte what came in.
      `create table deliveries (
        id uuid primary key,
        project_id uuid not null,
        subscription_id uuid not null,
        destination_id uuid not null,
        event_id uuid not null,
        source_id uuid not null,
        output integer not null,
        state text not null check (state in ('retrying', 'dead', 'parked')),
        stage text not null,
        partition text not null,
        log_offset bigint not null,
        order_key text,
        held boolean not null default false,
        event text not null,
        payload text,
        event_name text not null,
        user_id text,
        attempts integer not null default 0,
        retries integer not null default 0,
        next_at timestamptz,
        error_code text not null,
        error_message text not null,
        fingerprint text not null,
        pipeline_version integer not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        unique (subscription_id, partition, log_offset, output)
      )`,
      `create index deliveries_due on deliveries (state, next_at) where state = 'retrying'`,
      `create index deliveries_list on deliveries (project_id, state, updated_at desc, id)`,
      `create index deliveries_order on deliveries (subscription_id, order_key, log_offset)`,

      `create table attempts (
        id uuid primary key,
        project_id uuid not null,
        subscription_id uuid not null,
        destination_id uuid not null,
        event_id uuid not null,
        output integer not null,
        attempt integer not null,
        started_at timestamptz not null,
        duration_ms integer not null,
        outcome text not null check (outcome in ('delivered', 'failed', 'unknown')),
        error_code text,
        error_message text,
        request text,
        response_status integer,
        response_body text,
        pipeline_version integer not null
      )`,
      `create index attempts_event on attempts (project_id, event_id)`,
      `create index attempts_recent on attempts (subscription_id, started_at desc)`,
    ]);
  },
};
