import { open } from 'lmdb';
import { join } from 'node:path';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { parseExact } from '../../src/event/json.ts';
import type { Event } from '@switchyard/plugin-sdk';
import { SOURCE, aNamedRecord, aProject, aRecord, anEvent } from '../support/events.ts';
import { aFolder } from '../support/folder.ts';
import { recordingLogger } from '../support/logger.ts';

describe('the embedded log', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  let log: EmbeddedLog;
  let commits: { readonly seconds: number; readonly events: number }[];
  let damaged: number;
  const project = aProject();
  const partition = { project, index: 0 };

  const reopen = async (): Promise<void> => {
    await log.close();
    log = await openLog();
  };
  const openLog = (): Promise<EmbeddedLog> =>
    EmbeddedLog.open({
      directory: folder.path,
      logger: recordingLogger(),
      onCommit: (seconds, events) => void commits.push({ seconds, events }),
      onDamage: () => void (damaged += 1),
    });

  beforeEach(async () => {
    folder = await aFolder();
    commits = [];
    damaged = 0;
    log = await openLog();
  });
  afterEach(async () => {
    await log.close();
    await folder.remove();
  });

  test('gives back what was appended, in order, with offsets from 0', async () => {
    const records = [aRecord({ event_name: 'a' }), aRecord({ event_name: 'b' })];
    await log.append(partition, records);
    await log.append(partition, [aRecord({ event_name: 'c' })]);
    const { events, next } = await log.read(partition, 0, 10);
    expect(events.map(({ offset, source, event }) => [offset, source, event.event_name])).toEqual([
      [0, SOURCE, 'a'],
      [1, SOURCE, 'b'],
      [2, SOURCE, 'c'],
    ]);
    expect(next).toBe(3);
    expect(log.next(partition)).toBe(3);
  });

  test('keeps events, offsets, totals and its incarnation over a restart', async () => {
    const records = Array.from({ length: 5 }, () => aRecord());
    await log.append(partition, records);
    const { incarnation } = log;
    await reopen();
    expect(log.incarnation).toBe(incarnation);
    expect((await log.read(partition, 0, 10)).events.map(({ event }) => event)).toEqual(
      records.map(({ event }) => event),
    );
    await log.append(partition, [aRecord()]);
    expect(log.next(partition)).toBe(6);
    expect(log.count(partition, 0, new Set([SOURCE]))).toBe(6);
  });

  test('is read from the middle of an entry, and no further than asked', async () => {
    await log.append(
      partition,
      Array.from({ length: 10 }, (_, index) => aRecord({ event_name: `e${index}` })),
    );
    const names = async (from: number, most: number): Promise<string[]> =>
      (await log.read(partition, from, most)).events.map(({ event }) => event.event_name);
    expect(await names(3, 2)).toEqual(['e3', 'e4']);
    await reopen();
    expect(await names(3, 2)).toEqual(['e3', 'e4']);
    expect(await names(9, 5)).toEqual(['e9']);
    expect(await log.read(partition, 10, 5)).toEqual({ events: [], next: 10 });
  });

  test('makes the requests of one moment durable in one commit', async () => {
    await Promise.all(
      Array.from({ length: 200 }, (_, index) => log.append({ project, index: index % 4 }, [aRecord()])),
    );
    expect(commits.reduce((sum, { events }) => sum + events, 0)).toBe(200);
    expect(commits.length).toBeLessThanOrEqual(2);
  });

  test('splits what is too much for one entry, without a gap', async () => {
    await log.append(
      partition,
      Array.from({ length: 2_500 }, () => aRecord()),
    );
    await reopen();
    const { events, next } = await log.read(partition, 0, 5_000);
    expect(events.map(({ offset }) => offset)).toEqual(Array.from({ length: 2_500 }, (_, index) => index));
    expect(next).toBe(2_500);
  });

  test('takes an event that its client named once: at once, side by side, and after a restart', async () => {
    const twice = (): Promise<void> =>
      log.append(partition, [aNamedRecord(project, 'order-1'), aNamedRecord(project, 'order-1')]);
    await Promise.all([twice(), twice()]);
    await reopen();
    await twice();
    // The partition of a repeat can be another one: another user_id.
    await log.append({ project, index: 1 }, [aNamedRecord(project, 'order-1')]);
    expect(log.next(partition)).toBe(1);
    expect(log.next({ project, index: 1 })).toBe(0);
    const other = aProject();
    await log.append({ project: other, index: 0 }, [aNamedRecord(other, 'order-1')]);
    expect(log.next({ project: other, index: 0 })).toBe(1);
  });

  test('counts events behind an offset by source', async () => {
    await log.append(partition, [aRecord({}, 'a'), aRecord({}, 'b'), aRecord({}, 'a')]);
    await log.append(partition, [aRecord({}, 'b'), aRecord({}, 'b')]);
    const countOf = (from: number, ...sources: string[]): number => log.count(partition, from, new Set(sources));
    for (const look of [(): Promise<void> => Promise.resolve(), reopen]) {
      await look();
      expect([0, 1, 2, 3, 4, 5].map((from) => countOf(from, 'a'))).toEqual([2, 1, 1, 0, 0, 0]);
      expect([0, 1, 2, 3, 4, 5].map((from) => countOf(from, 'b'))).toEqual([3, 3, 2, 2, 1, 0]);
      expect(countOf(0, 'a', 'b')).toBe(5);
      expect(countOf(0, 'c')).toBe(0);
    }
  });

  test('keeps the digits of numbers that a double cannot hold', async () => {
    const metadata = parseExact(
      '{"big":12345678901234567890,"fine":0.1234567890123456789,"small":1}',
    ) as Event['metadata'];
    await log.append(partition, [aRecord({ metadata })]);
    await reopen();
    const { events } = await log.read(partition, 0, 1);
    expect(JSON.stringify(events[0]?.event.metadata)).toBe(
      '{"big":12345678901234567890,"fine":0.1234567890123456789,"small":1}',
    );
  });

  test('gives out frozen events, the same object to every reader', async () => {
    await log.append(partition, [aRecord({ metadata: { deep: { list: [1] } } })]);
    const [first] = (await log.read(partition, 0, 1)).events;
    const [second] = (await log.read(partition, 0, 1)).events;
    expect(first?.event).toBe(second?.event);
    const list = (first?.event.metadata['deep'] as { list: number[] } | undefined)?.list;
    expect(list).toEqual([1]);
    expect(() => list?.push(2)).toThrow(TypeError);
  });

  test('skips a damaged entry, says so, and reads on behind it', async () => {
    for (const name of ['a', 'b', 'c']) await log.append(partition, [aRecord({ event_name: name })]);
    await log.close();
    await flipByte(folder.path, [project, 0, 1]);
    log = await openLog();
    const first = await log.read(partition, 0, 10);
    expect(first.events.map(({ event }) => event.event_name)).toEqual(['a', 'c']);
    expect(first.next).toBe(3);
    expect(damaged).toBe(1);
    expect(log.count(partition, 2, new Set([SOURCE]))).toBe(1);
  });

  test('never uses the offsets of a damaged last entry again', async () => {
    await log.append(partition, [aRecord()]);
    await log.append(partition, [aRecord(), aRecord()]);
    await log.close();
    await flipByte(folder.path, [project, 0, 1]);
    log = await openLog();
    expect(log.next(partition)).toBeGreaterThanOrEqual(3);
    await log.append(partition, [aRecord({ event_name: 'after' })]);
    const { events } = await log.read(partition, 0, 10);
    expect(events.at(-1)?.event.event_name).toBe('after');
  });

  test('trims what lies before an offset and is old, and goes on counting where it was', async () => {
    for (let index = 0; index < 4; index += 1)
      await log.append(partition, [aRecord(), aNamedRecord(project, `n${index}`)]);
    expect(await log.trim(partition, 8, 0)).toBe(0);
    expect(await log.trim(partition, 5, Date.now() + 1)).toBe(4);
    expect((await log.read(partition, 0, 10)).events.map(({ offset }) => offset)).toEqual([4, 5, 6, 7]);
    // The last entry stays, whatever is asked: it carries the offset.
    expect(await log.trim(partition, 8, Date.now() + 1)).toBe(2);
    await reopen();
    expect(log.next(partition)).toBe(8);
    await log.append(partition, [aNamedRecord(project, 'n3')]);
    expect(log.next(partition)).toBe(8);
    await log.append(partition, [aNamedRecord(project, 'n0')]);
    expect(log.next(partition)).toBe(9);
  });

  test('never uses offsets again when what lies before a damaged last entry is trimmed', async () => {
    await log.append(partition, [aRecord()]);
    await log.append(partition, [aRecord()]);
    await log.append(partition, [aRecord()]);
    await log.close();
    await flipByte(folder.path, [project, 0, 2]);
    log = await openLog();
    const next = log.next(partition);
    expect(await log.trim(partition, next, Date.now() + 1)).toBe(1);
    await reopen();
    expect(log.next(partition)).toBe(next);
    expect(log.count(partition, 1, new Set([SOURCE]))).toBe(1);
  });

  test('acknowledges what is durable though a watcher throws, and tells the others', async () => {
    let told = 0;
    log.watch(partition, () => {
      throw new Error('a bug');
    });
    log.watch(partition, () => void (told += 1));
    await log.append(partition, [aRecord()]);
    await log.append(partition, [aRecord()]);
    expect(told).toBe(2);
    expect(log.next(partition)).toBe(2);
  });

  test('tells its watchers after an append is durable', async () => {
    let told = -1;
    const unwatch = log.watch(partition, () => void (told = log.next(partition)));
    await log.append(partition, [aRecord()]);
    expect(told).toBe(1);
    unwatch();
    await log.append(partition, [aRecord()]);
    expect(told).toBe(1);
  });

  test('refuses more than it may hold in memory, and takes events again afterwards', async () => {
    const text = 'x'.repeat(1024 * 1024);
    const event = anEvent({ metadata: { text } });
    const record = { event, source: SOURCE, text: JSON.stringify(event), named: false };
    const results = await Promise.allSettled(Array.from({ length: 70 }, () => log.append(partition, [record])));
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'OVERLOADED', status: 503 });
    expect(log.next(partition)).toBe(70 - refused.length);
    await log.append(partition, [aRecord()]);
  }, 30_000);

  test('answers 503 once it is closing', async () => {
    await log.close();
    await expect(log.append(partition, [aRecord()])).rejects.toMatchObject({ code: 'STOPPING', status: 503 });
    log = await openLog();
  });
});

async function flipByte(directory: string, key: [string, number, number]): Promise<void> {
  const root = open({ path: join(directory, 'log'), encoding: 'binary', maxDbs: 4 });
  const entries = root.openDB<Buffer, [string, number, number]>({ name: 'entries', encoding: 'binary' });
  const entry = Buffer.from(entries.get(key) ?? Buffer.alloc(0));
  const at = entry.length - 5;
  entry.writeUInt8(entry.readUInt8(at) ^ 1, at);
  await entries.put(key, entry);
  await root.close();
}
