import { setTimeout as delay } from 'node:timers/promises';

/** Looks again until `look` gives something, for conditions of another process or a database. Fails with what it saw last. */
export async function eventually<Value>(
  look: () => Promise<Value | undefined | false>,
  withinMs = 10_000,
): Promise<Value> {
  const until = performance.now() + withinMs;
  for (;;) {
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > until) throw new Error(`It did not happen within ${withinMs} ms.`);
    await delay(20);
  }
}
