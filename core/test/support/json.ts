import fc from 'fast-check';

/** JSON values of every shape that is allowed in: no NUL, no half surrogate pairs, no keys that are refused, nothing denormal. */
export const anyJson = (): fc.Arbitrary<fc.JsonValue> => {
  const text = fc
    .string({ unit: 'grapheme', maxLength: 12 })
    .filter((value) => !value.includes('\u0000') && value.isWellFormed());
  const number = fc.oneof(
    fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => value === 0 || Math.abs(value) >= 1e-308),
    fc.integer(),
    fc.maxSafeInteger(),
  );
  const key = fc
    .oneof(text, fc.constantFrom('constructor', 'prototype', 'toString', 'events'))
    .filter((value) => value !== '__proto__');
  return fc.letrec<{ value: fc.JsonValue }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 6, withCrossShrink: true },
      fc.oneof(
        text,
        number.map((value) => value + 0),
        fc.boolean(),
        fc.constant(null),
      ),
      fc.array(tie('value'), { maxLength: 5 }),
      fc.dictionary(key, tie('value'), { maxKeys: 5, noNullPrototype: true }).filter((value) => !hidesPrototype(value)),
    ),
  })).value;
};

function hidesPrototype(value: Readonly<Record<string, fc.JsonValue>>): boolean {
  const child = Object.hasOwn(value, 'constructor') ? value['constructor'] : null;
  return typeof child === 'object' && child !== null && Object.hasOwn(child, 'prototype');
}
