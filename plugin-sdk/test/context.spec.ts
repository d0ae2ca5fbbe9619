import { anEvent, anEventId, testContext } from '../src/testing/index.ts';

describe('the test context', () => {
  it('records logs, metrics and requests', async () => {
    const context = testContext({ http: { request: () => Promise.reject(new Error('offline')) } });
    context.logger.warn('careful', { n: 1 });
    context.metrics.counter('sent', 'Sent').inc();
    context.metrics.gauge('open', 'Open').set(3);
    context.metrics.histogram('took', 'Took').observe(0.5);
    const request = { method: 'GET', url: 'https://example.com/' } as const;
    await expect(context.http.request(request, new AbortController().signal)).rejects.toThrow('offline');
    expect(context.recorded.logs).toEqual([{ level: 'warn', message: 'careful', fields: { n: 1 } }]);
    expect(context.recorded.metrics).toEqual([
      { kind: 'counter', name: 'sent', value: 1 },
      { kind: 'gauge', name: 'open', value: 3 },
      { kind: 'histogram', name: 'took', value: 0.5 },
    ]);
    expect(context.recorded.requests).toEqual([request]);
  });

  it('keeps state by value', async () => {
    const { state } = testContext();
    const cursor = { at: [1] };
    await state.set('cursor', cursor);
    cursor.at.push(2);
    expect(await state.get('cursor')).toEqual({ at: [1] });
    await state.delete('cursor');
    expect(await state.get('cursor')).toBeUndefined();
  });

  it('refuses the database unless it was given one', () => {
    expect(() => testContext().database).toThrow("does not declare requires: ['database']");
  });
});

describe('the sample events', () => {
  it('have ids of version 7 that differ and hold the time', () => {
    const ids = Array.from({ length: 100 }, anEventId);
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    expect(Math.abs(Number.parseInt((ids[0] ?? '').replaceAll('-', '').slice(0, 12), 16) - Date.now())).toBeLessThan(
      10_000,
    );
  });

  it('are frozen all the way down, as they are in production', () => {
    const event = anEvent({ metadata: { list: [{ deep: true }] } });
    expect(Object.isFrozen(event)).toBe(true);
    expect(Object.isFrozen((event.metadata['list'] as unknown[])[0])).toBe(true);
  });
});
