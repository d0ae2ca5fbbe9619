// Makes a clone ready to run: installs the packages, then builds, each only when something changed.
// Runs before anything is installed, on whatever Node the machine has: plain JavaScript for Node 20, no dependencies.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const bin = path.join(root, 'node_modules', '.bin');
export const nodeBinary = path.join(bin, 'node');

const stamps = path.join(root, 'node_modules', '.cache', 'switchyard');
const mainFile = path.join(root, 'core', 'dist', 'main.js');

/** What went wrong and what to do about it; whoever catches it prints the message and no stack. */
export class Failure extends Error {}

/** Runs `work`; prints the message of a Failure and ends with its exit code instead of throwing. */
export async function orExplain(work) {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    say(`\n${error.message}\n`);
    process.exit(1);
  }
}

/** Progress goes to stderr: stdout belongs to the command that was asked for. */
export function say(line) {
  process.stderr.write(`${line}\n`);
}

export async function ensureInstalled() {
  if (isInstalled()) return;
  await alone(async () => {
    if (isInstalled()) return;
    const first = !fs.existsSync(path.join(root, 'node_modules'));
    const title = first ? 'Installing packages (first start only, about a minute)' : 'Installing changed packages';
    // --include: NODE_ENV=production or a setting of npm must not leave out the compiler or the Node binary.
    const args = ['ci', '--include=dev', '--include=optional', '--loglevel=error'];
    await step(title, 'npm', args, withoutOurNode()).catch((error) => {
      throw new Failure(
        `${error.message}\n\nThe packages could not be installed. Check the network (and npm's proxy settings), then run ` +
          'the same command again.\nIf npm says that package.json and package-lock.json disagree, run `npm install`.',
      );
    });
    ensureNode();
    writeStamp('installed', lockHash());
  });
}

export async function ensureBuilt() {
  if (isBuilt()) return;
  await alone(async () => {
    if (isBuilt()) return;
    // Taken before the build: what is edited during it is built the next time.
    const hash = sourcesHash();
    const args = [path.join(bin, 'tsc'), '-b', 'tsconfig.build.json'];
    await step('Building', nodeBinary, args).catch((error) => {
      throw new Failure(
        `${error.message}\n\nThe build failed. Fix the errors above and run the same command again` +
          ' (`npm run build` shows all of them).',
      );
    });
    writeStamp('built', hash);
  });
}

function isInstalled() {
  const hash = lockHash();
  if (readStamp('installed') === hash) return true;
  // Somebody ran `npm install` or `npm ci` by hand: believe npm's own record of it rather than install again.
  if (!installedMatchesLock()) return false;
  ensureNode();
  writeStamp('installed', hash);
  return true;
}

function installedMatchesLock() {
  const wanted = readJson(path.join(root, 'package-lock.json'))?.packages;
  const found = readJson(path.join(root, 'node_modules', '.package-lock.json'))?.packages;
  if (!wanted || !found) return false;
  return Object.entries(wanted).every(([place, entry]) => {
    if (!place.includes('node_modules/')) return true; // a workspace itself; its link is compared
    const other = found[place];
    if (!other) return entry.optional === true || entry.devOptional === true;
    return other.version === entry.version && other.integrity === entry.integrity && other.link === entry.link;
  });
}

/** The project's Node is a package. Where that cannot run (another libc or platform), a new enough one of the machine's does. */
function ensureNode() {
  if (runs(nodeBinary)) return;
  if (Number(process.versions.node.split('.')[0]) >= 26) {
    fs.mkdirSync(bin, { recursive: true });
    fs.rmSync(nodeBinary, { force: true });
    fs.symlinkSync(process.execPath, nodeBinary);
    return;
  }
  throw new Failure(
    `There is no Node package for this platform (${process.platform} ${process.arch}), and the machine's own Node is ` +
      `${process.version}.\nInstall Node 26 or newer from your system's packages and run the same command again.`,
  );
}

function runs(file) {
  return fs.existsSync(file) && spawnSync(file, ['--version'], { stdio: 'ignore' }).status === 0;
}

function isBuilt() {
  // A dist that somebody deleted is not built, whatever the stamp says.
  if (!fs.existsSync(mainFile) || !workspaces().every((dir) => hasOutput(dir))) return false;
  if (readStamp('built') === sourcesHash()) return true;
  // A deployed tree is often read-only, and copying changed its times: what was built into it is what is to run.
  return !isWritable(path.dirname(mainFile));
}

function hasOutput(dir) {
  return !fs.existsSync(path.join(dir, 'src')) || fs.existsSync(path.join(dir, 'dist'));
}

/** Paths, sizes and times of everything that the build reads: a few milliseconds, where asking tsc takes a second. */
function sourcesHash() {
  const hash = createHash('sha256').update(lockHash());
  const add = (file) => {
    const stat = fs.statSync(file, { throwIfNoEntry: false }); // an editor may be replacing it right now
    hash.update(`${path.relative(root, file)}\0${stat?.mtimeMs}\0${stat?.size}\n`);
  };
  for (const name of fs.readdirSync(root).sort()) {
    if (/^tsconfig.*\.json$/.test(name)) add(path.join(root, name));
  }
  for (const dir of workspaces()) {
    add(path.join(dir, 'package.json'));
    add(path.join(dir, 'tsconfig.build.json'));
    filesUnder(path.join(dir, 'src')).forEach(add);
  }
  return hash.digest('hex');
}

function workspaces() {
  return readJson(path.join(root, 'package.json')).workspaces.flatMap((pattern) => {
    if (!pattern.endsWith('/*')) return [path.join(root, pattern)];
    const parent = path.join(root, pattern.slice(0, -2));
    return subdirectories(parent).map((name) => path.join(parent, name));
  });
}

function subdirectories(dir) {
  if (!fs.existsSync(dir)) return [];
  return fs
    .readdirSync(dir, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

function filesUnder(dir) {
  if (!fs.existsSync(dir)) return [];
  return fs
    .readdirSync(dir, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath ?? entry.path, entry.name))
    .sort();
}

function lockHash() {
  return createHash('sha256')
    .update(fs.readFileSync(path.join(root, 'package-lock.json')))
    .digest('hex');
}

function readStamp(name) {
  try {
    return fs.readFileSync(path.join(stamps, name), 'utf8');
  } catch {
    return undefined;
  }
}

function writeStamp(name, value) {
  try {
    fs.mkdirSync(stamps, { recursive: true });
    fs.writeFileSync(path.join(stamps, name), value);
  } catch {
    // Only costs the next start a second look.
  }
}

function readJson(file) {
  try {
    return JSON.parse(fs.readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

function isWritable(dir) {
  try {
    fs.accessSync(dir, fs.constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

/** Two commands started side by side in a fresh clone must not both empty node_modules: the second waits. */
async function alone(work) {
  const id = createHash('sha256').update(`${root}\0${process.getuid?.()}`).digest('hex').slice(0, 16);
  const lock = path.join(os.tmpdir(), `switchyard-prepare-${id}`);
  const mine = `${lock}-${process.pid}`;
  fs.writeFileSync(mine, String(process.pid));
  try {
    let waitedFor;
    for (let owner = take(lock, mine); owner !== process.pid; owner = take(lock, mine)) {
      if (owner !== waitedFor) say(`Another command (process ${owner}) is preparing this clone; waiting for it …`);
      waitedFor = owner;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    fs.rmSync(mine);
  }
  try {
    await work();
  } finally {
    fs.rmSync(lock, { force: true });
  }
}

/** Takes the lock unless a living process has it; answers whose it is. A link appears with its content, so no reader sees it empty. */
function take(lock, mine) {
  for (;;) {
    try {
      fs.linkSync(mine, lock);
      return process.pid;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    try {
      const owner = Number(fs.readFileSync(lock, 'utf8'));
      process.kill(owner, 0);
      return owner;
    } catch {
      fs.rmSync(lock, { force: true }); // its owner is gone
    }
  }
}

/** Runs a tool quietly, showing that time passes; an error carries the end of what the tool said. */
function step(title, command, args, env = process.env) {
  const started = Date.now();
  const seconds = () => `${Math.round((Date.now() - started) / 1000)} s`;
  const live = process.stderr.isTTY;
  process.stderr.write(live ? `${title} …` : `${title} …\n`);
  const ticker = setInterval(
    () => process.stderr.write(live ? `\r${title} … ${seconds()}` : `  … ${seconds()}\n`),
    live ? 1000 : 15_000,
  );
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const keep = (chunk) => (output = (output + chunk).slice(-20_000));
    child.stdout.on('data', keep);
    child.stderr.on('data', keep);
    child.on('error', (error) => finish(`${command} could not be started: ${error.message}`));
    child.on('close', (code, signal) => finish(code === 0 ? undefined : `exit ${code ?? signal}`));
    function finish(problem) {
      clearInterval(ticker);
      const done = `${title} … ${problem === undefined ? 'done' : 'failed'} in ${seconds()}`;
      process.stderr.write(live ? `\r${done}\n` : `${done}\n`);
      if (problem === undefined) return resolve();
      const tail = output.trimEnd().split('\n').slice(-30).join('\n');
      const called = [command, ...args].map((word) => (path.isAbsolute(word) ? path.basename(word) : word)).join(' ');
      reject(new Error(`${tail}\n\n(${called}: ${problem})`));
    }
  });
}

/** npm must run on the machine's Node: the one in node_modules is deleted by `npm ci` while it would be running. */
function withoutOurNode() {
  const folders = (process.env.PATH ?? '')
    .split(path.delimiter)
    .filter((folder) => !folder.endsWith('node_modules/.bin'));
  return { ...process.env, PATH: folders.join(path.delimiter) };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await orExplain(async () => {
    await ensureInstalled();
    await ensureBuilt();
  });
}
