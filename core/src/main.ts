import 'reflect-metadata';
import path from 'node:path';
import { RETRY_SCHEDULE_MS } from './delivery/backoff.ts';
import { SwitchyardError } from './errors.ts';
import { startRouter, type Router } from './router.ts';
import { readSettings } from './settings.ts';
import type { Bootstrapped } from './bootstrap/bootstrap.ts';
import { credentials, welcome } from './welcome.ts';

/** Longer than nearly every delivery takes, shorter than what orchestrators wait before they kill. */
const GRACE_MS = 15_000;
/** When even closing does not end by then, the process ends all the same: everything that was accepted is in the log. */
const LAST_MS = GRACE_MS + 10_000;

/** What the first start made, to be shown once. */
let made: Bootstrapped | null = null;

async function main(): Promise<void> {
  const settings = readSettings(process.env);
  let router: Router | null = null;
  let ending: Promise<void> | null = null;
  const end = (code: number): void => {
    if (ending === null) setTimeout(() => process.exit(code), LAST_MS).unref();
    ending ??= (router?.stop(GRACE_MS) ?? Promise.resolve()).finally(() => process.exit(code));
  };
  const fatal = (error: unknown): void => {
    process.stderr.write(
      `Switchyard stops: ${describe(error)}\nWhat was accepted is in DATA_DIR and goes on at the next start.\n`,
    );
    end(1);
  };
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => end(0));
  router = await startRouter({
    settings,
    pluginsDirectory: path.join(import.meta.dirname, '../../plugins'),
    schedule: RETRY_SCHEDULE_MS,
    onMade: (first) => void (made = first),
    onFatal: fatal,
  });
  process.stdout.write(welcome(router.address, made, settings));
}

function describe(error: unknown): string {
  if (error instanceof SwitchyardError) return `${error.message} (${error.code})`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}

main().catch((error: unknown) => {
  if (made !== null) process.stdout.write(credentials(made).join('\n') + '\n\n');
  process.stderr.write(`Switchyard could not start: ${describe(error)}\n`);
  process.exit(1);
});
