import { rmSync } from 'node:fs';
import { mkdtemp, statfs, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { readArguments, UsageError, type Wanted } from './arguments.ts';
import { measure } from './measure.ts';
import { roleOf, serve } from './processes/roles.ts';
import { json, table, type Outcome } from './report.ts';
import type { Suite } from './row.ts';
import { archive } from './rows/archive.ts';
import { ingestion } from './rows/ingestion.ts';
import { javascript } from './rows/javascript.ts';
import { logAppend } from './rows/log-append.ts';
import { webhook } from './rows/webhook.ts';
import { webhookEngine } from './rows/webhook-engine.ts';

const SUITES: readonly Suite[] = [ingestion, logAppend, archive, javascript, webhook, webhookEngine];
const TMPFS = 0x01021994;

/** Progress goes to stderr: stdout belongs to the table. */
const say = (line: string): void => void process.stderr.write(`${line}\n`);
const messageOf = (error: unknown): string => (error instanceof Error ? (error.stack ?? error.message) : String(error));

async function main(): Promise<number> {
  const wanted = readArguments(
    process.argv.slice(2),
    SUITES.flatMap(({ rows }) => rows),
  );
  const { type } = await statfs(tmpdir());
  if (type === TMPFS)
    say(
      `${tmpdir()} is memory, where fsync costs nothing: set TMPDIR to a folder on the disk that DATA_DIR would be on.`,
    );
  const outcomes: Outcome[] = [];
  for (const suite of SUITES) {
    const names = suite.rows.filter((name) => wanted.rows.includes(name));
    if (names.length > 0) outcomes.push(...(await run(suite, names, wanted)));
  }
  process.stdout.write(`\n${table(outcomes)}\n`);
  if (wanted.json !== null) await writeFile(wanted.json, json(outcomes));
  return outcomes.some((outcome) => 'failed' in outcome) ? 1 : 0;
}

/** A missed target is a result; only a row that cannot be measured is a failure, and the other rows still run. */
async function run(suite: Suite, names: readonly string[], { rounds, profile }: Wanted): Promise<readonly Outcome[]> {
  const folder = await mkdtemp(path.join(tmpdir(), 'switchyard-bench-'));
  const removeFolder = (): void => rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
  // Also when a signal ends the run halfway.
  process.on('exit', removeFolder);
  const opened: (() => Promise<unknown>)[] = [];
  const outcomes: Outcome[] = [];
  try {
    const rows = await suite.open({ folder, profile, onClose: (close) => void opened.unshift(close) }, names);
    for (const row of rows) {
      if ('skipped' in row) say(`${row.name} is SKIPPED: ${row.skipped}`);
      else say(`${row.name} …`);
      outcomes.push(
        'skipped' in row
          ? row
          : await measure(row, rounds).catch((error: unknown) => ({
              name: row.name,
              title: row.title,
              failed: messageOf(error),
            })),
      );
    }
  } catch (error) {
    for (const name of names) outcomes.push({ name, title: 'could not be prepared', failed: messageOf(error) });
  }
  for (const close of opened)
    await close().catch((error: unknown) => say(`Something did not close: ${messageOf(error)}`));
  removeFolder();
  process.off('exit', removeFolder);
  for (const outcome of outcomes) if ('failed' in outcome) say(`${outcome.name} FAILED: ${outcome.failed}`);
  return outcomes;
}

const role = roleOf(process.argv.slice(2));
if (role !== null) await serve(role);
else {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
  try {
    process.exitCode = await main();
  } catch (error) {
    say(error instanceof UsageError ? error.message : messageOf(error));
    process.exitCode = 2;
  }
}
