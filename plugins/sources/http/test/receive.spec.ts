import type { DraftResult, Json, Receipt, SourceReply } from '@switchyard/plugin-sdk';
import { aRequest, testContext } from '@switchyard/plugin-sdk/testing';
import http from '../src/index.ts';

const receive = (route: 'event' | 'batch', body: Json | undefined): Receipt => {
  const source = http.create({}, testContext());
  if (!('receive' in source)) throw new Error('the http source is not a push source');
  return source.receive(aRequest({ route, body }));
};
const replyTo = (receipt: Receipt, results: readonly DraftResult[]): SourceReply => {
  if (receipt.action !== 'accept') throw new Error(`the receipt is ${receipt.action}`);
  return receipt.reply(results);
};
const id = '018f0000-0000-7000-8000-000000000001';
const wrong = { code: 'EVENT_INVALID', message: '"event_name" must be a string.' };

describe('an event', () => {
  it('is handed on as it was posted, whatever it holds: ingress judges it', () => {
    const body = { event_name: 'signup', nonsense: true };
    expect(receive('event', body)).toMatchObject({ action: 'accept', drafts: [body] });
  });

  it('is answered with its id once it is stored', () => {
    expect(replyTo(receive('event', {}), [{ ok: true, id }])).toEqual({ status: 202, body: { id } });
  });

  it.each([
    ['EVENT_INVALID', 400],
    ['EVENT_TOO_LARGE', 413],
  ])('that is refused with %s is answered with %i and the reason', (code, status) => {
    const error = { code, message: 'why' };
    expect(replyTo(receive('event', {}), [{ ok: false, error }])).toEqual({ status, body: { error } });
  });

  it.each([[undefined], [null], ['text'], [1], [true]])('is not what a body of %j is', (body) => {
    expect(receive('event', body)).toMatchObject({
      action: 'reject',
      status: 400,
      code: 'EVENT_INVALID',
      message: expect.stringContaining('event_name'),
    });
  });

  it('is not an array, and the answer says where arrays go', () => {
    expect(receive('event', [{}])).toMatchObject({
      action: 'reject',
      status: 400,
      message: expect.stringContaining('/api/v1/events/batch'),
    });
  });
});

describe('a batch', () => {
  const events = [{ event_name: 'a' }, null, { event_name: 'b' }];

  it.each([
    ['in an object', { events }],
    ['bare', events],
  ])('is taken %s, every entry in its place', (_how, body) => {
    expect(receive('batch', body)).toMatchObject({ action: 'accept', drafts: events });
  });

  it('is answered event by event', () => {
    const results: DraftResult[] = [
      { ok: true, id },
      { ok: false, error: wrong },
      { ok: true, id },
    ];
    expect(replyTo(receive('batch', events), results)).toEqual({
      status: 202,
      body: {
        accepted: 2,
        rejected: 1,
        results: [
          { index: 0, id },
          { index: 1, error: wrong },
          { index: 2, id },
        ],
      },
    });
  });

  it('of which everything is refused says so in every entry', () => {
    const reply = replyTo(receive('batch', [null]), [{ ok: false, error: wrong }]);
    expect(reply).toEqual({ status: 202, body: { accepted: 0, rejected: 1, results: [{ index: 0, error: wrong }] } });
  });

  it.each([
    ['object', { events: [] }],
    ['array', []],
  ])('with no event, in an empty %s, is refused', (_how, body) => {
    expect(receive('batch', body)).toMatchObject({ action: 'reject', status: 400, code: 'BATCH_EMPTY' });
  });

  it.each([[undefined], [null], ['text'], [{}], [{ events: null }], [{ events: {} }], [{ event_name: 'signup' }]])(
    'is not what a body of %j is',
    (body) => {
      expect(receive('batch', body)).toMatchObject({
        action: 'reject',
        status: 400,
        code: 'BATCH_INVALID',
        message: expect.stringContaining('"events"'),
      });
    },
  );
});

describe('the API key', () => {
  const find = (authorization: string | undefined) =>
    http.credential(aRequest({ route: 'event', headers: { authorization } }));

  it.each(['Bearer sy_a_b', 'bearer sy_a_b', 'BEARER   sy_a_b '])('is found in "%s"', (header) => {
    expect(find(header)).toBe('sy_a_b');
  });

  it.each([undefined, '', 'Bearer', 'Bearer ', 'Basic c3lfYV9i', 'sy_a_b', 'Bearer sy_a_b other', 'XBearer sy_a_b'])(
    'is not found in %j',
    (header) => {
      expect(find(header)).toBeUndefined();
    },
  );
});
