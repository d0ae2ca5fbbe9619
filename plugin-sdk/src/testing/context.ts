import type { Kysely } from 'kysely';
import type { HttpClient, HttpRequest, Logger, Metrics, PluginContext, PluginState } from '../context.ts';
import type { Json } from '../event.ts';
import { testHttpClient } from './http-client.ts';

export interface LogEntry {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface MetricSample {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly name: string;
  readonly value: number;
}

export type Door = 'http' | 'state' | 'database';

/** What went through the context, in order. */
export interface Recorded {
  readonly logs: LogEntry[];
  readonly metrics: MetricSample[];
  /** Requests through `context.http`, whatever became of them. */
  readonly requests: HttpRequest[];
  /** The doors that were used; reading `database` counts, taking `http` or `state` out of the context does not. */
  readonly doors: Set<Door>;
  /** Queries that were made ready to run; kept only by the context in which `create` is tried. */
  readonly queries: string[];
}

export interface TestContext extends PluginContext {
  readonly recorded: Recorded;
}

export interface TestContextOptions {
  readonly project?: { readonly id: string };
  readonly instance?: { readonly id: string; readonly name: string };
  /** By default `testHttpClient()`, which reaches loopback. */
  readonly http?: HttpClient;
  /** By default reading `database` throws, as it does for a plugin that does not declare it. */
  readonly database?: Kysely<unknown>;
  /** By default a store in memory, empty. */
  readonly state?: PluginState;
}

/** A plugin's context for tests: it does what core's does, and records what goes through it. */
export function testContext(options: TestContextOptions = {}): TestContext {
  const recorded: Recorded = { logs: [], metrics: [], requests: [], doors: new Set(), queries: [] };
  const http = options.http ?? testHttpClient();
  const state = options.state ?? memoryState();
  return {
    recorded,
    project: options.project ?? { id: '018f0000-0000-7000-8000-000000000001' },
    instance: options.instance ?? { id: '018f0000-0000-7000-8000-000000000002', name: 'test' },
    logger: recordingLogger(recorded.logs),
    metrics: recordingMetrics(recorded.metrics),
    http: {
      request: (request, signal) => {
        recorded.doors.add('http');
        recorded.requests.push(request);
        return http.request(request, signal);
      },
    },
    state: {
      get: (key) => {
        recorded.doors.add('state');
        return state.get(key);
      },
      set: (key, value) => {
        recorded.doors.add('state');
        return state.set(key, value);
      },
      delete: (key) => {
        recorded.doors.add('state');
        return state.delete(key);
      },
    },
    get database(): Kysely<unknown> {
      recorded.doors.add('database');
      if (options.database === undefined) throw new Error("The plugin does not declare requires: ['database'].");
      return options.database;
    },
  };
}

function recordingLogger(logs: LogEntry[]): Logger {
  const write =
    (level: LogEntry['level']) =>
    (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
      logs.push({ level, message, fields });
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

function recordingMetrics(samples: MetricSample[]): Metrics {
  const record = (kind: MetricSample['kind'], name: string) => (value: number) => {
    samples.push({ kind, name, value });
  };
  return {
    counter: (name) => {
      const add = record('counter', name);
      return { inc: (by = 1) => add(by) };
    },
    gauge: (name) => ({ set: record('gauge', name) }),
    histogram: (name) => ({ observe: record('histogram', name) }),
  };
}

function memoryState(): PluginState {
  // As text, so that a plugin cannot change a value that it has stored or been given.
  const values = new Map<string, string>();
  return {
    get: (key) => {
      const text = values.get(key);
      return Promise.resolve(text === undefined ? undefined : (JSON.parse(text) as Json));
    },
    set: (key, value) => {
      values.set(key, JSON.stringify(value));
      return Promise.resolve();
    },
    delete: (key) => {
      values.delete(key);
      return Promise.resolve();
    },
  };
}

/**
 * The context that `create` gets where its purity is tried. Taking references is fine; what uses a door is recorded, and
 * gets a promise that never settles: whatever an impure plugin does next, it is not done during the test.
 */
export function sealedContext(options: TestContextOptions = {}): TestContext {
  const never = (): Promise<never> => new Promise(() => {});
  let queried = (): void => {};
  const context = testContext({
    ...options,
    http: { request: never },
    state: { get: never, set: never, delete: never },
    ...(options.database === undefined ? {} : { database: watchedDatabase(options.database, () => queried()) }),
  });
  queried = () => context.recorded.queries.push('a query');
  return context;
}

/** The same database; says when a query is made ready to run. Building one is no I/O. */
function watchedDatabase(database: Kysely<unknown>, queried: () => void): Kysely<unknown> {
  return database.withPlugin({
    transformQuery: ({ node }) => {
      queried();
      return node;
    },
    transformResult: ({ result }) => Promise.resolve(result),
  });
}
