import { aBatch, anEvent, testContext, testPlugin } from '@switchyard/plugin-sdk/testing';
import log from '../src/index.ts';

testPlugin(log, {
  wrongConfigs: [{ level: 'error' }, { fields: [] }, { fields: ['password'] }, { fields: ['id', 'id'] }],
});

describe('the log destination', () => {
  const signal = new AbortController().signal;

  it('writes one line for each event, with its id and its name', async () => {
    const context = testContext();
    const events = [anEvent({ event_name: 'signup' }), anEvent({ event_name: 'login' })];
    await log.create({}, context).deliver(aBatch(events), signal);
    expect(context.recorded.logs).toEqual(
      events.map(({ id, event_name }) => ({ level: 'info', message: 'event', fields: { id, event_name } })),
    );
  });

  it('writes the fields that were asked for, at the level that was asked for', async () => {
    const context = testContext();
    const event = anEvent({ user_id: 'u-7', metadata: { plan: 'pro' } });
    await log.create({ level: 'debug', fields: ['user_id', 'metadata'] }, context).deliver(aBatch([event]), signal);
    expect(context.recorded.logs).toEqual([
      { level: 'debug', message: 'event', fields: { user_id: 'u-7', metadata: { plan: 'pro' } } },
    ]);
  });

  it('writes nothing once it is aborted', async () => {
    const context = testContext();
    const reason = new Error('stop');
    const delivery = log.create({}, context).deliver(aBatch([anEvent()]), AbortSignal.abort(reason));
    await expect(delivery).rejects.toBe(reason);
    expect(context.recorded.logs).toEqual([]);
  });
});
