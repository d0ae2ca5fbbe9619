import type { Row, Sample } from './row.ts';

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Measured {
  readonly name: string;
  readonly title: string;
  readonly unit: string;
  readonly target: number | null;
  /** Ours by bare, of each round. */
  readonly ratio: Spread;
  readonly rounds: number;
  readonly ours: Absolute;
  readonly bare: Absolute;
}

interface Absolute {
  readonly perSecond: number;
  readonly details: Readonly<Record<string, number>>;
}

/**
 * Measures the two sides in turn, and compares each with its neighbour in time: whatever else the machine does changes from second to second, and hits both sides of a pair
 * nearly alike. The first round of each side only warms up.
 */
export async function measure({ name, title, unit, target, sides }: Row, rounds: number): Promise<Measured> {
  const ours: Sample[] = [];
  const bare: Sample[] = [];
  await sides.bare();
  await sides.ours();
  for (let round = 0; round < rounds; round += 1) {
    bare.push(await sides.bare());
    ours.push(await sides.ours());
  }
  const ratios = ours.map(({ perSecond }, index) => perSecond / (bare[index]?.perSecond ?? Number.NaN));
  return { name, title, unit, target, ratio: spread(ratios), rounds, ours: absolute(ours), bare: absolute(bare) };
}

/** How many events a second, when `count` of them took the time that `work` takes. */
export async function timed(count: number, work: () => Promise<unknown>): Promise<Sample> {
  const started = performance.now();
  const cpu = process.cpuUsage();
  await work();
  return rate(count, started, cpu);
}

/** The same for work that is repeated until the time is up, in `lanes` that go on side by side; `work` does `count` events. */
export async function repeated(
  ms: number,
  lanes: number,
  count: number,
  work: (lane: number) => unknown,
): Promise<Sample> {
  const started = performance.now();
  const cpu = process.cpuUsage();
  let turns = 0;
  const lane = async (index: number): Promise<void> => {
    while (performance.now() - started < ms) {
      await work(index);
      turns += 1;
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, index) => lane(index)));
  return rate(turns * count, started, cpu);
}

function rate(count: number, started: number, cpu: NodeJS.CpuUsage): Sample {
  const seconds = (performance.now() - started) / 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { perSecond: count / seconds, details: { cpu_us: (user + system) / count } };
}

function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  return { median: medianOf(sorted), min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN };
}

function absolute(samples: readonly Sample[]): Absolute {
  const names = new Set(samples.flatMap(({ details }) => Object.keys(details ?? {})));
  const details = [...names].map((name): [string, number] => [
    name,
    spread(samples.map((sample) => sample.details?.[name] ?? 0)).median,
  ]);
  return { perSecond: spread(samples.map(({ perSecond }) => perSecond)).median, details: Object.fromEntries(details) };
}

function medianOf(sorted: readonly number[]): number {
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}
