import type { Event, TransformOutcome } from '@switchyard/plugin-sdk';
import { testRun } from '../src/test-run.ts';
import { Bench, anEvent, events, never, recording, wordsFor } from './support.ts';

const bench = new Bench();
afterAll(() => bench.close());

async function outcomeOf(code: string, event: Event = anEvent('e', { n: 1 })): Promise<TransformOutcome> {
  const outcome = (await bench.instance(code).apply([event], never)).get(event.id);
  if (outcome === undefined) throw new Error('There is no outcome.');
  return outcome;
}

async function errorOf(code: string): Promise<{ code: string; message: string }> {
  const outcome = await outcomeOf(code);
  if (outcome.action !== 'fail') throw new Error(`The code did not fail: ${outcome.action}.`);
  return outcome.error;
}

describe('what the function returns', () => {
  it('passes a changed event on, and leaves the event that came in as it was', async () => {
    const event = anEvent('e', { n: 1, list: [{ a: 'ü' }] });
    const outcome = await outcomeOf(
      'export default function transform(event) { event.metadata.n += 1; event.event_name = "x"; return event; }',
      event,
    );
    expect(outcome).toEqual({
      action: 'emit',
      events: [{ ...event, event_name: 'x', metadata: { n: 2, list: [{ a: 'ü' }] } }],
    });
    expect(event.metadata['n']).toBe(1);
  });

  it('makes several events of an array', async () => {
    const outcome = await outcomeOf('export default (event) => [event, { event_name: "second" }]');
    expect(outcome).toMatchObject({ action: 'emit', events: [{ event_name: 'signup' }, { event_name: 'second' }] });
  });

  it.each(['null', 'undefined', '[]', 'Promise.resolve(null)'])('drops the event for %s', async (value) => {
    expect(await outcomeOf(`export default () => ${value}`)).toEqual({ action: 'drop', reason: 'dropped by code' });
  });

  it('waits for async functions, one event after the other', async () => {
    const instance = bench.instance(
      'let running = 0; export default async (event) => { running += 1; event.metadata.running = running; await 1; await 2; running -= 1; return event; }',
    );
    const outcomes = await instance.apply(events(50), never);
    for (const outcome of outcomes.values()) {
      expect(outcome).toMatchObject({ action: 'emit', events: [{ metadata: { running: 1 } }] });
    }
  });

  it('reads a function that is exported under the name default', async () => {
    expect(await outcomeOf('const f = () => null; export { f as default };')).toMatchObject({ action: 'drop' });
  });

  it.each(['12345678901234567890', '1234567890.12345678', '-0.12345678901234567890'])(
    'keeps the digits of %s, which a double cannot hold',
    async (digits) => {
      const { rawJSON } = JSON as unknown as { readonly rawJSON: (text: string) => null };
      const event = { ...anEvent('e'), metadata: { big: rawJSON(digits), small: 1.5 } };
      const outcome = await outcomeOf(
        'export default (event) => { event.metadata.small += 1; return { ...event, event_name: "x" }; }',
        event,
      );
      expect(JSON.stringify(outcome)).toContain(`{"big":${digits},"small":2.5}`);
    },
  );

  it.each([
    ['a number', '1', /is number; return an event, an array of events, or null/],
    ['an array in an array', '[[event]]', /Element 0 of the array that the code returned is an array/],
    ['a null among events', '[event, null]', /Element 1 .* is null/],
    ['a function', '() => 1', /is function/],
    ['a circle', '{ const a = {}; a.a = a; return a; }', /cannot be written as JSON: .*circular/i],
    ['a BigInt', '({ ...event, metadata: { n: 1n } })', /BigInt/],
    ['an event without a name', '({ ...event, event_name: undefined })', /no event_name/],
    ['a number for a user', '({ ...event, user_id: 7 })', /user_id/],
    ['metadata that is text', '({ ...event, metadata: "x" })', /metadata .* is not an object/],
    ['a __proto__ key', 'JSON.parse(\'{"event_name":"x","metadata":{"__proto__":{}}}\')', /__proto__/],
    ['a constructor with a prototype', '({ ...event, metadata: { constructor: { prototype: 1 } } })', /constructor/],
    [
      '65 levels',
      '{ let m = {}; for (let i = 0; i < 65; i += 1) m = { m }; return { ...event, metadata: m }; }',
      /deeper than 64/,
    ],
    ['the character U+0000', '({ ...event, metadata: { a: "\\u0000" } })', /U\+0000/],
    ['half a surrogate pair', '({ ...event, metadata: { a: "\\ud800" } })', /surrogate/],
  ])('refuses %s as output', async (_, returned, message) => {
    const body = returned.startsWith('{') ? returned : `(${returned})`;
    const error = await errorOf(`export default (event) => ${body}`);
    expect(error).toMatchObject({ kind: 'permanent', code: 'TRANSFORM_BAD_OUTPUT' });
    expect(error.message).toMatch(message);
  });
});

describe('errors', () => {
  it('says what was thrown and where, with the frames of the code only', async () => {
    const code =
      'function check(event) {\n  return event.nothing.here;\n}\nexport default function transform(event) {\n  return check(event);\n}';
    const error = await errorOf(code);
    expect(error).toMatchObject({ kind: 'permanent', code: 'TRANSFORM_THREW' });
    expect(error.message).toMatch(
      /^TypeError: Cannot read properties of undefined \(reading 'here'\), at line 2, column 24\n/,
    );
    expect(error.message.split('\n').slice(1)).toEqual([
      '    at check (transform.js:2:24)',
      '    at transform (transform.js:5:10)',
    ]);
  });

  it.each([
    ['a string', 'throw "boo"', 'thrown: boo'],
    ['nothing', 'throw undefined', 'thrown: undefined'],
    ['an object', 'throw { a: 1 }', 'thrown: {"a":1}'],
    ['a symbol', 'throw Symbol("x")', 'thrown: [symbol]'],
    [
      'an error whose message throws',
      'throw { get message() { throw 1; } }',
      'the code threw a value that cannot be printed',
    ],
  ])('prints %s that is thrown', async (_, statement, message) => {
    expect((await errorOf(`export default () => { ${statement} }`)).message).toBe(message);
  });

  it('fails a rejected promise as a throw', async () => {
    expect(await errorOf('export default async () => { await 1; throw new Error("late"); }')).toMatchObject({
      code: 'TRANSFORM_THREW',
      message: expect.stringMatching(/^Error: late, at line 1, column \d+$/),
    });
  });

  it('fails an event whose promise can never settle without waiting for a deadline', async () => {
    const startedAt = performance.now();
    const instance = bench.instance({
      code: 'export default (event) => event.metadata.n % 2 ? new Promise(() => {}) : event',
      timeout_ms: 1000,
    });
    expect(await wordsFor(instance, events(4))).toEqual([
      'emit',
      'TRANSFORM_NEVER_SETTLED',
      'emit',
      'TRANSFORM_NEVER_SETTLED',
    ]);
    expect(performance.now() - startedAt).toBeLessThan(2000);
  });

  it('ignores a promise that is settled after its event has failed', async () => {
    const code =
      'let resolve; export default (event) => { if (event.metadata.n === 0) return new Promise((r) => { resolve = r; }); resolve?.({ event_name: "late" }); return event; }';
    const outcomes = await bench.instance(code).apply(events(3), never);
    expect([...outcomes.values()].map(({ action }) => action)).toEqual(['fail', 'emit', 'emit']);
    expect(JSON.stringify([...outcomes.values()])).not.toContain('late');
  });

  it.each([
    ['throws', 'const x = null;\nx.y;\nexport default () => null', /TypeError: .*at line 2, column 3/],
    ['exports no function', 'const x = 1; export { x as default };', /not a function/],
    ['imports', 'import "node:fs"; export default () => null', /imports "node:fs"/],
    ['does not end', 'for (;;); export default () => null', /did not end within 250 ms/],
  ])('refuses the batch as a matter of configuration when the module %s', async (_, code, message) => {
    const applied = bench.instance(code).apply(events(2), never);
    await expect(applied).rejects.toMatchObject({ kind: 'config', code: 'TRANSFORM_LOAD_FAILED' });
    await expect(applied).rejects.toThrow(message);
  });

  it('does not set broken code up again until a cool-down is over', async () => {
    const recorded = recording();
    const instance = bench.instance('for (;;); export default () => null', recorded);
    await expect(instance.apply(events(1), never)).rejects.toThrow(/cannot be set up/);
    const startedAt = performance.now();
    for (let n = 0; n < 20; n += 1) await expect(instance.apply(events(1), never)).rejects.toThrow(/cannot be set up/);
    expect(performance.now() - startedAt).toBeLessThan(200);
  });
});

describe('console', () => {
  it('goes to the log, with the level and in order', async () => {
    const recorded = recording();
    const code =
      'console.log("set up"); export default (event) => { console.log("n", event.metadata.n, { a: [1] }); console.warn(new Error("w").message); console.table([1]); return event; }';
    await bench.instance(code, recorded).apply(events(2), never);
    expect(recorded.logs).toEqual([
      'console.log: set up',
      'console.log: n 0 {"a":[1]}',
      'console.warn: w',
      'console.log: n 1 {"a":[1]}',
      'console.warn: w',
    ]);
  });

  it('is cut off at so many lines an event and characters a line', async () => {
    const recorded = recording();
    const code =
      'export default (event) => { for (let i = 0; i < 50; i += 1) console.log("x".repeat(5000)); return event; }';
    await bench.instance(code, recorded).apply(events(10), never);
    const lines = recorded.logs.filter((line) => line.startsWith('console.'));
    expect(lines.length).toBeGreaterThanOrEqual(20);
    expect(lines.join('').length).toBeLessThan(80_000);
    expect(recorded.logs).toContain('Lines that the code logged were dropped: over the limit.');
  });
});

describe('limits of output', () => {
  it('refuses more than 100 events from one, and more than a mebibyte, and keeps the neighbours', async () => {
    const code = `export default (event) => {
      if (event.metadata.n === 1) return Array(101).fill(event);
      if (event.metadata.n === 2) return { ...event, metadata: { pad: 'x'.repeat(1_100_000) } };
      if (event.metadata.n === 3) return Array(100).fill(event);
      return event;
    }`;
    const words = await wordsFor(bench.instance(code), events(5));
    expect(words).toEqual(['emit', 'TRANSFORM_OUTPUT_TOO_LARGE', 'TRANSFORM_OUTPUT_TOO_LARGE', 'emit', 'emit']);
  });

  it('ends a batch that makes more than ten mebibytes; the rest can be tried again', async () => {
    const code = "export default (event) => ({ ...event, metadata: { pad: 'x'.repeat(1_000_000) } })";
    const words = await wordsFor(bench.instance({ code, timeout_ms: 1000, memory_mb: 128 }), events(40));
    const made = words.filter((word) => word === 'emit').length;
    expect(made).toBeGreaterThan(9);
    expect(made).toBeLessThan(20);
    expect(words.slice(made).every((word) => word === 'TRANSFORM_BATCH_FULL')).toBe(true);
  });

  it('carries a batch of more text than crosses at once', async () => {
    const batch = Array.from({ length: 30 }, (_, n) => anEvent(`e${n}`, { n, pad: 'x'.repeat(200_000) }));
    const words = await wordsFor(bench.instance({ code: 'export default (event) => event', timeout_ms: 1000 }), batch);
    expect(words.every((word) => word === 'emit')).toBe(true);
  });
});

describe('life of an instance', () => {
  it('counts what it did', async () => {
    const recorded = recording();
    const instance = bench.instance(
      'export default (event) => { if (event.metadata.n === 0) throw 1; return event; }',
      recorded,
    );
    await instance.apply(events(3), never);
    await instance.apply(events(3), never);
    expect(Object.fromEntries(recorded.counts)).toMatchObject({
      javascript_batches_total: 2,
      javascript_events_total: 6,
      javascript_failures_total: 2,
      javascript_batch_seconds: 2,
    });
  });

  it('drops what waits when the caller gives up', async () => {
    const instance = bench.instance('export default (event) => event');
    const reason = new Error('no longer wanted');
    await expect(instance.apply(events(1), AbortSignal.abort(reason))).rejects.toBe(reason);
  });

  it('finishes what is under way when it is closed, may be closed twice and without work, and takes nothing more', async () => {
    const own = new Bench();
    const instance = own.instance('export default (event) => event');
    const under = Promise.all(Array.from({ length: 5 }, () => wordsFor(instance, events(3))));
    await instance.close(never);
    expect((await under).flat()).toEqual(Array(15).fill('emit'));
    await instance.close(never);
    await expect(instance.apply(events(1), never)).rejects.toMatchObject({
      kind: 'retryable',
      code: 'TRANSFORM_CLOSED',
    });
    await own.instance('export default (event) => event').close(never);
    expect(own.pool.pids).toEqual([]);
  });

  it('keeps what code stores outside of the function between events, but nothing between instances', async () => {
    const code =
      'globalThis.seen ??= 0; export default (event) => { globalThis.seen += 1; event.metadata.seen = globalThis.seen; return event; }';
    await bench.instance(code).apply(events(5), never);
    expect(await outcomeOf(code)).toMatchObject({ events: [{ metadata: { seen: 1 } }] });
  });
});

describe('a test run', () => {
  it('gives each event its outcome, its lines and the place of its error, and leaves no process', async () => {
    const own = new Bench();
    const code =
      'export default (event) => {\n  console.info("saw", event.metadata.n);\n  if (event.metadata.n === 1)\n    throw new RangeError("one");\n  return event;\n}';
    const run = await testRun(own.pool, { code }, events(2), never);
    expect(run.events).toMatchObject([
      { outcome: { action: 'emit' }, logs: [{ level: 'info', text: 'saw 0' }], place: undefined },
      {
        outcome: { action: 'fail', error: { code: 'TRANSFORM_THREW' } },
        logs: [{ text: 'saw 1' }],
        place: { line: 4, column: 11 },
      },
    ]);
    expect(run.cpuMs).toBeGreaterThan(0);
    expect(own.pool.pids).toEqual([]);
    await expect(testRun(own.pool, { code: 'let x =' }, events(1), never)).rejects.toMatchObject({ kind: 'config' });
  });
});
