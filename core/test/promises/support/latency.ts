import { setTimeout as delay } from 'node:timers/promises';
import type { Endpoint } from './endpoint.ts';
import type { Client, Draft } from './posting.ts';

export interface Latency {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

const GAP_MS = 15;

/** Posts events one after the other and measures, for each, the time from its post to its arrival at `endpoint`, in milliseconds. */
export async function measureLatency(
  client: Client,
  endpoint: Endpoint,
  draft: Draft,
  count: number,
): Promise<Latency> {
  const postedAt = new Map<string, number>();
  for (let index = 0; index < count; index += 1) {
    const at = performance.now();
    postedAt.set(await client.post(draft), at);
    await delay(GAP_MS);
  }
  await endpoint.got(postedAt.keys());
  const times = [...postedAt]
    .map(([id, at]) => (endpoint.byId.get(id)?.[0]?.at ?? Number.NaN) - at)
    .toSorted((a, b) => a - b);
  const quantile = (share: number): number =>
    Math.round(times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? Number.NaN);
  return { count, p50: quantile(0.5), p99: quantile(0.99), max: quantile(1) };
}

/** What a machine that does other things as well must keep to; meant are 10 %. */
export const bearable = (alone: Latency): number => alone.p99 * 2 + 150;

/**
 * Measures the same thing alone and beside something that must not matter. Whatever else the machine does can only make a figure worse, so a pair
 * that is out of bounds is measured again, twice at most.
 */
export async function comparable<Figure>(pair: {
  readonly alone: () => Promise<Figure>;
  readonly beside: () => Promise<Figure>;
  readonly within: (alone: Figure, beside: Figure) => boolean;
}): Promise<{ readonly alone: Figure; readonly beside: Figure }> {
  for (let round = 1; ; round += 1) {
    const alone = await pair.alone();
    const beside = await pair.beside();
    if (round === 3 || pair.within(alone, beside)) return { alone, beside };
  }
}

/** For the report of a run. */
export const inWords = ({ count, p50, p99, max }: Latency): string =>
  `p50 ${p50} ms, p99 ${p99} ms, worst ${max} ms (${count} events)`;

/** Figures belong into the output of the run, and jest's console would bury them under stack traces. */
export function report(line: string): void {
  process.stdout.write(`    ${line}\n`);
}
