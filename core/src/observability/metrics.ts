import type { Metrics } from '@switchyard/plugin-sdk';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { PluginMetrics, type PluginMetricLabels } from './plugin-metrics.ts';

/** Deliveries go over the network: from a fast local receiver to the longest deadline. */
const DELIVERY_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const INGEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5];
const APPEND_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5];
const APPEND_RECORDS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500];

/**
 * Every metric of core. No label takes a value that a client chooses: types, codes and outcomes come from code, pipelines and destinations from what
 * people have set up, so the number of series is bounded by the configuration.
 */
export interface CoreMetrics {
  /** `GET /metrics` answers with `registry.metrics()` and `registry.contentType`. */
  readonly registry: Registry;
  /** `result`: `accepted`, or the code that the event was refused with. */
  readonly ingestedEvents: Counter<'source_type' | 'result'>;
  /** By the code of the answer. */
  readonly refusedRequests: Counter<'source_type' | 'code'>;
  readonly ingestDuration: Histogram<'source_type'>;
  readonly logAppendDuration: Histogram;
  readonly logAppendRecords: Histogram;
  readonly logDamagedEntries: Counter;
  readonly cursorLag: Gauge<'pipeline' | 'destination'>;
  /** `outcome`: delivered, retry, dead, filtered or parked. */
  readonly deliveryOutcomes: Counter<'destination' | 'type' | 'outcome'>;
  readonly deliveryDuration: Histogram<'destination' | 'type'>;
  readonly retriesWaiting: Gauge<'destination'>;
  readonly breakerState: Gauge<'destination'>;
  /** `fault`: threw, timed_out, bad_result or escaped (outside of any call). */
  readonly pluginFaults: Counter<'kind' | 'type' | 'fault'>;
  /** The door of one plugin instance: its metrics are `switchyard_plugin_<name>` with these labels. */
  forPlugin(labels: PluginMetricLabels): Metrics;
  /** Ends the series of an instance that was deleted. */
  forgetInstance(instance: string): void;
}

export function createMetrics(): CoreMetrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const plugins = new PluginMetrics(registry);
  return {
    registry,
    ingestedEvents: new Counter({
      name: 'switchyard_ingested_events_total',
      help: 'Events that sources handed to ingress, by what became of them: accepted (on stable storage), or the code of the refusal.',
      labelNames: ['source_type', 'result'],
      registers,
    }),
    refusedRequests: new Counter({
      name: 'switchyard_ingest_refused_requests_total',
      help: 'Ingestion requests that were refused as a whole, by the error code of the answer: nothing of them was stored.',
      labelNames: ['source_type', 'code'],
      registers,
    }),
    ingestDuration: new Histogram({
      name: 'switchyard_ingest_request_duration_seconds',
      help: 'From the last byte of an ingestion request to its answer, stable storage included.',
      labelNames: ['source_type'],
      buckets: INGEST_SECONDS,
      registers,
    }),
    logAppendDuration: new Histogram({
      name: 'switchyard_log_append_duration_seconds',
      help: 'One write to the event log, until it was on stable storage.',
      buckets: APPEND_SECONDS,
      registers,
    }),
    logAppendRecords: new Histogram({
      name: 'switchyard_log_append_records',
      help: 'Events that one write to the event log made durable together.',
      buckets: APPEND_RECORDS,
      registers,
    }),
    logDamagedEntries: new Counter({
      name: 'switchyard_log_damaged_entries_total',
      help: 'Entries of the event log that could not be read: their events are lost. Anything above zero is an alarm.',
      registers,
    }),
    cursorLag: new Gauge({
      name: 'switchyard_cursor_lag_events',
      help: 'Events in the log that a destination of a pipeline has not read yet.',
      labelNames: ['pipeline', 'destination'],
      registers,
    }),
    deliveryOutcomes: new Counter({
      name: 'switchyard_delivery_outcomes_total',
      help: 'What became of events on their way to a destination: delivered, retry, dead, filtered or parked.',
      labelNames: ['destination', 'type', 'outcome'],
      registers,
    }),
    deliveryDuration: new Histogram({
      name: 'switchyard_delivery_duration_seconds',
      help: 'One call of a destination with a batch, until it said what became of the events.',
      labelNames: ['destination', 'type'],
      buckets: DELIVERY_SECONDS,
      registers,
    }),
    retriesWaiting: new Gauge({
      name: 'switchyard_retries_waiting_events',
      help: 'Events whose delivery failed and that wait for their next attempt.',
      labelNames: ['destination'],
      registers,
    }),
    breakerState: new Gauge({
      name: 'switchyard_breaker_state',
      help: 'Circuit breaker of a destination: 0 closed (delivering), 1 open (paused, the log keeps the events, one delivery at a time tries whether it is back).',
      labelNames: ['destination'],
      registers,
    }),
    pluginFaults: new Counter({
      name: 'switchyard_contained_faults_total',
      help: 'Bugs of plugins that core contained: a throw that is none of the three errors, a call that did not end in time, a result of the wrong shape, an error outside of any call.',
      labelNames: ['kind', 'type', 'fault'],
      registers,
    }),
    forPlugin: (labels) => plugins.for(labels),
    forgetInstance: (instance) => plugins.forget(instance),
  };
}
