import {
  ConfigError,
  PermanentError,
  RetryableError,
  delivered,
  drop,
  emit,
  fail,
  failed,
  type DeliveryBatch,
  type Destination,
  type Event,
  type Lifecycle,
  type PushSource,
  type SourceRequest,
  type Transform,
} from '@switchyard/plugin-sdk';
import { apply, check, deliver, receive } from '../../src/plugin-host/calls.ts';
import type { Fault } from '../../src/plugin-host/failure.ts';
import { PluginInstance } from '../../src/plugin-host/instance.ts';
import { destination } from './definitions.ts';

const event = (id: string): Event => ({
  id,
  event_name: 'x',
  user_id: null,
  timestamp: '2026-01-01T00:00:00Z',
  metadata: {},
  received_at: '2026-01-01T00:00:00Z',
  context: { ip_address: null, user_agent: null },
});
const batch: DeliveryBatch = {
  position: null,
  items: ['a', 'b', 'c'].map((id, offset) => ({ id, event: event(id), offset, attempt: 1 })),
};
const limits = { deadlineMs: 500 };
const silent = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

async function opened<Plugin extends Lifecycle>(
  plugin: Plugin,
): Promise<{ instance: PluginInstance<Plugin>; faults: Fault[] }> {
  const faults: Fault[] = [];
  const instance = new PluginInstance({
    scope: { kind: 'destination', type: 'fixture', instance: 'i1' },
    create: () => plugin,
    logger: silent,
    onFault: (fault) => void faults.push(fault),
  });
  instance.start();
  await instance.ready;
  return { instance, faults };
}

/** What a plugin without types may give back. */
const untyped = (value: unknown): never => value as never;

describe('deliver', () => {
  it('gives the outcome of every event', async () => {
    const exchange = { request: 'POST /', response: { status: 503, body: 'busy' } };
    const outcomes = new Map([
      ['a', delivered({ request: 'POST /' })],
      ['b', failed(new RetryableError('busy', { code: 'HTTP_503', retryAfterMs: 5 }), exchange)],
      ['c', failed(new PermanentError('no'))],
    ]);
    const { instance, faults } = await opened(destination({ deliver: async () => outcomes }));
    const result = await deliver(instance, batch, limits);
    expect(result).toMatchObject({ ok: true });
    expect(result.ok && [...result.value]).toMatchObject([
      ['a', { status: 'delivered', exchange: { request: 'POST /' } }],
      ['b', { status: 'failed', exchange, error: { kind: 'retryable', code: 'HTTP_503', retryAfterMs: 5 } }],
      ['c', { status: 'failed', error: { kind: 'permanent' } }],
    ]);
    expect(faults).toEqual([]);
  });

  const missing = { status: 'failed', error: { kind: 'permanent', code: 'PLUGIN_MISSING_OUTCOME' } };
  const trap = (): never => {
    throw new Error('trap');
  };

  it.each<[string, unknown]>([
    ['left out', undefined],
    ['a text', 'delivered'],
    ['of an unknown status', { status: 'ok' }],
    ['failed without an error', { status: 'failed' }],
    ['failed with an error that is none of the three', { status: 'failed', error: new Error('x') }],
    [
      'a trap',
      {
        get status() {
          return trap();
        },
      },
    ],
  ])('fails an event whose outcome is %s, and no other', async (_, outcome) => {
    const outcomes = new Map<string, unknown>([
      ['a', delivered()],
      ['c', delivered()],
      ['stranger', delivered()],
    ]);
    if (outcome !== undefined) outcomes.set('b', outcome);
    const { instance, faults } = await opened(destination({ deliver: async () => untyped(outcomes) }));
    const result = await deliver(instance, batch, limits);
    expect(result.ok && [...result.value]).toMatchObject([
      ['a', { status: 'delivered' }],
      ['b', missing],
      ['c', { status: 'delivered' }],
    ]);
    expect(faults).toEqual(['bad_result']);
  });

  it('leaves out an exchange of the wrong shape, rather than the outcome', async () => {
    const outcomes = new Map(['a', 'b', 'c'].map((id) => [id, { status: 'delivered', exchange: { request: 5 } }]));
    const { instance } = await opened(destination({ deliver: async () => untyped(outcomes) }));
    const result = await deliver(instance, batch, limits);
    expect(result.ok && result.value.get('a')).toEqual({ status: 'delivered' });
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['an object', { a: delivered() }],
    ['an array', [['a', delivered()]]],
  ])('is a bug of the whole call when the result is %s instead of a Map', async (_, value) => {
    const { instance, faults } = await opened(destination({ deliver: async () => untyped(value) }));
    expect(await deliver(instance, batch, limits)).toMatchObject({
      ok: false,
      failure: {
        reason: 'bug',
        error: {
          code: 'PLUGIN_MISSING_OUTCOME',
          message: expect.stringContaining(
            '"deliver" of the destination plugin "fixture" returned something other than a Map',
          ),
        },
      },
    });
    expect(faults).toEqual(['bad_result']);
  });

  it('is not fooled by a Map whose get throws', async () => {
    class Hostile extends Map<string, unknown> {
      override get(): never {
        return trap();
      }
    }
    const { instance } = await opened(
      destination({ deliver: async () => untyped(new Hostile(batch.items.map(({ id }) => [id, delivered()]))) }),
    );
    const result = await deliver(instance, batch, limits);
    expect(result.ok && result.value.get('b')).toEqual({ status: 'delivered' });
  });

  it('passes on a throw for the whole batch', async () => {
    const { instance } = await opened(
      destination({ deliver: () => Promise.reject(new ConfigError('gone', { code: 'HTTP_410' })) }),
    );
    expect(await deliver(instance, batch, limits)).toMatchObject({
      ok: false,
      failure: { reason: 'failed', error: { kind: 'config', code: 'HTTP_410' } },
    });
  });
});

describe('apply', () => {
  const events = ['a', 'b', 'c'].map(event);
  const transform = (run: Transform['apply']): Transform => ({ apply: run });

  it('gives the outcome of every event, from a result or a promise of one', async () => {
    const outcomes = new Map([
      ['a', emit(event('a'), event('a'))],
      ['b', drop('filtered')],
      ['c', fail(new PermanentError('no'))],
    ]);
    for (const run of [() => outcomes, async () => outcomes]) {
      const { instance } = await opened(transform(run));
      const result = await apply(instance, events, limits);
      expect(result.ok && [...result.value]).toMatchObject([
        ['a', { action: 'emit', events: [{ id: 'a' }, { id: 'a' }] }],
        ['b', { action: 'drop', reason: 'filtered' }],
        ['c', { action: 'fail', error: { kind: 'permanent' } }],
      ]);
    }
  });

  it('hands on the very objects that were emitted', async () => {
    const { instance } = await opened(transform((batchOf) => new Map(batchOf.map((one) => [one.id, emit(one)]))));
    const result = await apply(instance, events, limits);
    const outcome = result.ok ? result.value.get('b') : undefined;
    expect(outcome?.action === 'emit' && outcome.events[0] === events[1]).toBe(true);
  });

  it.each<[string, unknown]>([
    ['missing', undefined],
    ['emit without events', { action: 'emit' }],
    ['emit of nothing', { action: 'emit', events: [] }],
    ['drop without a reason', { action: 'drop', reason: '' }],
    ['fail with anything', { action: 'fail', error: 'x' }],
    ['unknown', { action: 'keep' }],
  ])('fails an event whose outcome is %s', async (_, outcome) => {
    const { instance } = await opened(transform(() => untyped(new Map([['a', outcome]]))));
    const result = await apply(instance, [event('a')], limits);
    expect(result.ok && result.value.get('a')).toMatchObject({
      action: 'fail',
      error: { kind: 'permanent', code: 'PLUGIN_MISSING_OUTCOME' },
    });
  });
});

describe('check', () => {
  it("gives the plugin's answer without opening it", async () => {
    const instance = new PluginInstance<Destination>({
      scope: { kind: 'destination', type: 'fixture', instance: 'i1' },
      create: () => destination(),
      logger: silent,
      onFault: () => undefined,
    });
    expect(await check(instance, limits)).toEqual({ ok: true, value: { ok: true, message: 'fine' } });
    expect(instance.status.state).toBe('created');
  });

  it('is a bug when the answer is none', async () => {
    const { instance } = await opened(destination({ check: async () => untyped('fine') }));
    expect(await check(instance, limits)).toMatchObject({ ok: false, failure: { reason: 'bug' } });
  });
});

describe('receive', () => {
  const request: SourceRequest = { route: 'post', headers: {}, query: {}, body: {}, ip: '192.0.2.1' };
  const source = (answer: unknown): PushSource => ({ receive: () => untyped(answer) });

  it.each<[string, object]>([
    ['accept', { action: 'accept', drafts: [{}], reply: () => ({ status: 202, body: null }) }],
    ['reject', { action: 'reject', status: 400, code: 'NO', message: 'no' }],
    ['challenge', { action: 'challenge', reply: { status: 200, body: 'yes' } }],
  ])('gives the receipt: %s', async (_, receipt) => {
    const { instance } = await opened(source(receipt));
    expect(receive(instance, request)).toEqual({ ok: true, value: receipt });
  });

  it.each<[string, unknown]>([
    ['nothing', undefined],
    ['accept without drafts', { action: 'accept', reply: () => undefined }],
    ['accept without a reply', { action: 'accept', drafts: [] }],
    ['reject with a status that is none', { action: 'reject', status: 7, code: 'NO', message: 'no' }],
    ['challenge without a reply', { action: 'challenge' }],
    ['a promise', Promise.reject(new Error('late'))],
  ])('is a bug when it is %s', async (_, receipt) => {
    const { instance } = await opened(source(receipt));
    expect(receive(instance, request)).toMatchObject({ ok: false, failure: { reason: 'bug' } });
    await new Promise(setImmediate);
  });
});
