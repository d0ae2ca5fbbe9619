import { createMetrics } from '../../src/observability/metrics.ts';

const labels = { plugin: 'webhook', instance: 'i1' };

describe('metrics', () => {
  it('of core all begin with switchyard_, beside the process metrics that dashboards know', async () => {
    const { registry } = createMetrics();
    const names = (await registry.getMetricsAsJSON()).map(({ name }) => name);
    const own = names.filter((name) => !name.startsWith('process_') && !name.startsWith('nodejs_'));
    expect(own.length).toBeGreaterThan(9);
    for (const name of own) expect(name).toMatch(/^switchyard_[a-z_]+$/);
    expect(names).toEqual(
      expect.arrayContaining(['nodejs_eventloop_lag_p99_seconds', 'process_resident_memory_bytes']),
    );
  });

  it('appear with their labels', async () => {
    const metrics = createMetrics();
    metrics.ingestedEvents.inc({ source_type: 'http', result: 'accepted' }, 3);
    metrics.cursorLag.set({ pipeline: 'p', destination: 'd' }, 7);
    const text = await metrics.registry.metrics();
    expect(text).toContain('switchyard_ingested_events_total{source_type="http",result="accepted"} 3');
    expect(text).toContain('switchyard_cursor_lag_events{pipeline="p",destination="d"} 7');
  });

  it('of two processes-in-tests do not meet', async () => {
    const [one, two] = [createMetrics(), createMetrics()];
    one.logAppendRecords.observe(5);
    expect(await two.registry.metrics()).toContain('switchyard_log_append_records_count 0');
  });
});

describe('metrics of plugins', () => {
  it('carry the plugin and the instance; the same name asked twice is the same metric', async () => {
    const metrics = createMetrics();
    metrics.forPlugin(labels).counter('sent_total', 'Sent.').inc(2);
    metrics.forPlugin(labels).counter('sent_total', 'Sent.').inc();
    metrics
      .forPlugin({ ...labels, instance: 'i2' })
      .counter('sent_total', 'Sent.')
      .inc();
    metrics.forPlugin(labels).gauge('open', 'Open.').set(4);
    metrics.forPlugin(labels).histogram('seconds', 'Time.', [2, 1, 1]).observe(1.5);
    const text = await metrics.registry.metrics();
    expect(text).toContain('switchyard_plugin_sent_total{plugin="webhook",instance="i1"} 3');
    expect(text).toContain('switchyard_plugin_sent_total{plugin="webhook",instance="i2"} 1');
    expect(text).toContain('switchyard_plugin_open{plugin="webhook",instance="i1"} 4');
    expect(text).toContain('switchyard_plugin_seconds_bucket{le="2",plugin="webhook",instance="i1"} 1');
  });

  it('refuse a name that is taken by another kind, saying by whom', () => {
    const metrics = createMetrics();
    metrics.forPlugin(labels).counter('sent', 'Sent.');
    expect(() => metrics.forPlugin({ plugin: 'kafka', instance: 'i9' }).gauge('sent', 'Sent.')).toThrow(
      'The metric "sent" is a counter (first asked for by plugin "webhook"), and plugin "kafka" asks for it as a gauge. Choose another name.',
    );
  });

  it('refuse names that Prometheus would, and names without end', () => {
    const door = createMetrics().forPlugin(labels);
    for (const name of ['', 'Sent', 'sent-total', '1st', `a${'b'.repeat(100)}`])
      expect(() => door.counter(name, 'x')).toThrow('cannot name a metric');
    for (let i = 0; i < 500; i++) door.counter(`c${i}`, 'x');
    expect(() => door.counter('one_more', 'x')).toThrow('must not be made from data');
  });

  it('leave out what cannot be counted', async () => {
    const metrics = createMetrics();
    const door = metrics.forPlugin(labels);
    door.counter('a', 'x').inc(Number.NaN);
    door.counter('a', 'x').inc(-1);
    door.gauge('b', 'x').set(Number.POSITIVE_INFINITY);
    door.histogram('c', 'x').observe(Number.NaN);
    const text = await metrics.registry.metrics();
    for (const name of ['a', 'b', 'c_sum']) expect(text).not.toContain(`switchyard_plugin_${name}{`);
  });

  it('end with their instance', async () => {
    const metrics = createMetrics();
    metrics.forPlugin(labels).counter('sent_total', 'Sent.').inc();
    metrics
      .forPlugin({ ...labels, instance: 'i2' })
      .counter('sent_total', 'Sent.')
      .inc();
    metrics.forgetInstance('i1');
    metrics.forgetInstance('unknown');
    const text = await metrics.registry.metrics();
    expect(text).not.toContain('instance="i1"');
    expect(text).toContain('instance="i2"');
  });
});
