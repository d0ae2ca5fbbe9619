import type { JsonObject, TransformOutcome } from '@switchyard/plugin-sdk';
import { anEvent, testContext } from '@switchyard/plugin-sdk/testing';
import filter from '../src/index.ts';

const variable = (path: unknown): unknown => ({ var: path });
const numbers = (count: number): number[] => Array.from({ length: count }, (_, at) => at);

/** Accepted when it is saved; what it costs depends on the event. */
function outcomeOf(rule: unknown, metadata: JsonObject): TransformOutcome | undefined {
  filter.validate?.({ rule });
  const event = anEvent({ metadata });
  const outcomes = filter.create({ rule }, testContext()).apply([event], new AbortController().signal);
  return outcomes instanceof Map ? (outcomes.get(event.id) as TransformOutcome) : undefined;
}

const double = (operator: string, first: unknown): unknown => ({
  reduce: [variable('metadata.n'), { [operator]: [variable('accumulator'), variable('accumulator')] }, first],
});
/** A loop over `n` in which the work is done on `s`, which the accumulator carries. */
const each = (work: unknown): unknown => ({
  reduce: [
    variable('metadata.n'),
    { if: [work, variable('accumulator'), variable('accumulator')] },
    variable('metadata.s'),
  ],
});

describe('a rule that is expensive for an event fails that event, soon', () => {
  it.each<readonly [string, unknown, JsonObject]>([
    ['loops in loops in loops', [3, 3, 3].reduce<unknown>((inner) => ({ some: [numbers(100), inner] }), false), {}],
    ['a loop over a long list that does nothing', { some: [variable('metadata.n'), false] }, { n: numbers(200_000) }],
    [
      'a loop with a list of its own in each round',
      { some: [variable('metadata.n'), { in: [-1, numbers(400)] }] },
      { n: numbers(1000) },
    ],
    [
      'a product of lists',
      {
        reduce: [
          variable('metadata.n'),
          {
            '+': [
              variable('accumulator'),
              { reduce: [numbers(200), { '+': [variable('current'), variable('accumulator')] }, 0] },
            ],
          },
          0,
        ],
      },
      { n: numbers(5000) },
    ],
    ['a text that doubles', double('cat', 'x'), { n: numbers(1000) }],
    ['a list that doubles', double('merge', [1]), { n: numbers(1000) }],
    [
      'comparing a long text again and again',
      each({ '===': [variable('accumulator'), 'y'] }),
      { n: numbers(400), s: 'y'.repeat(900_000) },
    ],
    [
      'reading a number out of a long text again and again',
      each({ '+': [variable('accumulator'), 1] }),
      { n: numbers(400), s: '1'.repeat(900_000) },
    ],
    [
      'writing out a long list again and again',
      each({ '==': [variable('accumulator'), 'y'] }),
      { n: numbers(400), s: numbers(10_000) },
    ],
    [
      'searching a long list again and again',
      each({ in: ['y', variable('accumulator')] }),
      { n: numbers(400), s: numbers(100_000) },
    ],
    [
      'searching for a text that almost repeats itself',
      { in: [variable('metadata.p'), variable('metadata.t')] },
      { p: `b${'a'.repeat(300_000)}`, t: 'a'.repeat(700_000) },
    ],
    [
      'paths of many parts',
      { some: [variable('metadata.n'), { var: [variable('')] }] },
      { n: Array.from({ length: 100 }, () => 'a.'.repeat(5000)) },
    ],
    ['asking for many that are missing', { missing: [variable('metadata.n')] }, { n: numbers(100_000) }],
  ])('%s', (_what, rule, metadata) => {
    const startedAt = performance.now();
    const outcome = outcomeOf(rule, metadata);
    const took = performance.now() - startedAt;
    expect(outcome).toMatchObject({ action: 'fail', error: { kind: 'permanent', code: 'RULE_BUDGET' } });
    expect(took).toBeLessThan(1000);
  });

  it('a list that nests itself deeper than the stack', () => {
    const deeper = { reduce: [variable('metadata.n'), [[[[[[[[variable('accumulator')]]]]]]]], 1] };
    const outcome = outcomeOf({ '==': ['', deeper] }, { n: numbers(2500) });
    expect(outcome).toMatchObject({ action: 'fail', error: { kind: 'permanent' } });
  });

  it('and the next event is judged as if nothing had been', () => {
    const rule = { some: [variable('metadata.n'), { '==': [variable(''), 7] }] };
    expect(outcomeOf(rule, { n: numbers(200_000).fill(0) })).toMatchObject({ action: 'fail' });
    expect(outcomeOf(rule, { n: numbers(10) })).toMatchObject({ action: 'emit' });
  });

  it('but an everyday rule over a list of a thousand items is within its budget', () => {
    const rule = {
      some: [
        variable('metadata.items'),
        { and: [{ '>': [variable('price'), 999] }, { '==': [variable('kind'), 'book'] }] },
      ],
    };
    const items = numbers(1001).map((price) => ({ price, kind: 'book' }));
    expect(outcomeOf(rule, { items })).toMatchObject({ action: 'emit' });
  });
});
