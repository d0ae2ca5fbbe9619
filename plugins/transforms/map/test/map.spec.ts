import type { Event, EventOutput, Json, JsonObject, Static } from '@switchyard/plugin-sdk';
import { anEvent, testContext, testPlugin } from '@switchyard/plugin-sdk/testing';
import map from '../src/index.ts';
import type { StepConfig } from '../src/steps.ts';

type Step = Static<typeof StepConfig>;

testPlugin(map, {
  samples: [anEvent({ metadata: { Plan: 'pro', email: 'a@example.com' } })],
  wrongConfigs: [
    {},
    { steps: [] },
    { steps: [{ set: { id: 'x' } }] },
    { steps: [{ drop: ['user_id'] }] },
    { steps: [{ set: { user_id: 'a' }, remove: ['user_id'] }] },
  ],
});

/** Applies the steps to one event, and gives the event that comes out or the error. */
async function mapped(event: Event, ...steps: Step[]): Promise<EventOutput> {
  map.validate?.({ steps });
  const outcomes = await map.create({ steps }, testContext()).apply([event], new AbortController().signal);
  const outcome = outcomes.get(event.id);
  if (outcome?.action === 'fail') throw outcome.error;
  if (outcome?.action !== 'emit' || outcome.events[0] === undefined) throw new Error('nothing came out');
  return outcome.events[0];
}

const withMetadata = (metadata: JsonObject): Event => anEvent({ metadata });
const metadataOf = async (metadata: JsonObject, ...steps: Step[]): Promise<Json | undefined> =>
  (await mapped(withMetadata(metadata), ...steps)).metadata;

describe('set', () => {
  it('sets fields of the event and fields inside it, making objects on the way', async () => {
    const event = anEvent({ metadata: { a: 1 } });
    expect(
      await mapped(event, {
        set: { event_name: 'renamed', user_id: null, 'metadata.b.c': [1, { d: 2 }], 'context.source': 'web' },
      }),
    ).toEqual({
      ...event,
      event_name: 'renamed',
      user_id: null,
      metadata: { a: 1, b: { c: [1, { d: 2 }] } },
      context: { ...event.context, source: 'web' },
    });
  });

  it('replaces the whole metadata, and keeps the client in a context that is replaced', async () => {
    expect(await mapped(anEvent(), { set: { metadata: { only: 'this' }, context: { source: 'web' } } })).toMatchObject({
      metadata: { only: 'this' },
      context: { source: 'web', ip_address: null, user_agent: null },
    });
  });

  it('fails the event when something that is no object stands in the way', async () => {
    await expect(metadataOf({ a: 'text' }, { set: { 'metadata.a.b': 1 } })).rejects.toMatchObject({
      kind: 'permanent',
      code: 'MAP_PATH',
      message: expect.stringContaining('Step 1 (set): on the way to "metadata.a.b"') as unknown,
    });
    await expect(metadataOf({ a: [1] }, { set: { 'metadata.a.0': 1 } })).rejects.toMatchObject({ code: 'MAP_PATH' });
  });
});

describe('copy', () => {
  it('copies what is there, and passes over what is not', async () => {
    expect(
      await metadataOf(
        { a: { b: 1 }, n: null },
        {
          copy: {
            'metadata.a': 'metadata.c.d',
            'metadata.n': 'metadata.m',
            'metadata.absent': 'metadata.never',
            'metadata.a.b.c': 'metadata.neither',
          },
        },
      ),
    ).toEqual({
      a: { b: 1 },
      c: { d: { b: 1 } },
      n: null,
      m: null,
    });
  });

  it('reads what nobody may change', async () => {
    const event = anEvent();
    expect(
      (await mapped(event, { copy: { id: 'metadata.event', received_at: 'metadata.seen' } })).metadata,
    ).toMatchObject({ event: event.id, seen: event.received_at });
  });

  it('writes a number that is to be a user id with its own digits', async () => {
    expect(await mapped(withMetadata({ customer: 42 }), { copy: { 'metadata.customer': 'user_id' } })).toMatchObject({
      user_id: '42',
    });
    const exact = (JSON as unknown as { rawJSON(text: string): JsonObject }).rawJSON('12345678901234567890');
    expect(await mapped(withMetadata({ customer: exact }), { copy: { 'metadata.customer': 'user_id' } })).toMatchObject(
      { user_id: '12345678901234567890' },
    );
  });

  it.each<readonly [string, Json]>([
    ['event_name', { a: 1 }],
    ['event_name', ''],
    ['user_id', [1]],
    ['timestamp', 'yesterday'],
    ['timestamp', 1_700_000_000],
    ['metadata', 'text'],
    ['context', [1]],
    ['context.ip_address', 7],
  ])('fails the event that has nothing fit for %s', async (to, value) => {
    await expect(metadataOf({ value }, { copy: { 'metadata.value': to } })).rejects.toMatchObject({
      kind: 'permanent',
      code: 'MAP_TYPE',
      message: expect.stringContaining(`Step 1 (copy): "${to}"`) as unknown,
    });
  });

  it('keeps the digits of a number that a double cannot hold', async () => {
    const exact = (JSON as unknown as { rawJSON(text: string): JsonObject }).rawJSON('12345678901234567890');
    expect(JSON.stringify(await metadataOf({ a: exact }, { copy: { 'metadata.a': 'metadata.b' } }))).toBe(
      '{"a":12345678901234567890,"b":12345678901234567890}',
    );
  });

  it('fails an event that would double with each step, soon', async () => {
    const doubling = Array.from({ length: 100 }, (_, at): Step => ({ copy: { metadata: `metadata.m${at}` } }));
    const startedAt = performance.now();
    await expect(metadataOf({ a: 1 }, ...doubling)).rejects.toMatchObject({ kind: 'permanent', code: 'MAP_BUDGET' });
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });

  it.each<readonly [string, Step]>([
    ['copy', { copy: { 'metadata.a': 'metadata.b.c.d.e.f.g.h' } }],
    ['rename', { rename: { 'metadata.a': 'metadata.b.c.d.e.f.g.h' } }],
  ])('fails an event that would nest too deeply (%s)', async (_action, step) => {
    const deep = Array.from({ length: 60 }).reduce<JsonObject>((inner) => ({ inner }), {});
    await expect(metadataOf({ a: deep }, step)).rejects.toMatchObject({
      code: 'MAP_BUDGET',
      message: expect.stringContaining('nest deeper than 64 levels') as unknown,
    });
  });
});

describe('rename', () => {
  it('moves what is there, and passes over what is not', async () => {
    expect(
      await metadataOf(
        { Plan: 'pro', keep: 1 },
        { rename: { 'metadata.Plan': 'metadata.account.plan', 'metadata.absent': 'metadata.never' } },
      ),
    ).toEqual({ keep: 1, account: { plan: 'pro' } });
  });

  it('lets two fields change places, in whatever order they are written', async () => {
    const swap = { 'metadata.a': 'metadata.b', 'metadata.b': 'metadata.a' };
    expect(await metadataOf({ a: 1, b: 2 }, { rename: swap })).toEqual({ a: 2, b: 1 });
    expect(await metadataOf({ a: 1, b: 2 }, { rename: Object.fromEntries(Object.entries(swap).toReversed()) })).toEqual(
      { a: 2, b: 1 },
    );
  });

  it('moves the user id, and leaves nobody behind', async () => {
    expect(
      await mapped(anEvent({ user_id: 'u', metadata: {} }), { rename: { user_id: 'metadata.customer' } }),
    ).toMatchObject({ user_id: null, metadata: { customer: 'u' } });
  });
});

describe('remove', () => {
  it('takes away what is there, deep inside too', async () => {
    expect(
      await metadataOf(
        { a: { b: 1, c: 2 }, d: 3 },
        { remove: ['metadata.a.b', 'metadata.d', 'metadata.absent', 'metadata.a.c.x'] },
      ),
    ).toEqual({ a: { c: 2 } });
  });

  it('leaves a client that is unknown, no user, empty metadata', async () => {
    expect(await mapped(anEvent(), { remove: ['context.ip_address', 'user_id', 'metadata'] })).toMatchObject({
      user_id: null,
      metadata: {},
      context: { ip_address: null, user_agent: 'kit/1.0' },
    });
  });
});

describe('keep', () => {
  it('keeps what is named, and only where something is named', async () => {
    const event = anEvent({ metadata: { a: 1, b: { c: 2, d: 3 }, e: 4 } });
    expect(await mapped(event, { keep: ['metadata.a', 'metadata.b.c', 'metadata.absent'] })).toEqual({
      ...event,
      metadata: { a: 1, b: { c: 2 } },
    });
  });

  it('keeps a whole object that is named beside a part of it', async () => {
    expect(await metadataOf({ a: { b: 1, c: 2 }, d: 3 }, { keep: ['metadata.a.b', 'metadata.a'] })).toEqual({
      a: { b: 1, c: 2 },
    });
  });

  it('leaves a context without client when that is not named', async () => {
    expect(await mapped(anEvent(), { keep: ['context.user_agent'] })).toMatchObject({
      context: { ip_address: null, user_agent: 'kit/1.0' },
    });
  });
});

describe('all steps together', () => {
  it('are done one after the other', async () => {
    const steps: Step[] = [
      { set: { 'metadata.a': 1 } },
      { rename: { 'metadata.a': 'metadata.b' } },
      { copy: { 'metadata.b': 'metadata.c' } },
      { remove: ['metadata.b'] },
      { keep: ['metadata.c'] },
    ];
    expect(await metadataOf({ x: 0 }, ...steps)).toEqual({ c: 1 });
  });

  it('hand on the very event when they change nothing', async () => {
    const event = anEvent({ metadata: { a: 1, b: { c: 2 } } });
    const steps: Step[] = [
      { set: { 'metadata.a': 1, 'metadata.b.c': 2, event_name: event.event_name } },
      { copy: { 'metadata.absent': 'metadata.z', 'metadata.a': 'metadata.a' } },
      { rename: { 'metadata.absent': 'metadata.z' } },
      { remove: ['metadata.absent', 'metadata.b.d'] },
      { keep: ['metadata.a', 'metadata.b', 'context.ip_address', 'context.user_agent'] },
    ];
    expect(await mapped(event, ...steps)).toBe(event);
  });

  it('share what they do not change', async () => {
    const event = anEvent({ metadata: { big: { a: 1 }, b: 2 } });
    const output = await mapped(event, { set: { 'metadata.b': 3 } });
    expect(output.metadata?.['big']).toBe(event.metadata['big']);
    expect(output.context).toBe(event.context);
  });

  it('keep a key called __proto__ a key', async () => {
    const metadata = JSON.parse(
      '{"__proto__": {"polluted": true}, "a": {"__proto__": {"polluted": true}, "b": 1}, "c": 2}',
    ) as JsonObject;
    const output = (await metadataOf(
      metadata,
      { set: { 'metadata.a.x': 1 } },
      { remove: ['metadata.c'] },
      { rename: { 'metadata.a.b': 'metadata.d' } },
    )) as JsonObject;
    expect(Object.getPrototypeOf(output)).toBe(Object.prototype);
    expect(JSON.stringify(output)).toBe(
      '{"__proto__":{"polluted":true},"a":{"__proto__":{"polluted":true},"x":1},"d":1}',
    );
  });
});
