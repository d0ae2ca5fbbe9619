import { EVENT_SUSPENSION, Suspension } from '../src/suspension.ts';

let now = 0;
const suspension = (): Suspension => {
  now = 0;
  return new Suspension(EVENT_SUSPENSION, () => now);
};
const strike = (subject: Suspension, times: number): void => {
  for (let n = 0; n < times; n += 1) subject.guilty();
};

it('lets code run that is guilty now and then', () => {
  const subject = suspension();
  for (let n = 0; n < 100; n += 1) {
    strike(subject, 1);
    subject.good(20);
  }
  expect(subject.enter()).toBe('open');
});

it('suspends code whose good events do not make up for the guilty ones, in a row or not', () => {
  const inARow = suspension();
  strike(inARow, 4);
  expect(inARow.enter()).toBe('open');
  strike(inARow, 1);
  expect(inARow.enter()).toBe('suspended');
  expect(inARow.remainingMs).toBe(10_000);

  const everyOther = suspension();
  for (let n = 0; n < 6; n += 1) {
    strike(everyOther, 1);
    everyOther.good(1);
  }
  expect(everyOther.enter()).toBe('suspended');
});

it('sends one probe after the cool-down, and doubles the cool-down when it is guilty', () => {
  const subject = suspension();
  strike(subject, 5);
  now = 9_999;
  expect(subject.enter()).toBe('suspended');
  now = 10_000;
  expect([subject.enter(), subject.enter()]).toEqual(['probe', 'suspended']);
  subject.guilty();
  expect(subject.remainingMs).toBe(20_000);
  now = 30_000;
  expect(subject.enter()).toBe('probe');
  subject.good(1);
  expect(subject.enter()).toBe('open');
});

it('sends another probe when one was inconclusive', () => {
  const subject = suspension();
  strike(subject, 5);
  now = 10_000;
  subject.enter();
  subject.inconclusive();
  expect(subject.enter()).toBe('probe');
});

it('never waits longer than ten minutes', () => {
  const subject = suspension();
  strike(subject, 5);
  for (let n = 0; n < 20; n += 1) {
    now += 600_000;
    expect(subject.enter()).toBe('probe');
    subject.guilty();
  }
  expect(subject.remainingMs).toBe(600_000);
});

it('begins with the short cool-down again for code that has been good since', () => {
  const subject = suspension();
  strike(subject, 5);
  now = 10_000;
  subject.enter();
  subject.good(1);
  subject.good(100);
  strike(subject, 5);
  expect(subject.remainingMs).toBe(10_000);
});
