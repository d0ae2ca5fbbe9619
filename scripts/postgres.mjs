// A PostgreSQL server for one run of the tests: own data folder, free loopback port, gone afterwards.
import { spawn, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { Failure, say } from './prepare.mjs';

/** @returns {Promise<{ url: string, stop: () => Promise<void> }>} */
export async function startPostgres() {
  const programs = findPrograms() ?? installPrograms();
  const user = unprivilegedUser();
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'switchyard-postgres-'));
  try {
    const password = randomBytes(16).toString('hex');
    createCluster(programs, user, folder, password);
    for (let attempt = 1; ; attempt++) {
      const port = await freePort();
      const server = await runServer(programs, user, folder, port);
      if (server.stop)
        return { url: `postgres://switchyard:${password}@127.0.0.1:${port}/postgres`, stop: server.stop };
      // Somebody may have taken the port in between.
      if (attempt === 3) throw new Failure(`${server.output}\n\nPostgreSQL for the tests did not start (see above).`);
    }
  } catch (error) {
    fs.rmSync(folder, { recursive: true, force: true });
    throw error;
  }
}

function findPrograms() {
  const debian = '/usr/lib/postgresql';
  const versions = fs.existsSync(debian) ? fs.readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...(process.env.PATH ?? '').split(path.delimiter).filter((folder) => folder !== ''),
    ...versions.map((version) => path.join(debian, version, 'bin')),
  ];
  const folder = folders.find((candidate) =>
    ['postgres', 'initdb'].every((name) => fs.existsSync(path.join(candidate, name))),
  );
  return folder && { postgres: path.join(folder, 'postgres'), initdb: path.join(folder, 'initdb') };
}

function installPrograms() {
  const isRoot = process.getuid?.() === 0;
  if (isRoot && fs.existsSync('/etc/debian_version')) {
    say('Installing PostgreSQL for the tests with apt-get (once, about a minute) …');
    const options = { encoding: 'utf8', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } };
    let result = spawnSync('apt-get', ['update'], options);
    if (result.status === 0) result = spawnSync('apt-get', ['install', '-y', 'postgresql'], options);
    const found = findPrograms();
    if (found) return found;
    say(`${result.stdout ?? ''}${result.stderr ?? ''}`.trimEnd().split('\n').slice(-20).join('\n'));
  }
  throw new Failure(
    'The tests need PostgreSQL (the programs `postgres` and `initdb`), and it is not installed.\n' +
      '  Debian, Ubuntu:  sudo apt-get install postgresql\n' +
      '  Fedora:          sudo dnf install postgresql-server\n' +
      '  macOS:           brew install postgresql@17, and its bin folder on PATH\n' +
      'Or give the tests a server of yours: TEST_DATABASE_URL=postgres://user:password@host/database npm test',
  );
}

/** PostgreSQL refuses to run as root: then it runs as the user that its packages create. */
function unprivilegedUser() {
  if (process.getuid?.() !== 0) return {};
  const user = { uid: postgresId('-u'), gid: postgresId('-g') };
  if (Number.isInteger(user.uid) && Number.isInteger(user.gid)) return user;
  throw new Failure(
    'PostgreSQL refuses to run as root, and there is no user `postgres` to run it as.\n' +
      'Create one (`useradd --system postgres`), or run the tests as another user.',
  );
}

function postgresId(flag) {
  return Number(spawnSync('id', [flag, 'postgres'], { encoding: 'utf8' }).stdout || NaN);
}

function createCluster(programs, user, folder, password) {
  const passwordFile = path.join(folder, 'password');
  fs.writeFileSync(passwordFile, password, { mode: 0o600 });
  if (user.uid !== undefined) for (const place of [folder, passwordFile]) fs.chownSync(place, user.uid, user.gid);
  const { status, stdout, stderr, error } = spawnSync(
    programs.initdb,
    ['-D', path.join(folder, 'data'), '-U', 'switchyard', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`].concat([
      '--encoding=UTF8',
      '--locale=C',
      '--no-sync',
    ]),
    { ...user, cwd: folder, encoding: 'utf8' },
  );
  if (status === 0) return;
  throw new Failure(
    `${stdout ?? ''}${stderr ?? ''}${error ?? ''}\n\nA PostgreSQL cluster for the tests could not be made (see above).`,
  );
}

/** Resolves when the server takes connections, or has ended without: then there is only its output. */
function runServer(programs, user, folder, port) {
  const settings = [
    ['listen_addresses', '127.0.0.1'],
    ['port', port],
    ['unix_socket_directories', ''],
    // The data is thrown away: nothing needs to survive anything.
    ['fsync', 'off'],
    ['synchronous_commit', 'off'],
    ['full_page_writes', 'off'],
  ];
  const server = spawn(
    programs.postgres,
    ['-D', path.join(folder, 'data'), ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
    // Detached: Ctrl-C is for the tests, which still need the server while they end.
    { ...user, cwd: folder, detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const keeper = keep(server.pid, user, folder);
  return new Promise((resolve, reject) => {
    let output = '';
    let ready = false;
    server.stderr.on('data', (chunk) => {
      output = (output + chunk).slice(-10_000);
      if (ready || !output.includes('ready to accept connections')) return;
      ready = true;
      resolve({ stop: () => end(keeper) });
    });
    server.on('error', reject);
    server.on('exit', () => {
      if (ready) return;
      keeper.kill(); // nothing to end, and the next attempt needs the folder
      resolve({ output });
    });
  });
}

/**
 * Ends the server and removes its folder when its stdin ends, a pipe whose other end only we hold:
 * so nothing is left behind however we end, kill -9 included.
 */
function keep(pid, user, folder) {
  const script = `
    read -r _
    kill -QUIT "$1"
    for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$1" || break; sleep 0.2; done
    rm -rf "$2"`;
  return spawn('sh', ['-c', script, 'sh', String(pid), folder], {
    ...user,
    cwd: os.tmpdir(),
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
}

async function end(keeper) {
  const ended = new Promise((resolve) => keeper.on('exit', resolve));
  keeper.stdin.end();
  await ended;
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = net.createServer().on('error', reject);
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => resolve(port));
    });
  });
}
