import fs from 'node:fs';
import path from 'node:path';
import { jest } from '@jest/globals';
import type { PGlite } from '@electric-sql/pglite';
import { openEngine } from '../../src/store/embedded/engine.ts';
import { Databases } from './databases.ts';

// A first start of PGlite takes seconds, and every power cut is followed by a recovery.
jest.setTimeout(120_000);

const databases = new Databases();
afterEach(async () => {
  jest.restoreAllMocks();
  await databases.clean();
});

it('loses no acknowledged row when everything that was not fsynced is gone', async () => {
  const place = databases.folder();
  const folder = path.join(place, 'db');
  await (await open(folder)).close();

  const disk = new WorstDisk(folder, path.join(place, 'disk'));
  const engine = await open(folder);
  await engine.exec('create table t (n int primary key, filler text)');
  const cuts: { folder: string; acknowledged: number }[] = [];
  let acknowledged = 0;
  // At any fsync: some are commits, some in the middle of a checkpoint, some make a new segment of WAL.
  disk.onSync = (count) => {
    if (count % 41 === 0) cuts.push({ folder: disk.copy(path.join(place, `cut-${count}`)), acknowledged });
  };
  for (let n = 1; n <= 150; n++) {
    await engine.query(`insert into t select $1::int, string_agg(md5(i::text), '') from generate_series(1, 5000) i`, [
      n,
    ]);
    acknowledged = n;
    if (n % 50 === 0) await engine.exec('checkpoint');
  }
  disk.onSync = () => undefined;
  await engine.close();
  jest.restoreAllMocks();

  expect(cuts.length).toBeGreaterThan(3);
  for (const cut of cuts) {
    const survivor = await open(cut.folder);
    const { rows } = await survivor.query<{ count: number; last: number; whole: boolean }>(
      `select count(*)::int as count, coalesce(max(n), 0) as last, coalesce(bool_and(length(filler) = 160000), true) as whole from t`,
    );
    // The commit that was under way may have made it or not.
    expect([cut.acknowledged, cut.acknowledged + 1]).toContain(rows[0]?.count);
    expect(rows[0]).toMatchObject({ last: rows[0]?.count, whole: true });
    await survivor.close();
  }
});

async function open(folder: string): Promise<PGlite> {
  return await openEngine(folder, (error) => {
    throw error;
  });
}

/**
 * A disk that keeps of a folder only what has been fsynced: of a file, its content at its last fsync (with its name, as
 * ext4, xfs and APFS do); of a folder, at its fsync, which names are gone.
 */
class WorstDisk {
  onSync: (count: number) => void = () => undefined;
  readonly #folder: string;
  readonly #kept: string;
  readonly #opened = new Map<number, string>();
  #count = 0;

  constructor(folder: string, kept: string) {
    this.#folder = folder;
    this.#kept = kept;
    fs.cpSync(folder, kept, { recursive: true });
    const { openSync, fsyncSync } = fs;
    jest.spyOn(fs, 'openSync').mockImplementation((name, flags, mode) => {
      const fd = openSync(name, flags, mode);
      this.#opened.set(fd, String(name));
      return fd;
    });
    jest.spyOn(fs, 'fsyncSync').mockImplementation((fd) => {
      fsyncSync(fd);
      this.#keep(this.#opened.get(fd) ?? '');
      this.onSync(++this.#count);
    });
  }

  copy(to: string): string {
    fs.cpSync(this.#kept, to, { recursive: true });
    return to;
  }

  #keep(name: string): void {
    const kept = path.join(this.#kept, path.relative(this.#folder, name));
    if (fs.statSync(name).isFile()) {
      fs.mkdirSync(path.dirname(kept), { recursive: true });
      fs.copyFileSync(name, kept);
      return;
    }
    for (const entry of fs.existsSync(kept) ? fs.readdirSync(kept) : []) {
      if (!fs.existsSync(path.join(name, entry))) fs.rmSync(path.join(kept, entry), { recursive: true });
    }
  }
}
