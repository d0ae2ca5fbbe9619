import { aRequest, testPlugin } from '@switchyard/plugin-sdk/testing';
import http from '../src/index.ts';

const headers = { authorization: 'Bearer sy_key_secret', 'content-type': 'application/json' };
const credential = 'sy_key_secret';
const event = { event_name: 'signup', user_id: 'user-1', metadata: { plan: 'pro' } };

testPlugin(http, {
  wrongConfigs: [{ path: '/elsewhere' }, null],
  samples: [
    { request: aRequest({ route: 'event', headers, body: event }), credential, receipt: 'accept' },
    {
      request: aRequest({ route: 'batch', headers, body: { events: [event, event, { event_name: '' }] } }),
      credential,
      receipt: 'accept',
    },
    { request: aRequest({ route: 'batch', headers, body: [event] }), credential, receipt: 'accept' },
    { request: aRequest({ route: 'event', headers, body: [event] }), credential, receipt: 'reject' },
    {
      request: aRequest({ route: 'batch', headers: {}, body: { events: [] } }),
      credential: undefined,
      receipt: 'reject',
    },
  ],
});
