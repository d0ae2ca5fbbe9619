import type { Event, JsonObject, PluginContext, Transform, TransformOutcome } from '@switchyard/plugin-sdk';
import type { JavaScriptConfig } from '../src/config.ts';
import { JavaScriptTransform } from '../src/javascript-transform.ts';
import { programOf } from '../src/program.ts';
import { SandboxPool } from '../src/sandbox/pool.ts';

export const never = new AbortController().signal;

export function anEvent(id: string, metadata: JsonObject = {}): Event {
  return Object.freeze({
    id,
    event_name: 'signup',
    user_id: 'u-1',
    timestamp: '2026-01-01T00:00:00.000Z',
    metadata: Object.freeze(metadata),
    received_at: '2026-01-01T00:00:00.000Z',
    context: Object.freeze({ ip_address: null, user_agent: null }),
  });
}

/** Events `e0`, `e1`, … with their number as `metadata.n`. */
export function events(count: number): Event[] {
  return Array.from({ length: count }, (_, n) => anEvent(`e${n}`, { n }));
}

export interface Recorded {
  readonly logs: string[];
  readonly counts: Map<string, number>;
  readonly context: PluginContext;
}

export function recording(): Recorded {
  const logs: string[] = [];
  const counts = new Map<string, number>();
  const write = (message: string): void => void logs.push(message);
  const add = (name: string, by: number): void => void counts.set(name, (counts.get(name) ?? 0) + by);
  const unavailable = (): never => {
    throw new Error('The transform uses a door that it has no business with.');
  };
  const context: PluginContext = {
    project: { id: 'project' },
    instance: { id: 'instance', name: 'instance' },
    logger: { debug: write, info: write, warn: write, error: write },
    metrics: {
      counter: (name) => ({ inc: (by = 1) => add(name, by) }),
      gauge: (name) => ({ set: (value) => void counts.set(name, value) }),
      histogram: (name) => ({ observe: () => add(name, 1) }),
    },
    http: { request: unavailable },
    state: { get: unavailable, set: unavailable, delete: unavailable },
    get database(): never {
      return unavailable();
    },
  };
  return { logs, counts, context };
}

/** A pool of a test's own, and the instances in it. */
export class Bench {
  readonly pool: SandboxPool;
  readonly #instances: Transform[] = [];
  #offsetMs = 0;

  constructor(sizes?: { readonly shared: number; readonly own: number }) {
    this.pool = new SandboxPool(sizes);
  }

  instance(config: JavaScriptConfig | string, recorded: Recorded = recording()): JavaScriptTransform {
    const whole = typeof config === 'string' ? { code: config } : config;
    const now = (): number => performance.now() + this.#offsetMs;
    const instance = new JavaScriptTransform(this.pool, programOf(whole), recorded.context, now);
    this.#instances.push(instance);
    return instance;
  }

  /** For the cool-downs of suspended instances. */
  letTimePass(ms: number): void {
    this.#offsetMs += ms;
  }

  async close(): Promise<void> {
    await Promise.all(this.#instances.splice(0).map(async (instance) => instance.close?.(never)));
  }
}

/** An outcome in one word, or an error's code. */
export function wordFor(outcome: TransformOutcome | undefined): string {
  if (outcome === undefined) return 'missing';
  return outcome.action === 'fail' ? outcome.error.code : outcome.action;
}

export async function wordsFor(instance: Transform, batch: readonly Event[]): Promise<string[]> {
  const outcomes = await instance.apply(batch, never);
  return batch.map(({ id }) => wordFor(outcomes.get(id)));
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export async function until(condition: () => boolean, withinMs: number): Promise<boolean> {
  for (const end = performance.now() + withinMs; performance.now() < end;) {
    if (condition()) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return condition();
}
