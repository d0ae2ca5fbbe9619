import path from 'node:path';
import type { Logger } from '@switchyard/plugin-sdk';
import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import { EmbeddedConnection } from './embedded/connection.ts';
import { DatabaseThread } from './embedded/database-thread.ts';
import type { Database } from './schema.ts';
import { columnTypes } from './types.ts';

export interface DatabaseOptions {
  /** Unset: the embedded database in `dataDir`. */
  readonly databaseUrl?: string | undefined;
  readonly dataDir: string;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
  /**
   * The embedded database has ended unasked: nothing reaches it any more, and only a new start of the process brings
   * it back (everything acknowledged is on the disk). It is logged in any case.
   */
  readonly onStopped?: (error: Error) => void;
}

export interface OpenDatabase<Schema> {
  readonly db: Kysely<Schema>;
  readonly kind: 'embedded' | 'postgres';
  /** Waits for what is running, then closes. */
  close(): Promise<void>;
}

const POSTGRES_CONNECTIONS = 10;
const CONNECT_TIMEOUT_MS = 10_000;
/** Set by statement, not in the URL or at startup: poolers such as PgBouncer refuse unknown startup parameters. */
const SESSION_SETTINGS = `
  set time zone 'UTC'; -- days and buckets do not depend on where the server stands
  set statement_timeout = '60s';
  set idle_in_transaction_session_timeout = '60s';
`;
/**
 * The embedded database has one session, so this is a wait in the queue for it. It also ends the deadlock of code that
 * uses `db` inside a transaction of its own.
 */
const SESSION_WAIT_MS = 30_000;

/**
 * Resolves at once with PostgreSQL, whose connections are made when they are needed (an outage at the start is waited
 * out by whoever queries), and with the embedded database when it is open.
 */
export async function openDatabase<Schema = Database>(options: DatabaseOptions): Promise<OpenDatabase<Schema>> {
  return options.databaseUrl === undefined
    ? await openEmbedded(options)
    : openPostgres(options.databaseUrl, options.logger);
}

async function openEmbedded<Schema>({ dataDir, logger, onStopped }: DatabaseOptions): Promise<OpenDatabase<Schema>> {
  const thread = new DatabaseThread(path.join(dataDir, 'db'), (error) => {
    logger.error('the embedded database has stopped', { error });
    onStopped?.(error);
  });
  await thread.ready;
  const pool = new pg.Pool({
    stream: () => new EmbeddedConnection(thread),
    ssl: false,
    user: 'postgres',
    password: '',
    database: 'postgres',
    types: columnTypes,
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: SESSION_WAIT_MS,
  });
  surviveLostConnections(pool, logger);
  const db = new Kysely<Schema>({
    // Not the pool itself: with its Client, kysely would cancel a query from a second connection, and there is no second.
    dialect: new PostgresDialect({ pool: { connect: () => pool.connect(), end: () => pool.end(), options: {} } }),
  });
  return {
    db,
    kind: 'embedded',
    close: async () => {
      await db.destroy();
      await thread.close();
    },
  };
}

function openPostgres<Schema>(databaseUrl: string, logger: DatabaseOptions['logger']): OpenDatabase<Schema> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    types: columnTypes,
    max: POSTGRES_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    keepAlive: true,
    application_name: 'switchyard',
    verify: (client, done) => {
      client.query(SESSION_SETTINGS).then(() => done(), done);
    },
  });
  surviveLostConnections(pool, logger);
  const db = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) });
  return { db, kind: 'postgres', close: async () => await db.destroy() };
}

/** Without these listeners, the loss of a connection would end the process. */
function surviveLostConnections(pool: pg.Pool, logger: DatabaseOptions['logger']): void {
  // In use: its query rejects, and the pool drops it.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', (error) => logger.warn('an idle database connection was lost', { error }));
}
