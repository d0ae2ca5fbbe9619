import { aBatch, anEvent, answer, faultServer, testContext, testPlugin } from '@switchyard/plugin-sdk/testing';
import ntfy from '../src/index.ts';

testPlugin(ntfy, {
  http: { config: (url) => ({ url, token: 'tk_of_the_test' }) },
  wrongConfigs: [{}, { url: 'ntfy.sh/topic' }, { url: 'https://ntfy.sh/topic', text: '' }],
});

describe('the ntfy destination', () => {
  it('sends the text with the words of the event in it', async () => {
    const server = await faultServer(answer({ status: 200 }));
    const destination = ntfy.create({ url: server.url, text: '{user_id}: {event_name}, {other}' }, testContext());
    const event = anEvent({ event_name: 'signup', user_id: 'u-7' });
    await destination.deliver(aBatch([event]), new AbortController().signal);
    expect(server.received.map(({ body }) => body)).toEqual(['u-7: signup, {other}']);
    await server.close();
  });
});
