import jsonLogic, { type RulesLogic } from 'json-logic-js';
import fc from 'fast-check';
import { KNOWN_OPERATORS } from '../src/operators.ts';
import { checkRule, compileRule } from '../src/rule.ts';

const nested = (levels: number): unknown => {
  let rule: unknown = true;
  for (let level = 0; level < levels; level += 1) rule = { '!': [rule] };
  return rule;
};

describe('a rule is refused when it is saved', () => {
  it.each([
    ['nests too deeply', nested(33), /nests deeper than 32 levels$|nests deeper than 32 levels\./],
    [
      'nests lists too deeply',
      { '!': [Array.from({ length: 33 }).reduce<unknown>((inner) => [inner], 1)] },
      /nests deeper than 32 levels/,
    ],
    [
      'has too many values',
      { or: Array.from({ length: 500 }, () => 1) },
      /at \/or\/499: the rule has more than 500 values/,
    ],
    ['has too many operators', { or: Array.from({ length: 250 }, () => ({ var: 'user_id' })) }, /more than 500 values/],
    [
      'has an operator that there is not',
      { and: [true, { matches: ['a', 'b'] }] },
      /at \/and\/1: there is no operator "matches"; there are if .*==.*missing_some/,
    ],
    ['writes to the console', { log: 'x' }, /no operator "log"/],
    ['calls methods', { method: [{ var: 'a' }, 'constructor'] }, /no operator "method"/],
    ['has an operator out of an object', JSON.parse('{"__proto__": [1]}'), /no operator "__proto__"/],
    ['has an operator that every object has', { toString: [] }, /no operator "toString"/],
    ['reaches into an operator', { 'var.constructor': [] }, /no operator "var.constructor"/],
    ['has an operator of ours', { 'switchyard var': ['a'] }, /no operator "switchyard var"/],
    ['has two operators in one object', { and: [], or: [] }, /has one operator as its key; this one has 2/],
    ['has an object without an operator', { '==': [{ var: 'a' }, {}] }, /at \/==\/1: .*this one has none/],
    ['is a text', 'signup', /a rule is an object with one operator/],
    ['is a list', [{ var: 'a' }], /a rule is an object with one operator/],
    ['is null', null, /a rule is an object with one operator/],
    [
      'reads a prototype',
      { '!!': [{ var: 'metadata.__proto__.polluted' }] },
      /at \/!!\/0\/var: "__proto__" cannot be read/,
    ],
    ['reads a constructor', { var: ['constructor.name', 1] }, /"constructor" cannot be read/],
    ['asks whether a prototype is missing', { missing: ['a', 'b.prototype'] }, /"prototype" cannot be read/],
    [
      'asks in a list whether a prototype is missing',
      { missing_some: [1, ['a', '__proto__']] },
      /"__proto__" cannot be read/,
    ],
  ])('that %s', (_what, rule, message) => {
    expect(() => checkRule(rule)).toThrow(
      expect.objectContaining({
        kind: 'config',
        code: 'RULE_INVALID',
        message: expect.stringMatching(message) as unknown,
      }) as Error,
    );
  });

  it('that nests 100,000 levels, in no time', () => {
    const startedAt = performance.now();
    expect(() => checkRule(nested(100_000))).toThrow(/nests deeper/);
    expect(performance.now() - startedAt).toBeLessThan(1000);
  });
});

describe('a rule is accepted when it is saved', () => {
  it.each([
    ['nests as deeply as it may', nested(32)],
    ['has as many values as it may', { or: Array.from({ length: 499 }, () => 1) }],
    ['has a default that looks like a prototype', { var: ['metadata.kind', 'constructor'] }],
    ['compares with the word', { '==': [{ var: 'event_name' }, 'prototype'] }],
    ['uses the short form', { '!': { var: 'user_id' } }],
  ])('that %s', (_what, rule) => {
    expect(() => checkRule(rule)).not.toThrow();
  });
});

describe('a rule that passed', () => {
  const evaluate = (rule: unknown, data: unknown): boolean => {
    checkRule(rule);
    return compileRule(rule)(data, 50_000).value;
  };

  it('finds nothing where a path to a prototype is computed', () => {
    const data: unknown = JSON.parse(
      '{"key": "__proto__", "list": [], "text": "x", "own": {"__proto__": {"a": 1}, "constructor": 1}}',
    );
    for (const path of [
      '__proto__',
      'constructor',
      'constructor.name',
      'list.constructor',
      'text.constructor.name',
      'own.__proto__.a',
      'own.constructor',
      'list.map',
      'text.length.constructor',
      'hasOwnProperty',
    ]) {
      expect([path, evaluate({ '===': [{ var: [{ cat: [path] }, 'nothing'] }, 'nothing'] }, data)]).toEqual([
        path,
        true,
      ]);
      expect([path, evaluate({ '!!': [{ missing: [{ cat: [path] }] }] }, data)]).toEqual([path, true]);
    }
    expect(evaluate({ '===': [{ var: [{ var: 'key' }, 'nothing'] }, 'nothing'] }, data)).toBe(true);
  });

  it('does not evaluate data, whatever it looks like', () => {
    const data = { keys: [{ var: 'secret' }], secret: '', rule: { '==': [1, 1] } };
    expect(evaluate({ '===': [{ var: 'rule.==.0' }, 1] }, data)).toBe(true);
    expect(evaluate({ '==': [{ var: 'rule' }, true] }, data)).toBe(false);
    expect(evaluate({ missing: [{ var: 'keys' }] }, data)).toBe(true);
  });
});

describe('charged operators mean what those of json-logic-js mean', () => {
  const value = fc.oneof(
    fc.constantFrom(null, true, false, 0, 1, -1, 2.5, '', 'a', 'abc', '1', '10', 'b.c'),
    fc.array(fc.constantFrom(0, 1, 2, 'a', 'abc', null), { maxLength: 4 }),
  );
  const data = fc.record({
    a: value,
    b: fc.record({ c: value }),
    list: fc.array(fc.oneof(value, fc.record({ c: value })), { maxLength: 4 }),
  });
  const path = fc.constantFrom(
    '',
    'a',
    'b',
    'b.c',
    'list',
    'list.0',
    'list.length',
    'c',
    'current',
    'accumulator',
    'current.c',
    'absent',
    'absent.c',
  );
  const operators = [...KNOWN_OPERATORS].filter((name) => !['var', 'missing', 'missing_some'].includes(name));
  const { rule } = fc.letrec<{ rule: unknown; part: unknown }>((tie) => ({
    rule: fc.oneof(
      { depthSize: 'small' },
      fc
        .tuple(path, fc.option(value, { nil: undefined }))
        .map(([key, other]) => ({ var: other === undefined ? [key] : [key, other] })),
      fc.array(path, { maxLength: 3 }).map((keys) => ({ missing: keys })),
      fc
        .tuple(fc.integer({ min: 0, max: 3 }), fc.array(path, { maxLength: 3 }))
        .map(([needed, keys]) => ({ missing_some: [needed, keys] })),
      fc
        .tuple(fc.constantFrom(...operators), fc.array(tie('part'), { minLength: 1, maxLength: 3 }))
        .map(([operator, parts]) => ({ [operator]: parts })),
    ),
    part: fc.oneof(value, tie('rule')),
  }));

  /** The value, or that there was none: messages of JavaScript errors are nobody's semantics. */
  const end = (evaluate: () => unknown): unknown => {
    try {
      return evaluate();
    } catch {
      return 'threw';
    }
  };

  it('for every operator and all pairs of awkward values', () => {
    const awkward = [null, true, false, 0, -1, 2.5, '', ' ', 'a', 'abc', '1', '-1', [], [0], ['a', 'b'], [''], [[]]];
    for (const operator of operators) {
      for (const a of awkward) {
        for (const b of awkward) {
          const anyRule = { [operator]: [a, b] };
          const theirs = end(() => jsonLogic.apply(anyRule, {}));
          const same = { '===': [{ cat: [anyRule] }, { cat: [theirs] }] };
          const threw = theirs === 'threw' ? 'threw' : true;
          expect([anyRule, end(() => compileRule(same)({}, 1e9).value)]).toEqual([anyRule, threw]);
        }
      }
    }
  });

  it('for rules and data of every shape', () => {
    let compared = 0;
    fc.assert(
      fc.property(rule, data, (anyRule, anyData) => {
        checkRule(anyRule);
        const theirs = end(() => jsonLogic.truthy(jsonLogic.apply(anyRule as RulesLogic, anyData)));
        const ours = end(() => compileRule(anyRule)(anyData, 1e9).value);
        expect(ours).toEqual(theirs);
        // The whole value, not only whether it is true.
        const wrapped = { cat: ['<', anyRule, '>'] };
        const text = end(() => jsonLogic.apply(wrapped as RulesLogic, anyData));
        expect(end(() => compileRule({ '===': [wrapped, text] })(anyData, 1e9).value)).toBe(
          text === 'threw' ? 'threw' : true,
        );
        compared += 1;
      }),
      { numRuns: 3000 },
    );
    expect(compared).toBe(3000);
  });
});
