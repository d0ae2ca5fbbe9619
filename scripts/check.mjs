// `npm run check`: every check:* script of package.json, all of them even when one fails.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { bin, ensureInstalled, orExplain, root } from './prepare.mjs';

await orExplain(ensureInstalled);

const { scripts } = JSON.parse(fs.readFileSync(path.join(root, 'package.json'), 'utf8'));
const names = Object.keys(scripts).filter((name) => name.startsWith('check:'));
const env = { ...process.env, PATH: `${bin}${path.delimiter}${process.env.PATH}` };
if (process.stdout.isTTY) env.FORCE_COLOR ??= '1';

const failed = names.filter((name) => {
  const started = performance.now();
  const { status, stdout, stderr } = spawnSync(scripts[name], {
    cwd: root,
    env,
    shell: true,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 64 * 1024 * 1024,
  });
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name.padEnd(14)} ${seconds} s`);
  if (status !== 0) console.log(`\n${stdout}${stderr}`.replace(/^(?=.)/gm, '  '));
  return status !== 0;
});

if (failed.length > 0) {
  console.log(`\n${failed.length} of ${names.length} failed. One alone: npm run ${failed[0]}`);
  if (failed.includes('check:format')) console.log('Formatting is fixed by: npx prettier --write .');
  process.exit(1);
}
