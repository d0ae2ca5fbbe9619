import type { Metrics } from '@switchyard/plugin-sdk';
import { Counter, Gauge, Histogram, type Registry } from 'prom-client';

/** `plugin` is the plugin's type, `instance` the id of the source, transform node or destination. */
export interface PluginMetricLabels {
  readonly plugin: string;
  readonly instance: string;
}

type LabelName = keyof PluginMetricLabels;

interface Kinds {
  counter: Counter<LabelName>;
  gauge: Gauge<LabelName>;
  histogram: Histogram<LabelName>;
}

interface Registered {
  readonly kind: keyof Kinds;
  readonly metric: Counter<LabelName> | Gauge<LabelName> | Histogram<LabelName>;
  readonly firstAskedBy: string;
}

const NAME = /^[a-z][a-z0-9_]{0,99}$/;
const PREFIX = 'switchyard_plugin_';
/** All plugins together. A plugin that makes names from data would otherwise fill the memory of whoever scrapes. */
const MAX_METRICS = 500;
const SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30];
const labelNames: readonly LabelName[] = ['plugin', 'instance'];

/**
 * The metrics that plugins make. A name means one metric for all plugins and instances: who asks first decides its help and its
 * buckets, and asking for it as another kind throws.
 */
export class PluginMetrics {
  readonly #registry: Registry;
  readonly #metrics = new Map<string, Registered>();
  readonly #labels = new Map<string, PluginMetricLabels>();

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  for(labels: PluginMetricLabels): Metrics {
    this.#labels.set(labels.instance, labels);
    return {
      counter: (name, help) => {
        const counter = this.#counter(name, help, labels.plugin).labels({ ...labels });
        return { inc: (by = 1) => ifUsable(by, by >= 0, () => counter.inc(by)) };
      },
      gauge: (name, help) => {
        const gauge = this.#gauge(name, help, labels.plugin).labels({ ...labels });
        return { set: (value) => ifUsable(value, true, () => gauge.set(value)) };
      },
      histogram: (name, help, buckets = SECONDS) => {
        const histogram = this.#histogram(name, help, buckets, labels.plugin).labels({ ...labels });
        return { observe: (value) => ifUsable(value, true, () => histogram.observe(value)) };
      },
    };
  }

  forget(instance: string): void {
    const labels = this.#labels.get(instance);
    if (labels === undefined) return;
    this.#labels.delete(instance);
    for (const { metric } of this.#metrics.values()) metric.remove({ ...labels });
  }

  #counter(name: string, help: string, plugin: string): Counter<LabelName> {
    const known = this.#known(name, 'counter', plugin);
    if (known instanceof Counter) return known;
    return this.#add(
      name,
      'counter',
      plugin,
      new Counter({ name: PREFIX + name, help, labelNames, registers: [this.#registry] }),
    );
  }

  #gauge(name: string, help: string, plugin: string): Gauge<LabelName> {
    const known = this.#known(name, 'gauge', plugin);
    if (known instanceof Gauge) return known;
    return this.#add(
      name,
      'gauge',
      plugin,
      new Gauge({ name: PREFIX + name, help, labelNames, registers: [this.#registry] }),
    );
  }

  #histogram(name: string, help: string, buckets: readonly number[], plugin: string): Histogram<LabelName> {
    const known = this.#known(name, 'histogram', plugin);
    if (known instanceof Histogram) return known;
    const sorted = [...new Set(buckets)].sort((a, b) => a - b);
    return this.#add(
      name,
      'histogram',
      plugin,
      new Histogram({ name: PREFIX + name, help, labelNames, buckets: sorted, registers: [this.#registry] }),
    );
  }

  #known(name: string, kind: keyof Kinds, plugin: string): Registered['metric'] | undefined {
    const known = this.#metrics.get(name);
    if (known !== undefined) {
      if (known.kind === kind) return known.metric;
      throw new Error(
        `The metric "${name}" is a ${known.kind} (first asked for by plugin "${known.firstAskedBy}"), and plugin "${plugin}" asks for it as a ${kind}. Choose another name.`,
      );
    }
    if (!NAME.test(name))
      throw new Error(
        `"${name}" cannot name a metric: use lower-case letters, digits and underscores, beginning with a letter.`,
      );
    if (this.#metrics.size >= MAX_METRICS) {
      throw new Error(
        `Plugins already have ${MAX_METRICS} metrics, so there is no "${name}". A name must not be made from data.`,
      );
    }
    return undefined;
  }

  #add<Kind extends keyof Kinds>(name: string, kind: Kind, firstAskedBy: string, metric: Kinds[Kind]): Kinds[Kind] {
    this.#metrics.set(name, { kind, metric, firstAskedBy });
    return metric;
  }
}

/** A figure that cannot be counted (NaN, Infinity, a counter going down) is left out: a metric must never fail a delivery. */
function ifUsable(value: number, condition: boolean, record: () => void): void {
  if (Number.isFinite(value) && condition) record();
}
