// `npm run dev`: the compiler in watch mode, and the router, which restarts when what it has loaded is rebuilt.
import { spawn } from 'node:child_process';
import path from 'node:path';
import { bin, ensureBuilt, ensureInstalled, nodeBinary, orExplain, root } from './prepare.mjs';

await orExplain(async () => {
  await ensureInstalled();
  await ensureBuilt();
});

const commands = [
  [path.join(bin, 'tsc'), '-b', 'tsconfig.build.json', '--watch', '--preserveWatchOutput'],
  [
    '--enable-source-maps',
    '--disable-warning=ExperimentalWarning',
    '--watch-preserve-output',
    '--watch',
    'core/dist/main.js',
  ],
];
const children = commands.map((args) =>
  spawn(nodeBinary, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] }),
);

// One without the other is of no use: whatever ends first ends both.
let ending = false;
function endAll(signal) {
  if (ending) return;
  ending = true;
  for (const child of children) child.kill(signal);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => endAll(signal));
for (const child of children) {
  child.on('error', (error) => {
    console.error(error.message);
    endAll('SIGTERM');
  });
  child.on('exit', (status) => {
    if (!ending) process.exitCode = status ?? 1;
    endAll('SIGTERM');
  });
}
