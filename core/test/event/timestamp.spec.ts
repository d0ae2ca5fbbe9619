import fc from 'fast-check';
import { isTimestamp } from '../../src/event/timestamp.ts';

test.each([
  '2024-01-30T10:00:00Z',
  '2024-01-30t10:00:00z',
  '2024-01-30T10:00:00.123456789Z',
  '2024-01-30T10:00:00+05:30',
  '2024-01-30T10:00:00-00:00',
  '2024-02-29T00:00:00Z',
  '2000-02-29T23:59:59Z',
  '0001-01-01T00:00:00Z',
  '9999-12-31T23:59:59.999Z',
  '2024-01-30T10:00:00+15:59',
])('%s is a timestamp', (text) => expect(isTimestamp(text)).toBe(true));

test.each([
  '',
  '2024-01-30',
  '2024-01-30T10:00:00',
  '2024-01-30 10:00:00Z',
  '2024-01-30T10:00Z',
  '2024-13-01T00:00:00Z',
  '2024-00-01T00:00:00Z',
  '2024-01-00T00:00:00Z',
  '2024-04-31T00:00:00Z',
  '2023-02-29T00:00:00Z',
  '1900-02-29T00:00:00Z',
  '2024-01-30T24:00:00Z',
  '2024-01-30T10:60:00Z',
  '2016-12-31T23:59:60Z',
  '0000-01-01T00:00:00Z',
  '2024-01-30T10:00:00+16:00',
  '2024-01-30T10:00:00+05:60',
  '2024-01-30T10:00:00.Z',
  '2024-01-30T10:00:00.1234567890Z',
  '12024-01-30T10:00:00Z',
  '-2024-01-30T10:00:00Z',
  '2024-01-30T10:00:00Z\n',
  ' 2024-01-30T10:00:00Z',
  '٢٠٢٤-01-30T10:00:00Z',
  '2024-01-30T10:00:00+0530',
  'Tue, 30 Jan 2024 10:00:00 GMT',
])('%j is none', (text) => expect(isTimestamp(text)).toBe(false));

test('whatever a Date writes is one, and whatever is one a Date can read', () => {
  fc.assert(
    fc.property(
      fc.date({
        noInvalidDate: true,
        min: new Date('0001-01-02T00:00:00Z'),
        max: new Date('9999-12-30T23:59:59.999Z'),
      }),
      fc.constantFrom('Z', '+00:00', '-11:30', '+14:00'),
      (date, offset) => {
        const text = date.toISOString().replace('Z', offset);
        expect(isTimestamp(text)).toBe(true);
        expect(new Date(text).getTime()).not.toBeNaN();
      },
    ),
  );
});

test.each(['9999-12-31T23:59:59-14:00', '0001-01-01T00:00:00+14:00'])(
  '%s lies outside of the calendar in UTC',
  (text) => {
    expect(isTimestamp(text)).toBe(false);
  },
);

test.each(['9999-12-31T23:59:59Z', '9999-12-31T09:59:59-14:00', '0001-01-01T14:00:00+14:00'])(
  '%s is within it',
  (text) => {
    expect(isTimestamp(text)).toBe(true);
  },
);
