import type { Case } from '../src/testing/index.ts';

/** Runs every case and gives the names of those that failed. */
export async function failures(cases: readonly Case[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { name, run } of cases) {
    await run().catch(() => failed.push(name));
  }
  return failed;
}

/** What the case of this name says against the plugin. */
export async function complaint(cases: readonly Case[], name: string): Promise<string> {
  const found = cases.find((each) => each.name === name);
  if (found === undefined) throw new Error(`There is no case "${name}".`);
  return found.run().then(
    () => '',
    (error: unknown) => (error instanceof Error ? error.message : String(error)),
  );
}
