import { randomUUID } from 'node:crypto';
import { jest } from '@jest/globals';
import { derivedEventId, namedEventId, newEventId } from '../../src/event/ids.ts';

const DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8';
const URLS = '6ba7b811-9dad-11d1-80b4-00c04fd430c8';
const V5 = /^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
const V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

afterEach(() => void jest.restoreAllMocks());

test.each([
  // RFC 9562, appendix A.4; the others are in the documentation of several libraries.
  [DNS, 'www.example.com', '2ed6657d-e927-568b-95e1-2665a8aea6a2'],
  [DNS, 'python.org', '886313e1-3b8a-5372-9b90-0c9aee199e5d'],
  [DNS, 'hello.example.com', 'fdda765f-fc57-5604-a269-52a7df8164ec'],
  [URLS, 'http://example.com/hello', '3bbcee75-cecc-5b56-8031-b6641c1ed1f1'],
])('a name in a namespace has the UUID version 5 of the standard: %s %s', (namespace, name, id) => {
  expect(namedEventId(namespace, name)).toBe(id);
  expect(namedEventId(namespace.toUpperCase(), name)).toBe(id);
  expect(derivedEventId(namespace, name)).toBe(id);
});

test('a named event has the same id each time, and another in another project or under another name', () => {
  const [one, two] = [randomUUID(), randomUUID()];
  const ids = [
    namedEventId(one, 'order-1'),
    namedEventId(two, 'order-1'),
    namedEventId(one, 'order-2'),
    namedEventId(one, 'Ördér 😀'),
    namedEventId(one, ' order-1'),
  ];
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(id).toMatch(V5);
  expect(namedEventId(one, 'order-1')).toBe(ids[0]);
});

test('ids that nobody named are UUIDs version 7 that grow, within a millisecond as well', () => {
  const from = Date.now();
  const ids = Array.from({ length: 20_000 }, newEventId);
  expect(ids).toEqual([...new Set(ids)].sort());
  for (const id of ids) expect(id).toMatch(V7);
  expect(Math.abs(Number.parseInt((ids[0] ?? '').replace('-', '').slice(0, 12), 16) - from)).toBeLessThan(1000);
});

test('ids grow when the clock is set back', () => {
  const before = newEventId();
  jest.spyOn(Date, 'now').mockReturnValue(Date.now() - 3_600_000);
  const after = newEventId();
  expect(after > before).toBe(true);
  expect(after).toMatch(V7);
});
