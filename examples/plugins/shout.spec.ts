import { aBatch, anEvent, testContext, testPlugin } from '@switchyard/plugin-sdk/testing';
import shout from './shout.ts';

testPlugin(shout);

test('the shout destination writes the name of each event in capitals', async () => {
  const context = testContext();
  await shout.create({}, context).deliver(aBatch([anEvent({ event_name: 'signup' })]), new AbortController().signal);
  expect(context.recorded.logs).toEqual([{ level: 'info', message: 'SIGNUP', fields: {} }]);
});
