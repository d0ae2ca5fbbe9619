import { deepFreeze } from '../../src/event/freeze.ts';

test('freezes a value all the way down, and gives it back', () => {
  const value = { list: [{ deep: { deeper: 1 } }, null, 'x'], none: null };
  expect(deepFreeze(value)).toBe(value);
  expect(() => Object.assign(value.list[0] as object, { more: 1 })).toThrow(TypeError);
  expect(() => value.list.push('y')).toThrow(TypeError);
  expect(() => Object.assign((value.list[0] as { deep: object }).deep, { deeper: 2 })).toThrow(TypeError);
});

test('takes numbers that keep their digits, and values that are no objects', () => {
  const value = { n: JSON.rawJSON('12345678901234567890') };
  expect(JSON.stringify(deepFreeze(value))).toBe('{"n":12345678901234567890}');
  expect([deepFreeze(1), deepFreeze(null), deepFreeze('x')]).toEqual([1, null, 'x']);
});

test('freezes what is behind something that is empty, and nests as deep as events do', () => {
  let value: object = {};
  for (let depth = 1; depth < 64; depth += 1) value = { child: value, empty: [] };
  deepFreeze(value);
  let deepest = value as { child?: object };
  while (deepest.child !== undefined) deepest = deepest.child;
  expect(Object.isFrozen(deepest)).toBe(true);
});
