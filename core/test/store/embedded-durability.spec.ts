import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { jest } from '@jest/globals';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { sql } from 'kysely';
import { DurableFs } from '../../src/store/embedded/durable-fs.ts';
import { openEngine } from '../../src/store/embedded/engine.ts';
import { Databases } from './databases.ts';

// A first start of PGlite takes seconds, and here there are many.
jest.setTimeout(120_000);

const databases = new Databases();
afterEach(async () => {
  jest.restoreAllMocks();
  await databases.clean();
});

describe('kill -9', () => {
  it('in the middle of writes loses no row that was acknowledged, and leaves no half of a transaction', async () => {
    const dataDir = databases.folder();
    const acknowledged = new Map<string, number>();
    for (const round of ['first', 'second', 'third']) {
      const writer = startWriter(dataDir, round);
      let text = '';
      for await (const chunk of writer.stdout ?? []) {
        text += String(chunk);
        // Enough to write several segments of WAL, and to run into a checkpoint.
        if (text.split('\n').length > 500) writer.kill('SIGKILL');
      }
      acknowledged.set(round, Number(text.trimEnd().split('\n').at(-1)));
    }
    const { db } = await databases.open({ dataDir });
    const { rows } = await sql<{ round: string; count: number; last: number }>`
      select round, count(*) as count, max(n) as last from rows group by round
    `.execute(db);
    expect(rows.map(({ round }) => round).sort()).toEqual(['first', 'second', 'third']);
    for (const { round, count, last } of rows) {
      expect(count).toBeGreaterThanOrEqual(acknowledged.get(round) ?? Infinity);
      expect(count % 10).toBe(0);
      expect(last).toBe(count - 1);
    }
  });

  it('during the first start leaves a folder that can be started', async () => {
    const dataDir = databases.folder();
    const writer = startWriter(dataDir, 'x');
    const exited = once(writer, 'exit');
    while (!fs.existsSync(path.join(dataDir, 'db.new', 'PG_VERSION'))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    writer.kill('SIGKILL');
    await exited;
    const { db } = await databases.open({ dataDir });
    expect((await sql`select 1 as v`.execute(db)).rows).toEqual([{ v: 1 }]);
  });
});

describe('fsync', () => {
  it('reaches the WAL before a commit is acknowledged', async () => {
    const { engine, synced, wal } = await watchedEngine();
    await engine.exec('create table t (v text)');
    synced.clear();
    await engine.query(`insert into t values ('x')`);
    expect(synced).toContain(inode(path.join(wal, currentSegment(wal))));
    await engine.close();
  });

  it('reaches data files and the control file in a checkpoint', async () => {
    const { engine, synced, folder } = await watchedEngine();
    await engine.exec(`create table t as select repeat('x', 100) from generate_series(1, 1000)`);
    const { rows } = await engine.query<{ file: string }>(`select pg_relation_filepath('t') as file`);
    synced.clear();
    await engine.exec('checkpoint');
    expect(synced).toContain(inode(path.join(folder, rows[0]?.file ?? '')));
    expect(synced).toContain(inode(path.join(folder, 'global/pg_control')));
    await engine.close();
  });

  it('reaches the folder when a segment of the WAL is new', async () => {
    const { engine, synced, wal } = await watchedEngine();
    await engine.exec('create table t (v int)');
    synced.clear();
    // Some segments have been made ahead.
    for (let n = 0; n < 5; n++) await engine.exec('select pg_switch_wal(); insert into t values (1)');
    expect(synced).toContain(inode(wal));
    await engine.close();
  });

  it('reaches every file and folder of a new database before it gets its name', async () => {
    const rename = fs.renameSync;
    const before: number[] = [];
    let unsynced: string[] | undefined;
    const synced = watchFsync();
    jest.spyOn(fs, 'renameSync').mockImplementation((from, to) => {
      if (String(from).endsWith('.new')) {
        before.push(...synced);
        const names = fs.readdirSync(from, { recursive: true, encoding: 'utf8' });
        unsynced = names.filter((name) => !synced.has(inode(path.join(String(from), name))));
      }
      rename(from, to);
    });
    const { engine, folder } = await openIn(databases.folder());
    expect(unsynced).toEqual([]);
    expect(synced.has(inode(path.dirname(folder)))).toBe(true);
    expect(before.length).toBeGreaterThan(900);
    await engine.close();
  });

  it('ends the thread when it fails: a second one would lie', async () => {
    const failures: unknown[] = [];
    const durableFs = new DurableFs(databases.folder(), (error) => {
      failures.push(error);
      throw error;
    });
    const { emscriptenOpts } = await durableFs.init(null as never, {});
    const streamOps: { fsync?: (file: { nfd: number }) => number } = {};
    const pretended = { NODEFS: { stream_ops: streamOps }, FS: { mkdirTree: () => undefined, mount: () => undefined } };
    for (const step of emscriptenOpts.preRun ?? []) step(pretended as never);
    expect(() => streamOps.fsync?.({ nfd: -1 })).toThrow('out of range');
    expect(failures).toHaveLength(1);
  });

  it('is checked at every start: a PGlite that no longer calls it is refused', async () => {
    jest.spyOn(DurableFs.prototype, 'init').mockImplementation(async function (this: DurableFs, pg, options) {
      return await NodeFS.prototype.init.call(this, pg, options);
    });
    await expect(openIn(databases.folder())).rejects.toThrow('does not fsync');
  });
});

function startWriter(dataDir: string, round: string): ChildProcess {
  const script = fileURLToPath(new URL('./embedded-writer.ts', import.meta.url));
  return spawn(process.execPath, [script, dataDir, round], { stdio: ['ignore', 'pipe', 'inherit'] });
}

async function watchedEngine() {
  const synced = watchFsync();
  const opened = await openIn(databases.folder());
  return { ...opened, synced, wal: path.join(opened.folder, 'pg_wal') };
}

async function openIn(dataDir: string) {
  const folder = path.join(dataDir, 'db');
  const engine = await openEngine(folder, (error) => {
    throw error;
  });
  return { engine, folder };
}

/** The inodes that have gone through fsync. */
function watchFsync(): Set<number> {
  const synced = new Set<number>();
  const fsync = fs.fsyncSync;
  jest.spyOn(fs, 'fsyncSync').mockImplementation((fd) => {
    fsync(fd);
    synced.add(fs.fstatSync(fd).ino);
  });
  return synced;
}

function inode(name: string): number {
  return fs.statSync(name).ino;
}

function currentSegment(wal: string): string {
  return (
    fs
      .readdirSync(wal)
      .filter((name) => /^[0-9A-F]{24}$/.test(name))
      .sort()[0] ?? ''
  );
}
