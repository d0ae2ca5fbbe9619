import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Transform, TransformOutcome } from '@switchyard/plugin-sdk';
import { cpu, escapes, memory, tampering, type HostileScript } from './hostile-scripts.ts';
import { Bench, events, never, wordFor, wordsFor } from './support.ts';

const TIMEOUT_MS = 50;
const bench = new Bench();
// One in each shared child: a hostile instance begins beside one of them.
const siblings = [1, 2].map(() =>
  bench.instance('export default (event) => { event.metadata.ok = true; return event; }'),
);
const siblingMs: number[] = [];
const siblingWords = new Set<string>();
const loopDelay = monitorEventLoopDelay({ resolution: 5 });
const over = new AbortController();
let siblingsEnded: Promise<unknown>;

/** Its own load is light: a batch every few milliseconds, all the while that the hostile scripts run. */
async function keepBusy(sibling: Transform): Promise<void> {
  while (!over.signal.aborted) {
    const startedAt = performance.now();
    for (const word of await wordsFor(sibling, events(10))) siblingWords.add(word);
    siblingMs.push(performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

beforeAll(async () => {
  await Promise.all(siblings.map((sibling) => sibling.open(never)));
  loopDelay.enable();
  siblingsEnded = Promise.all(siblings.map(keepBusy));
});

afterAll(async () => {
  over.abort();
  await siblingsEnded;
  await bench.close();
});

async function outcomesOf({ body }: HostileScript): Promise<readonly (TransformOutcome | undefined)[]> {
  const isAsync = body.includes('await');
  const instance = bench.instance({
    code: `export default ${isAsync ? 'async ' : ''}function transform(event) { if (event.metadata.n !== 1) return event; ${body} }`,
    timeout_ms: TIMEOUT_MS,
    memory_mb: 16,
  });
  try {
    const outcomes = await instance.apply(events(3), never);
    return ['e0', 'e1', 'e2'].map((id) => outcomes.get(id));
  } finally {
    await instance.close(never);
  }
}

/** What a script that looked for a way out says it found. */
function foundBy(outcome: TransformOutcome | undefined): unknown {
  return outcome?.action === 'emit' ? outcome.events[0]?.metadata?.['found'] : undefined;
}

const groups: readonly (readonly [string, readonly HostileScript[]])[] = [
  ['looks for a way out', escapes],
  ['tampers with the realm', tampering],
  ['spends CPU', cpu],
  ['hoards memory', memory],
];

describe.each(groups)('code that %s', (_, scripts) => {
  it.each(scripts.map((script) => [script.name, script] as const))(
    '%s',
    async (__, script) => {
      const [before, hostile, after] = await outcomesOf(script);
      expect(script.ends).toContain(wordFor(hostile));
      expect([wordFor(before), wordFor(after)]).toEqual(['emit', 'emit']);
      expect(foundBy(hostile)).toBe(script.finds);
    },
    20_000,
  );
});

describe('all the while', () => {
  it('there were enough scripts for this to mean something', () => {
    expect(groups.flatMap(([, scripts]) => scripts).length).toBeGreaterThanOrEqual(60);
  });

  it('a sibling lost no event and was never held up for longer than one offence takes', () => {
    expect([...siblingWords]).toEqual(['emit']);
    expect(siblingMs.length).toBeGreaterThan(100);
    const sorted = siblingMs.toSorted((a, b) => a - b);
    const p50 = sorted[Math.floor(sorted.length * 0.5)] ?? Number.NaN;
    const p99 = sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN;
    // A new hostile instance may spend one budget, be killed and have its child replaced while the sibling waits.
    expect(p50).toBeLessThan(50);
    expect(p99).toBeLessThan(1500);
  });

  it('the process that asked stayed responsive', () => {
    expect(loopDelay.percentile(99) / 1e6).toBeLessThan(100);
  });
});
