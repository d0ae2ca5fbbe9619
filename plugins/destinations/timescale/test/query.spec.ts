import { randomUUID } from 'node:crypto';
import type { Destination, Event, EventQuery } from '@switchyard/plugin-sdk';
import { testContext } from '@switchyard/plugin-sdk/testing';
import { databases } from '@switchyard/test-support/databases';
import { anEvent, anId, replayOf } from '@switchyard/test-support/events';
import { refusing } from '@switchyard/test-support/faults';
import { sql, type Kysely } from 'kysely';
import timescale from '../src/index.ts';

const never = new AbortController().signal;
// TypeScript's libraries do not know it yet.
const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => string };

describe.each(databases)('what the archive answers on $name', ({ open }) => {
  let db: Kysely<unknown>;
  let close: () => Promise<void>;
  let project: string;

  beforeAll(async () => {
    ({ db, close } = await open());
  }, 60_000);
  afterAll(() => close());
  beforeEach(() => {
    project = randomUUID();
  });

  const archive = (database = db, of = project): Destination =>
    timescale.create({}, testContext({ database, project: { id: of } }));
  const store = async (...events: readonly Event[]): Promise<void> => {
    await archive().deliver(replayOf(...events), never);
  };
  const ask = async (query: Partial<EventQuery> = {}) => {
    const answer = await archive().query?.({ limit: 100, ...query }, never);
    if (answer === undefined) throw new Error('the archive does not answer queries');
    return answer;
  };
  const idsOf = async (query: Partial<EventQuery> = {}): Promise<string[]> =>
    (await ask(query)).items.map(({ id }) => id);

  it('gives an event back as it was posted', async () => {
    const event = anEvent({
      event_name: 'paid 💶',
      timestamp: '2024-05-01T12:00:00.123456+02:00',
      metadata: { ключ: '值\r\n\t"\\', list: [1, 1.5, -0.25, 1e-7, true, null], nested: { deep: {} } },
      context: { ip_address: '2001:db8::1', user_agent: 'Mozilla/5.0', locale: 'de-CH', page: { path: '/' } },
    });
    await store(event);
    const { items, next_cursor } = await ask();
    expect(items).toEqual([{ ...event, timestamp: '2024-05-01T10:00:00.123456Z' }]);
    expect(next_cursor).toBeNull();
  });

  it('keeps what is absent absent', async () => {
    const event = anEvent({ user_id: null, metadata: {}, context: { ip_address: null, user_agent: null } });
    await store(event);
    expect((await ask()).items).toEqual([event]);
  });

  it('keeps the digits of numbers that a double cannot hold, and only of those', async () => {
    const digits =
      '{"big":12345678901234567890,"sum":1.0000000000000000001,"deep":[{"id":-9007199254740993}],"text":"12345678901234567890"}';
    const exact = '{"max":9007199254740991,"huge":1e+308,"tiny":1e-300,"plain":0.1,"round":123456789012345680000}';
    const asPosted = (text: string) =>
      JSON.parse(text, ((_key: string, value: unknown, { source }: { source?: string }) =>
        typeof value === 'number' && source !== undefined ? rawJSON(source) : value) as (
        key: string,
        value: unknown,
      ) => unknown) as Event['metadata'];
    const [first, second] = [anEvent({ metadata: asPosted(digits) }), anEvent({ metadata: asPosted(exact) })];
    await store(first, second);
    const metadataOf = async (id: string) =>
      JSON.stringify((await ask({ id })).items[0]?.metadata, (_key, value: unknown) => value);
    const sorted = (text: string) => text.slice(1, -1).split(',').sort();
    expect(sorted(await metadataOf(first.id))).toEqual(sorted(digits));
    expect(sorted(await metadataOf(second.id))).toEqual(sorted(exact));
    expect((await ask({ id: second.id })).items[0]?.metadata['huge']).toBe(1e308);
  });

  it('lists newest first and cuts pages that neither repeat nor lose an event while others are stored', async () => {
    const events = Array.from({ length: 25 }, (_, at) =>
      anEvent({
        id: anId(at % 3 === 0 ? 5 : 7),
        timestamp: `2024-05-01T10:00:${String(Math.floor(at / 4)).padStart(2, '0')}.000Z`,
      }),
    );
    await store(...events);
    const expected = [...events]
      .sort((a, b) => (a.timestamp === b.timestamp ? (a.id < b.id ? 1 : -1) : a.timestamp < b.timestamp ? 1 : -1))
      .map(({ id }) => id);
    const seen: string[] = [];
    let cursor: string | null | undefined;
    do {
      const page = await ask({ limit: 4, ...(cursor == null ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next_cursor;
      await store(anEvent({ timestamp: '2024-05-02T00:00:00.000Z' }));
    } while (cursor !== null);
    expect(seen).toEqual(expected);
  });

  it('filters by id, name, user and time, from inclusive and to exclusive', async () => {
    const early = anEvent({ timestamp: '2024-05-01T10:00:00.000Z', event_name: 'a' });
    const middle = anEvent({ timestamp: '2024-05-01T11:00:00.000Z', event_name: 'b', user_id: 'u2' });
    const late = anEvent({ timestamp: '2024-05-01T12:00:00.000Z', event_name: 'a', user_id: 'u2' });
    await store(early, middle, late);
    expect(await idsOf({ id: middle.id })).toEqual([middle.id]);
    expect(await idsOf({ event_name: 'a' })).toEqual([late.id, early.id]);
    expect(await idsOf({ user_id: 'u2' })).toEqual([late.id, middle.id]);
    expect(await idsOf({ from: '2024-05-01T11:00:00Z', to: '2024-05-01T14:00:00+02:00' })).toEqual([middle.id]);
    expect(await idsOf({ event_name: 'a', user_id: 'u2', from: '2024-05-01T00:00:00Z' })).toEqual([late.id]);
  });

  it('shows a project nothing of another', async () => {
    const event = anEvent();
    await store(event);
    const other = archive(db, randomUUID());
    expect(await other.query?.({ limit: 10 }, never)).toEqual({ items: [], next_cursor: null });
    expect(await other.query?.({ limit: 10, id: event.id }, never)).toEqual({ items: [], next_cursor: null });
    const { next_cursor: cursor } = await (async () => {
      await store(anEvent());
      return ask({ limit: 1 });
    })();
    expect(await other.query?.({ limit: 10, cursor: cursor ?? '' }, never)).toEqual({ items: [], next_cursor: null });
  });

  const attacks = [
    `' or '1'='1`,
    `'; drop table events; --`,
    `") or true --`,
    `\\'; select pg_sleep(5); --`,
    `$1`,
    `%`,
    `_`,
    `x' union select * from pg_user --`,
  ];
  it.each(attacks)('takes %s for a value, in every filter', async (attack) => {
    await store(anEvent(), anEvent({ event_name: attack, user_id: attack }));
    expect(await idsOf({ id: attack })).toEqual([]);
    expect(await idsOf({ event_name: attack })).toHaveLength(1);
    expect(await idsOf({ user_id: attack })).toHaveLength(1);
    await expect(ask({ from: attack })).rejects.toMatchObject({ kind: 'permanent', code: 'QUERY_INVALID' });
    await expect(ask({ to: attack })).rejects.toMatchObject({ kind: 'permanent', code: 'QUERY_INVALID' });
    await expect(ask({ cursor: attack })).rejects.toMatchObject({ kind: 'permanent', code: 'CURSOR_INVALID' });
    expect(await idsOf()).toHaveLength(2);
  });

  it.each([
    ['nothing', ''],
    ['noise', 'AAAA'],
    ['another shape', Buffer.from('{"at":1}').toString('base64url')],
    ['a day that does not exist', Buffer.from(`2024-02-31T00:00:00.000000Z ${anId()}`).toString('base64url')],
    ['a month that does not exist', Buffer.from(`2024-13-01T00:00:00.000000Z ${anId()}`).toString('base64url')],
    ['something behind the place', Buffer.from(`2024-02-01T00:00:00.000000Z ${anId()} or true`).toString('base64url')],
  ])('refuses a cursor that holds %s', async (_what, cursor) => {
    await expect(ask({ cursor })).rejects.toMatchObject({ kind: 'permanent', code: 'CURSOR_INVALID' });
  });

  it('says that a filter with a NUL character cannot be asked', async () => {
    await expect(ask({ event_name: 'a\u0000' })).rejects.toMatchObject({ kind: 'permanent', code: 'QUERY_INVALID' });
  });

  it('tells an outage as retryable, and an abort by its reason', async () => {
    const away = archive(refusing(db, 'ECONNREFUSED', 'connect ECONNREFUSED'));
    await expect(away.query?.({ limit: 1 }, never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'DATABASE_UNAVAILABLE',
    });
    const reason = new Error('the client is gone');
    await expect(archive().query?.({ limit: 1 }, AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('checks by reading the table, and says what it found', async () => {
    expect(await archive().check(never)).toEqual({ ok: true, message: expect.stringContaining('no event') });
    await store(anEvent());
    expect(await archive().check(never)).toEqual({
      ok: true,
      message: expect.stringContaining('2024-05-01T10:00:00Z'),
    });
    expect(await archive(refusing(db, 'ECONNREFUSED', 'connect ECONNREFUSED')).check(never)).toEqual({
      ok: false,
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('does not depend on the time zone or date style of the session', async () => {
    const event = anEvent({ timestamp: '2024-12-31T23:30:00.000Z' });
    await store(event);
    const inAnotherSession = async (database: Kysely<unknown>) => {
      await sql`set time zone 'Asia/Kathmandu'`.execute(database);
      await sql`set datestyle = 'German, DMY'`.execute(database);
      const page = await archive(database).query?.({ limit: 1 }, never);
      await sql`reset time zone`.execute(database);
      await sql`reset datestyle`.execute(database);
      return page?.items;
    };
    expect(await db.connection().execute(inAnotherSession)).toEqual([event]);
  });
});
