import type { Event, TransformOutcome } from '@switchyard/plugin-sdk';
import { BatchRunner } from './batch-runner.ts';
import type { JavaScriptConfig } from './config.ts';
import { programOf } from './program.ts';
import type { SandboxPool } from './sandbox/pool.ts';
import { placeIn, type Place } from './user-stack.ts';
import { validate } from './validate.ts';

export interface TestedEvent {
  readonly outcome: TransformOutcome;
  readonly logs: readonly { readonly level: string; readonly text: string }[];
  /** Where in the code it failed, when that is known. */
  readonly place: Place | undefined;
}

export interface TestRun {
  /** One for every event, in their order. */
  readonly events: readonly TestedEvent[];
  readonly cpuMs: number;
}

/**
 * Runs code that nobody has saved, in a child where it can hold up nobody but suspects. Throws `ConfigError` when the code does
 * not parse or cannot be set up.
 */
export async function testRun(
  pool: SandboxPool,
  config: JavaScriptConfig,
  events: readonly Event[],
  signal: AbortSignal,
): Promise<TestRun> {
  validate(config);
  const program = programOf(config);
  const outcomes = new Map<number, Omit<TestedEvent, 'logs'>>();
  const logs = events.map((): { level: string; text: string }[] => []);
  let cpuMs = 0;
  pool.isolate(program);
  try {
    await new BatchRunner(pool, program, () => performance.now()).run(events, signal, {
      outcome: (index, outcome, stack) => outcomes.set(index, { outcome, place: placeIn(stack) }),
      log: ({ index, level, text }) => logs[index]?.push({ level, text }),
      lostLines: (count) => logs.at(-1)?.push({ level: 'warn', text: `${count} more lines are over the limit` }),
      cpu: (ms) => {
        cpuMs += ms;
      },
      // What an incident means for an event is in its outcome.
      incident: () => {},
    });
  } finally {
    await pool.leave(program);
  }
  return {
    events: [...outcomes].map(([index, tested]) => ({ ...tested, logs: logs[index] ?? [] })),
    cpuMs,
  };
}
