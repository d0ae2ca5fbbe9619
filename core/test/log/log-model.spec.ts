import assert from 'node:assert/strict';
import fc from 'fast-check';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import type { LogRecord, Partition } from '../../src/log/event-log.ts';
import { aNamedRecord, aRecord } from '../support/events.ts';
import { aFolder } from '../support/folder.ts';
import { recordingLogger } from '../support/logger.ts';

const PROJECTS = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const;
const SOURCES = ['00000000-0000-4000-8000-0000000000aa', '00000000-0000-4000-8000-0000000000bb'] as const;

/** What the log is, as simple as it can be said. */
class Model {
  readonly partitions = new Map<
    string,
    { records: { record: LogRecord; offset: number; entry: number }[]; next: number }
  >();
  readonly named = new Set<string>();
  private entry = 0;

  of({ project, index }: Partition) {
    const key = `${project}/${index}`;
    let partition = this.partitions.get(key);
    if (partition === undefined) this.partitions.set(key, (partition = { records: [], next: 0 }));
    return partition;
  }

  append(partition: Partition, records: readonly LogRecord[]): void {
    const { records: kept } = this.of(partition);
    this.entry += 1;
    for (const record of records) {
      const name = `${partition.project}/${record.event.id}`;
      if (record.named && this.named.has(name)) continue;
      if (record.named) this.named.add(name);
      kept.push({ record, offset: this.of(partition).next, entry: this.entry });
      this.of(partition).next += 1;
    }
  }

  /** Whole entries that end at or before the offset; the last one always stays. */
  trim(partition: Partition, before: number): number {
    const state = this.of(partition);
    const last = state.records.at(-1)?.entry;
    const stays = state.records.find(({ offset, entry }) => offset >= before || entry === last)?.entry ?? Infinity;
    const doomed = state.records.filter(({ entry }) => entry < stays);
    for (const { record } of doomed) if (record.named) this.named.delete(`${partition.project}/${record.event.id}`);
    state.records = state.records.filter(({ entry }) => entry >= stays);
    return doomed.length;
  }
}

class Real {
  constructor(
    readonly directory: string,
    public log: EmbeddedLog,
  ) {}

  static open = (directory: string): Promise<EmbeddedLog> => EmbeddedLog.open({ directory, logger: recordingLogger() });
}

type Command = fc.AsyncCommand<Model, Real>;
const partition = fc.record({ project: fc.constantFrom(...PROJECTS), index: fc.nat(1) });
/** Beside offsets near the beginning, one that stands as far from the end. */
const place = fc.oneof(
  fc.nat(60),
  fc.integer({ min: -5, max: 5 }).map((fromEnd) => ({ fromEnd })),
);
type Place = number | { readonly fromEnd: number };
const resolve = (at: Place, next: number): number => Math.max(0, typeof at === 'number' ? at : next + at.fromEnd);
const shown = (value: unknown): string => JSON.stringify(value);

const command = (text: string, run: (model: Model, real: Real) => Promise<void>): Command => ({
  check: () => true,
  run,
  toString: () => text,
});

interface Spec {
  readonly name: number | null;
  readonly source: (typeof SOURCES)[number];
  readonly filler: number;
}
const recordSpec: fc.Arbitrary<Spec> = fc.record({
  name: fc.option(fc.nat(15)),
  source: fc.constantFrom(...SOURCES),
  filler: fc.constantFrom(0, 10, 3000),
});
const recordOf = (project: string, { name, source, filler }: Spec): LogRecord => {
  const fields = { metadata: { filler: 'é'.repeat(filler) } };
  return name === null ? aRecord(fields, source) : { ...aNamedRecord(project, `name-${name}`, fields), source };
};

const append = fc.tuple(partition, fc.array(recordSpec, { minLength: 1, maxLength: 12 })).map(([where, specs]) =>
  command(`append(${shown(where)}, ${shown(specs)})`, async (model, { log }) => {
    const records = specs.map((spec) => recordOf(where.project, spec));
    await log.append(where, records);
    model.append(where, records);
    assert.equal(log.next(where), model.of(where).next);
  }),
);
/** Several at once, each in a partition of its own project, so that the order of names is the order of the calls. */
const appendBeside = fc.array(fc.tuple(partition, recordSpec), { minLength: 2, maxLength: 6 }).map((calls) =>
  command(`appendBeside(${shown(calls)})`, async (model, { log }) => {
    const work = calls.map(([where, spec]) => ({ where, record: recordOf(where.project, spec) }));
    await Promise.all(work.map(({ where, record }) => log.append(where, [record])));
    // One turn, one commit: what goes to one partition is one entry.
    const byPartition = new Map<string, { where: Partition; records: LogRecord[] }>();
    for (const { where, record } of work) {
      const key = `${where.project}/${where.index}`;
      const name = `${where.project}/${record.event.id}`;
      const group = byPartition.get(key) ?? { where, records: [] };
      byPartition.set(key, group);
      if (record.named && model.named.has(name)) continue;
      if (record.named) model.named.add(name);
      group.records.push(record);
    }
    for (const { where, records } of byPartition.values()) {
      for (const { named, event } of records) if (named) model.named.delete(`${where.project}/${event.id}`);
      model.append(where, records);
    }
  }),
);
const read = fc.tuple(partition, place, fc.integer({ min: 1, max: 40 })).map(([where, at, most]) =>
  command(`read(${shown(where)}, ${shown(at)}, ${most})`, async (model, { log }) => {
    const state = model.of(where);
    const from = resolve(at, state.next);
    const expected = state.records.filter(({ offset }) => offset >= from).slice(0, most);
    const { events, next } = await log.read(where, from, most);
    assert.deepEqual(
      events.map(({ offset, source, event }) => ({ offset, source, event })),
      expected.map(({ offset, record }) => ({ offset, source: record.source, event: record.event })),
    );
    assert.equal(next, (expected.at(-1)?.offset ?? from - 1) + 1);
  }),
);
const readAll = partition.map((where) =>
  command(`readAll(${shown(where)})`, async (model, { log }) => {
    const ids: string[] = [];
    let from = 0;
    for (;;) {
      const { events, next } = await log.read(where, from, 7);
      if (next === from) break;
      ids.push(...events.map(({ event }) => event.id));
      from = next;
    }
    assert.deepEqual(
      ids,
      model.of(where).records.map(({ record }) => record.event.id),
    );
    assert.equal(from, model.of(where).next);
  }),
);
const count = fc.tuple(partition, place, fc.subarray([...SOURCES])).map(([where, at, sources]) =>
  command(`count(${shown(where)}, ${shown(at)}, ${shown(sources)})`, (model, { log }) => {
    const state = model.of(where);
    const from = resolve(at, state.next);
    const wanted = new Set<string>(sources);
    assert.equal(
      log.count(where, from, wanted),
      state.records.filter(({ offset, record }) => offset >= from && wanted.has(record.source)).length,
    );
    return Promise.resolve();
  }),
);
const trim = fc.tuple(partition, place).map(([where, at]) =>
  command(`trim(${shown(where)}, ${shown(at)})`, async (model, { log }) => {
    const before = resolve(at, model.of(where).next);
    assert.equal(await log.trim(where, before, 0), 0);
    assert.equal(await log.trim(where, before, Date.now() + 60_000), model.trim(where, before));
  }),
);
const reopen = fc.constant(
  command('reopen()', async (model, real) => {
    const { incarnation } = real.log;
    await real.log.close();
    real.log = await Real.open(real.directory);
    assert.equal(real.log.incarnation, incarnation);
    for (const project of PROJECTS)
      for (const index of [0, 1]) assert.equal(real.log.next({ project, index }), model.of({ project, index }).next);
  }),
);

// A failure prints the seed and the shortest sequence that fails.
test('the log is what a list would be, whatever is done with it in whatever order', async () => {
  let commands = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.commands([append, append, appendBeside, read, readAll, count, trim, reopen], { maxCommands: 60, size: 'max' }),
      async (sequence) => {
        const folder = await aFolder();
        const real = new Real(folder.path, await Real.open(folder.path));
        try {
          await fc.asyncModelRun(() => ({ model: new Model(), real }), sequence);
          commands += [...sequence].length;
        } finally {
          await real.log.close();
          await folder.remove();
        }
      },
    ),
    { numRuns: 1000, interruptAfterTimeLimit: 8_000, markInterruptAsFailure: false, endOnFailure: false },
  );
  // It would prove nothing if it had been interrupted before it began.
  expect(commands).toBeGreaterThan(100);
}, 60_000);
