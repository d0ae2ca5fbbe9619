import type { Kysely } from 'kysely';
import type { Migration } from 'kysely/migration';
import { runStatements } from './statements.ts';

/**
 * What people configure. Small tables, so foreign keys cascade: deleting a project, a pipeline or a destination
 * leaves nothing behind that points to it. Ids are made by the application (UUIDv7), hence no defaults.
 */
export const controlPlane: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await runStatements(db, [
      `create table projects (
        id uuid primary key,
        name text not null,
        partitions integer not null check (partitions > 0),
        created_at timestamptz not null default now()
      )`,

      // Lower case is enforced here, so that no code path can make two users of one address.
      `create table users (
        id uuid primary key,
        email text not null unique check (email = lower(email)),
        password_hash text not null,
        created_at timestamptz not null default now()
      )`,

      `create table members (
        project_id uuid not null references projects (id) on delete cascade,
        user_id uuid not null references users (id) on delete cascade,
        role text not null check (role in ('admin', 'developer', 'viewer')),
        primary key (project_id, user_id)
      )`,
      `create index members_user on members (user_id)`,

      `create table sources (
        id uuid primary key,
        project_id uuid not null references projects (id) on delete cascade,
        name text not null,
        type text not null,
        config jsonb not null,
        enabled boolean not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      )`,
      `create index sources_project on sources (project_id)`,

      // The id is the public part of the key; of the secret only a hash exists.
      `create table api_keys (
        id text primary key,
        project_id uuid not null references projects (id) on delete cascade,
        source_id uuid not null references sources (id) on delete cascade,
        name text not null,
        secret_hash bytea not null,
        created_at timestamptz not null default now(),
        last_used_at timestamptz,
        revoked_at timestamptz
      )`,
      `create index api_keys_project on api_keys (project_id)`,
      `create index api_keys_source on api_keys (source_id)`,

      `create table destinations (
        id uuid primary key,
        project_id uuid not null references projects (id) on delete cascade,
        name text not null,
        type text not null,
        config jsonb not null,
        enabled boolean not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now()
      )`,
      `create index destinations_project on destinations (project_id)`,

      `create table pipelines (
        id uuid primary key,
        project_id uuid not null references projects (id) on delete cascade,
        name text not null,
        draft jsonb not null,
        published_version integer,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz
      )`,
      // A deleted pipeline stays for the events that it still has to deliver or that a person may replay.
      `create index pipelines_project on pipelines (project_id) where deleted_at is null`,

      // A version outlives the user who published it.
      `create table pipeline_versions (
        pipeline_id uuid not null references pipelines (id) on delete cascade,
        version integer not null,
        definition jsonb not null,
        published_at timestamptz not null default now(),
        published_by uuid references users (id) on delete set null,
        primary key (pipeline_id, version)
      )`,

      // A plugin's small durable key-value. instance_id is a source, a destination or a pipeline's node: no one table to reference.
      `create table plugin_state (
        instance_id uuid not null,
        key text not null,
        value jsonb not null,
        primary key (instance_id, key)
      )`,
    ]);
  },
};
