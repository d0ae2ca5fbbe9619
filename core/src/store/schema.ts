import type { ColumnType, Generated } from 'kysely';

/**
 * The tables of `@switchyard/migrations`, as kysely types. What each column holds at run time is decided in types.ts,
 * the same for PGlite and for PostgreSQL.
 */
export interface Database {
  projects: ProjectsTable;
  users: UsersTable;
  members: MembersTable;
  sources: SourcesTable;
  api_keys: ApiKeysTable;
  destinations: DestinationsTable;
  pipelines: PipelinesTable;
  pipeline_versions: PipelineVersionsTable;
  plugin_state: PluginStateTable;
  subscriptions: SubscriptionsTable;
  cursors: CursorsTable;
  filtered_by: FilteredByTable;
  deliveries: DeliveriesTable;
  attempts: AttemptsTable;
  events: EventsTable;
  aggregates: AggregatesTable;
  event_ledger: EventLedgerTable;
  store_positions: StorePositionsTable;
}

/** Parsed on the way out; on the way in JSON text, because the driver would take an array for a Postgres array. */
type Json = ColumnType<unknown, string, string>;
type NullableJson = ColumnType<unknown, string | null, string | null>;
type Timestamp = ColumnType<Date, Date | string, Date | string>;
type NullableTimestamp = ColumnType<Date | null, Date | string | null | undefined, Date | string | null>;
/** `default now()`, and never changed. */
type CreatedAt = ColumnType<Date, Date | string | undefined, never>;
/** `default now()`. */
type UpdatedAt = ColumnType<Date, Date | string | undefined, Date | string>;

export type MemberRole = 'admin' | 'developer' | 'viewer';
export type DeliveryState = 'retrying' | 'dead' | 'parked';
type AttemptOutcome = 'delivered' | 'failed' | 'unknown';

interface ProjectsTable {
  id: string;
  name: string;
  partitions: number;
  created_at: CreatedAt;
}

interface UsersTable {
  id: string;
  email: string;
  password_hash: string;
  created_at: CreatedAt;
}

interface MembersTable {
  project_id: string;
  user_id: string;
  role: MemberRole;
}

export interface SourcesTable {
  id: string;
  project_id: string;
  name: string;
  type: string;
  config: Json;
  enabled: boolean;
  created_at: CreatedAt;
  updated_at: UpdatedAt;
}

interface ApiKeysTable {
  id: string;
  project_id: string;
  source_id: string;
  name: string;
  secret_hash: Buffer;
  created_at: CreatedAt;
  last_used_at: NullableTimestamp;
  revoked_at: NullableTimestamp;
}

export interface DestinationsTable {
  id: string;
  project_id: string;
  name: string;
  type: string;
  config: Json;
  enabled: boolean;
  created_at: CreatedAt;
  updated_at: UpdatedAt;
}

export interface PipelinesTable {
  id: string;
  project_id: string;
  name: string;
  draft: Json;
  published_version: number | null;
  created_at: CreatedAt;
  updated_at: UpdatedAt;
  deleted_at: NullableTimestamp;
}

interface PipelineVersionsTable {
  pipeline_id: string;
  version: number;
  definition: Json;
  published_at: CreatedAt;
  published_by: string | null;
}

interface PluginStateTable {
  instance_id: string;
  key: string;
  value: Json;
}

interface SubscriptionsTable {
  id: string;
  project_id: string;
  pipeline_id: string;
  destination_id: string;
  started_at: CreatedAt;
  ended_at: NullableTimestamp;
}

interface CursorsTable {
  subscription_id: string;
  partition: string;
  start_offset: number;
  next_offset: number;
  end_offset: number | null;
  processed: Generated<number>;
  delivered: Generated<number>;
  filtered: Generated<number>;
  updated_at: UpdatedAt;
}

interface FilteredByTable {
  subscription_id: string;
  reason: string;
  count: number;
}

interface DeliveriesTable {
  id: string;
  project_id: string;
  subscription_id: string;
  destination_id: string;
  event_id: string;
  source_id: string;
  output: number;
  state: DeliveryState;
  stage: string;
  partition: string;
  log_offset: number;
  order_key: string | null;
  held: Generated<boolean>;
  event: string;
  payload: string | null;
  event_name: string;
  user_id: string | null;
  attempts: Generated<number>;
  retries: Generated<number>;
  next_at: NullableTimestamp;
  error_code: string;
  error_message: string;
  fingerprint: string;
  pipeline_version: number;
  created_at: CreatedAt;
  updated_at: UpdatedAt;
}

interface AttemptsTable {
  id: string;
  project_id: string;
  subscription_id: string;
  destination_id: string;
  event_id: string;
  output: number;
  attempt: number;
  started_at: Timestamp;
  duration_ms: number;
  outcome: AttemptOutcome;
  error_code: string | null;
  error_message: string | null;
  request: string | null;
  response_status: number | null;
  response_body: string | null;
  pipeline_version: number;
}

interface EventsTable {
  id: string;
  project_id: string;
  event_name: string;
  user_id: string | null;
  timestamp: Timestamp;
  metadata: Json;
  received_at: Timestamp;
  ip_address: string | null;
  user_agent: string | null;
  context: NullableJson;
}

interface AggregatesTable {
  project_id: string;
  event_name: string;
  time_bucket: Timestamp;
  count: number;
}

interface EventLedgerTable {
  destination_id: string;
  event_id: string;
  created_at: CreatedAt;
}

interface StorePositionsTable {
  subscription_id: string;
  partition: string;
  last_offset: number;
}
