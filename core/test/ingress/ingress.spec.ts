import { Ingress, partitionOf, type Origin } from '../../src/ingress/ingress.ts';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { SwitchyardError } from '../../src/errors.ts';
import type { EventLog, LogEvent } from '../../src/log/event-log.ts';
import { parseExact } from '../../src/event/json.ts';
import { aProject, SOURCE } from '../support/events.ts';
import { aFolder } from '../support/folder.ts';
import { recordingLogger } from '../support/logger.ts';

describe('ingress', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let log: EmbeddedLog;
  let ingress: Ingress;
  let origin: Origin;
  const limits = { maxBatch: 10, maxEventBytes: 2_000 };
  const sender = { ip: '198.51.100.1', userAgent: 'test-agent' };
  const at = Date.parse('2026-03-01T12:00:00Z');

  const openLog = (): Promise<EmbeddedLog> => EmbeddedLog.open({ directory: folder.path, logger: recordingLogger() });
  const accept = (...drafts: readonly unknown[]) => ingress.accept(origin, drafts, sender);
  const stored = async ({ project, partitions }: Origin = origin): Promise<readonly LogEvent[]> => {
    const reads = await Promise.all(
      Array.from({ length: partitions }, (_, index) => log.read({ project, index }, 0, 1000)),
    );
    return reads.flatMap(({ events }) => events);
  };
  const idsOf = (results: Awaited<ReturnType<typeof accept>>): readonly string[] =>
    results.map((result) => (result.ok ? result.id : result.error.code));

  beforeEach(async () => {
    folder = await aFolder();
    log = await openLog();
    ingress = new Ingress(log, limits, () => at);
    origin = { id: SOURCE, type: 'http', project: aProject(), partitions: 4 };
  });
  afterEach(async () => {
    await log.close();
    await folder.remove();
  });

  test('stamps an event and stores it before it answers', async () => {
    const [result] = await accept({
      event_name: 'signup',
      user_id: 'u1',
      timestamp: '2024-01-30T10:00:00+02:00',
      metadata: { plan: 'pro' },
    });
    const [only] = await stored();
    expect(only?.source).toBe(SOURCE);
    expect(only?.event).toEqual({
      id: result?.ok === true ? result.id : '',
      event_name: 'signup',
      user_id: 'u1',
      timestamp: '2024-01-30T10:00:00+02:00',
      metadata: { plan: 'pro' },
      received_at: '2026-03-01T12:00:00.000Z',
      context: { ip_address: '198.51.100.1', user_agent: 'test-agent' },
    });
  });

  test('answers in the order of the drafts, over all partitions; invalid ones hurt no neighbour', async () => {
    const drafts = Array.from({ length: 10 }, (_, index) =>
      index % 3 === 1 ? { event_name: 7 } : { event_name: `e${index}`, user_id: `user-${index}` },
    );
    const ids = idsOf(await accept(...drafts));
    const byId = new Map((await stored()).map(({ event }) => [event.id, event.event_name]));
    expect(ids.map((id) => byId.get(id) ?? id)).toEqual([
      'e0',
      'EVENT_INVALID',
      'e2',
      'e3',
      'EVENT_INVALID',
      'e5',
      'e6',
      'EVENT_INVALID',
      'e8',
      'e9',
    ]);
    expect(byId.size).toBe(7);
  });

  test('says of each invalid event what is wrong', async () => {
    const results = await accept(
      null,
      [],
      {},
      { event_name: 'a', extra: 1 },
      { event_name: 'a', metadata: { deep: { n: Number.NaN } } },
      { event_name: 'a\u0000' },
      { event_name: 'a', metadata: { big: 1n } },
    );
    expect(results.map((result) => (result.ok ? null : result.error.message))).toEqual([
      'An event is a JSON object.',
      'An event is a JSON object.',
      '"event_name" must be a string of 1 to 200 characters.',
      'Unknown field "extra": put data of your own under "metadata".',
      '"metadata.deep.n" is NaN, which JSON cannot hold.',
      '"event_name" holds a NUL character, which cannot be stored.',
      '"metadata.big" is a bigint, which JSON cannot hold.',
    ]);
    expect(await stored()).toEqual([]);
  });

  test('takes a named event once: in one call, in several side by side, and after a restart', async () => {
    const draft = { event_id: 'order-1', event_name: 'ordered', user_id: 'u1' };
    const [first, second] = idsOf(await accept(draft, draft));
    expect(second).toBe(first);
    await log.close();
    log = await openLog();
    ingress = new Ingress(log, limits, () => at);
    const answers = await Promise.all([
      accept(draft),
      accept({ ...draft, metadata: { changed: true } }),
      accept({ ...draft, user_id: 'u2' }),
    ]);
    expect(answers.map((answer) => idsOf(answer)[0])).toEqual([first, first, first]);
    expect((await stored()).map(({ event }) => [event.id, event.metadata])).toEqual([[first, {}]]);
  });

  test('gives the same name another id in another project', async () => {
    const other = { ...origin, project: aProject() };
    const draft = { event_id: 'order-1', event_name: 'ordered' };
    const [mine] = idsOf(await accept(draft));
    const [theirs] = idsOf(await ingress.accept(other, [draft], sender));
    expect(theirs).not.toBe(mine);
    expect((await stored(other)).map(({ event }) => event.id)).toEqual([theirs]);
    expect((await stored()).map(({ event }) => event.id)).toEqual([mine]);
  });

  test('takes events that nobody named as often as they come', async () => {
    const ids = idsOf(await accept({ event_name: 'a' }, { event_name: 'a' }));
    expect(new Set(ids).size).toBe(2);
    expect(await stored()).toHaveLength(2);
  });

  test('takes a user_id that is null, and one that is not there, as nobody', async () => {
    await accept({ event_name: 'a', user_id: null }, { event_name: 'a' });
    expect((await stored()).map(({ event }) => event.user_id)).toEqual([null, null]);
  });

  test('merges what the client says of its user over what the connection says', async () => {
    await accept({ event_name: 'a', context: { ip_address: '2001:db8::7', page: { url: '/pricing' } } });
    await ingress.accept(origin, [{ event_name: 'b' }], { ip: null, userAgent: null });
    const contexts = new Map((await stored()).map(({ event }) => [event.event_name, event.context]));
    expect(contexts.get('a')).toEqual({
      ip_address: '2001:db8::7',
      user_agent: 'test-agent',
      page: { url: '/pricing' },
    });
    expect(contexts.get('b')).toEqual({ ip_address: null, user_agent: null });
  });

  test('keeps the events of one user in one partition, in their order, and spreads the others', async () => {
    for (let round = 0; round < 5; round += 1)
      await accept(...Array.from({ length: 8 }, (_, user) => ({ event_name: `${round}`, user_id: `user-${user}` })));
    const places = new Map<string, Set<number>>();
    for (let index = 0; index < 4; index += 1) {
      const names = new Map<string, string[]>();
      for (const { event } of (await log.read({ project: origin.project, index }, 0, 1000)).events) {
        const user = event.user_id ?? '';
        places.set(user, (places.get(user) ?? new Set()).add(index));
        names.set(user, [...(names.get(user) ?? []), event.event_name]);
      }
      for (const order of names.values()) expect(order).toEqual(['0', '1', '2', '3', '4']);
    }
    expect([...places.values()].map(({ size }) => size)).toEqual(Array.from({ length: 8 }, () => 1));
    expect(new Set([...places.values()].flatMap((set) => [...set])).size).toBeGreaterThan(1);
  });

  test('never changes where a key lives: offsets and order hang on it', () => {
    expect(['u1', 'user-2', 'Zoë', ''].map((user) => partitionOf(user, 'id', 16))).toEqual([6, 14, 10, 0]);
    expect(partitionOf(null, 'u1', 16)).toBe(6);
  });

  test('refuses a batch of too many as a whole', async () => {
    await expect(accept(...Array.from({ length: 11 }, () => ({ event_name: 'a' })))).rejects.toMatchObject({
      code: 'BATCH_TOO_LARGE',
      status: 413,
      message: expect.stringContaining('at most 10 events, this one has 11') as string,
    });
    expect(await stored()).toEqual([]);
    await expect(accept()).resolves.toEqual([]);
  });

  test('refuses an event that is too large by itself, counted in bytes', async () => {
    const of = (text: string) => ({ event_name: 'a', metadata: { text } });
    const spare =
      limits.maxEventBytes -
      Buffer.byteLength(
        JSON.stringify({
          ...of(''),
          id: aProject(),
          user_id: null,
          timestamp: new Date(at).toISOString(),
          received_at: new Date(at).toISOString(),
          context: { ip_address: sender.ip, user_agent: sender.userAgent },
        }),
      );
    expect(
      idsOf(
        await accept(of('x'.repeat(spare + 1)), of('é'.repeat(Math.ceil((spare + 1) / 2))), of('x'.repeat(spare))),
      ).map((id) => id.slice(0, 15)),
    ).toEqual(['EVENT_TOO_LARGE', 'EVENT_TOO_LARGE', expect.stringMatching(/^[0-9a-f-]{15}$/)]);
    expect(await stored()).toHaveLength(1);
  });

  test('stores the digits that were posted', async () => {
    await accept({
      event_name: 'a',
      metadata: parseExact('{"n":12345678901234567890,"m":[0.1234567890123456789,-0]}'),
    });
    for (const look of [
      (): Promise<void> => Promise.resolve(),
      async (): Promise<void> => {
        await log.close();
        log = await openLog();
      },
    ]) {
      await look();
      expect(JSON.stringify((await stored())[0]?.event.metadata)).toBe(
        '{"n":12345678901234567890,"m":[0.1234567890123456789,0]}',
      );
    }
  });

  test('gives readers what was stored, whatever the source does with its draft later', async () => {
    const metadata = { list: [1], when: undefined };
    await accept({ event_name: 'a', metadata });
    metadata.list.push(2);
    const before = (await stored())[0]?.event;
    await log.close();
    log = await openLog();
    expect(before).toStrictEqual((await stored())[0]?.event);
    expect(before?.metadata).toStrictEqual({ list: [1] });
  });

  test.each(['LOG_UNAVAILABLE', 'OVERLOADED'] as const)(
    'passes %s on, also when only one partition cannot be written, and waits for the others',
    async (code) => {
      let pending = 0;
      const failing: EventLog = Object.create(log, {
        append: {
          value: async (
            { project, index }: { project: string; index: number },
            records: Parameters<EventLog['append']>[1],
          ) => {
            if (index === 0) throw new SwitchyardError(code, 'no');
            pending += 1;
            await log.append({ project, index }, records);
            pending -= 1;
          },
        },
      }) as EventLog;
      const drafts = Array.from({ length: 10 }, (_, user) => ({ event_name: 'a', user_id: `user-${user}` }));
      await expect(new Ingress(failing, limits).accept(origin, drafts, sender)).rejects.toMatchObject({
        code,
        status: 503,
      });
      expect(pending).toBe(0);
    },
  );

  test('refuses everything once the log is closed', async () => {
    await log.close();
    await expect(accept({ event_name: 'a' })).rejects.toMatchObject({ code: 'STOPPING', status: 503 });
    await expect(accept({ event_name: 7 })).resolves.toMatchObject([{ ok: false }]);
    log = await openLog();
  });
});
