import type { Event, TransformOutcome } from '@switchyard/plugin-sdk';
import { anEvent, testContext, testPlugin } from '@switchyard/plugin-sdk/testing';
import filter from '../src/index.ts';

testPlugin(filter, {
  config: { rule: { '==': [{ var: 'event_name' }, 'signup'] } },
  samples: [anEvent({ event_name: 'other' })],
  wrongConfigs: [{}, { rule: 'signup' }, { rule: { frobnicate: [1] } }, { rule: { var: '__proto__' } }],
});

const never = new AbortController().signal;

async function outcomeOf(rule: unknown, event: Event): Promise<TransformOutcome | undefined> {
  return (await filter.create({ rule }, testContext()).apply([event], never)).get(event.id);
}

describe('the filter', () => {
  it('hands on the very event for which the rule is true', async () => {
    const event = anEvent({ metadata: { plan: 'pro' } });
    const outcome = await outcomeOf({ '==': [{ var: 'metadata.plan' }, 'pro'] }, event);
    expect(outcome?.action === 'emit' && outcome.events[0]).toBe(event);
  });

  it('drops the others, always for the same reason', async () => {
    for (const event of [anEvent({ event_name: 'a' }), anEvent({ event_name: 'b', user_id: null })]) {
      expect(await outcomeOf({ '==': [{ var: 'event_name' }, 'signup'] }, event)).toEqual({
        action: 'drop',
        reason: 'filtered by rule',
      });
    }
  });

  it.each([
    ['an empty list', [], 'drop'],
    ['zero', 0, 'drop'],
    ['an empty text', '', 'drop'],
    ['null', null, 'drop'],
    ['a text', '0', 'emit'],
    ['a list', [0], 'emit'],
    ['an object', {}, 'emit'],
  ])('takes %s as JSON Logic does', async (_what, value, action) => {
    expect(await outcomeOf({ var: 'metadata.value' }, anEvent({ metadata: { value } }))).toMatchObject({ action });
  });

  it.each([
    [true, 'emit'],
    [false, 'drop'],
  ])('takes the rule %s', async (rule, action) => {
    expect(await outcomeOf(rule, anEvent())).toMatchObject({ action });
  });

  it('sees every field of the event under the name that it was posted with', async () => {
    const event = anEvent({ user_id: 'u-1' });
    for (const name of ['id', 'event_name', 'user_id', 'timestamp', 'received_at'] as const) {
      expect(await outcomeOf({ '===': [{ var: name }, event[name]] }, event)).toMatchObject({ action: 'emit' });
    }
    expect(await outcomeOf({ '===': [{ var: 'context.ip_address' }, event.context.ip_address] }, event)).toMatchObject({
      action: 'emit',
    });
  });

  it('fails the event on which the rule throws, and judges its neighbours', async () => {
    const rule = { '<': [{ var: 'metadata.value' }, 5] };
    const [bad, good] = [
      anEvent({ metadata: { value: { toString: 1, valueOf: 2 } } }),
      anEvent({ metadata: { value: 1 } }),
    ];
    const outcomes = await filter.create({ rule }, testContext()).apply([bad, good], never);
    expect(outcomes.get(bad.id)).toMatchObject({ action: 'fail', error: { kind: 'permanent', code: 'RULE_FAILED' } });
    expect(outcomes.get(good.id)).toMatchObject({ action: 'emit' });
  });

  it('sees numbers that a double cannot hold as numbers', async () => {
    const metadata = JSON.parse(
      '{"big": 12345678901234567890, "list": [1, 12345678901234567890, [98765432109876543210]], "items": [{"n": 12345678901234567890}]}',
      (_key, value: unknown, { source = '' }: { source?: string } = {}) =>
        typeof value === 'number' && source.length > 15
          ? (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(source)
          : value,
    ) as Event['metadata'];
    const event = anEvent({ metadata });
    const big = Number('12345678901234567890');
    for (const rule of [
      { '>': [{ var: 'metadata.big' }, 1e19] },
      { '==': [{ var: 'metadata.big' }, big] },
      { '==': [{ '+': [{ var: 'metadata.big' }, 0] }, big] },
      { in: [big, { var: 'metadata.list' }] },
      { some: [{ var: 'metadata.list' }, { '===': [{ var: '' }, big] }] },
      { '==': [{ var: 'metadata.list.2.0' }, Number('98765432109876543210')] },
      { all: [{ var: 'metadata.items' }, { '>': [{ var: 'n' }, 1e19] }] },
      {
        '==': [
          { reduce: [{ var: 'metadata.items' }, { '+': [{ var: 'accumulator' }, { var: 'current.n' }] }, 0] },
          big,
        ],
      },
      { '===': [{ var: ['metadata.big.rawJSON', 'absent'] }, 'absent'] },
    ]) {
      expect([rule, await outcomeOf(rule, event)]).toMatchObject([rule, { action: 'emit' }]);
    }
    expect(JSON.stringify(event.metadata)).toContain('12345678901234567890');
  });

  it('gives others their turn inside a batch of expensive events', async () => {
    const rule = { some: [{ var: 'metadata.list' }, { '==': [{ var: '' }, -1] }] };
    const list = Array.from({ length: 10_000 }, (_, at) => at);
    const events = Array.from({ length: 20 }, () => anEvent({ metadata: { list } }));
    let turns = 0;
    const turn = (): void => {
      turns += 1;
      running = setImmediate(turn);
    };
    let running = setImmediate(turn);
    const outcomes = await filter.create({ rule }, testContext()).apply(events, never);
    clearImmediate(running);
    expect(outcomes.size).toBe(20);
    expect(turns).toBeGreaterThan(3);
  });

  it('answers at once for everyday rules', () => {
    const instance = filter.create({ rule: { '==': [{ var: 'event_name' }, 'signup'] } }, testContext());
    expect(instance.apply([anEvent()], never)).toBeInstanceOf(Map);
  });
});
