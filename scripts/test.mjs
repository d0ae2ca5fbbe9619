// `npm test`: from a fresh clone, installs, builds, provides the services that the tests need, and runs the tests.
// What follows `--` goes to jest: npm test -- core/test/walk.spec.ts
import { spawn } from 'node:child_process';
import os from 'node:os';
import { startPostgres } from './postgres.mjs';
import { ensureBuilt, ensureInstalled, nodeBinary, orExplain, root } from './prepare.mjs';

let jest;
let received;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, () => {
    // The second one means it.
    jest?.kill(received ? 'SIGKILL' : signal);
    received = signal;
  });
}

const code = await orExplain(async () => {
  await ensureInstalled();
  // Some tests start the router as `npm start` does, kill it, and start it again.
  await ensureBuilt();
  if (received) return undefined;
  if (process.env.TEST_DATABASE_URL) return runJest(process.env.TEST_DATABASE_URL);
  const postgres = await startPostgres();
  try {
    return received ? undefined : await runJest(postgres.url);
  } finally {
    await postgres.stop();
  }
});
process.exit(received ? 128 + os.constants.signals[received] : code);

function runJest(databaseUrl) {
  jest = spawn(
    nodeBinary,
    [
      // In the test's own process our packages are their sources; and jest needs its flag for ES modules.
      '--conditions=@switchyard/source',
      '--experimental-vm-modules',
      '--disable-warning=ExperimentalWarning',
      'node_modules/jest/bin/jest.js',
      ...process.argv.slice(2),
    ],
    { cwd: root, stdio: 'inherit', env: { ...process.env, TEST_DATABASE_URL: databaseUrl } },
  );
  return new Promise((resolve, reject) => {
    jest.on('error', reject);
    jest.on('exit', (status) => resolve(status ?? 1));
  });
}
