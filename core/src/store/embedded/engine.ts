import fs from 'node:fs';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { DurableFs, fsyncDirectory, fsyncTree } from './durable-fs.ts';

const startParams = [
  // -F would turn fsync off.
  ...PGlite.defaultStartParams.filter((parameter) => parameter !== '-F'),
  ...Object.entries({
    fsync: 'on',
    // The only method that reaches DurableFs.
    wal_sync_method: 'fsync',
    // PostgreSQL's defaults are for a server: they cost 128 MB of memory and 1 GB of WAL.
    shared_buffers: '16MB',
    min_wal_size: '32MB',
    max_wal_size: '128MB',
    TimeZone: 'UTC',
  }).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
];

/** PGlite's private POSTGRES_MAIN_LONGJMP. */
const JUMP_TO_MAIN_LOOP = 100;

/**
 * Opens the PGlite database in a folder, making it first if there is none.
 * A new one is made beside its place, fsynced whole and then renamed: a power cut leaves either a complete database
 * or none. PGlite takes no lock: the caller sees to it that one process opens a folder (`DATA_DIR` has a lock file).
 */
export async function openEngine(directory: string, onFailure: (error: unknown) => never): Promise<PGlite> {
  if (!fs.existsSync(path.join(directory, 'PG_VERSION'))) {
    await create(directory, onFailure);
  }
  return await open(directory, onFailure);
}

async function create(directory: string, onFailure: (error: unknown) => never): Promise<void> {
  const unfinished = `${directory}.new`;
  fs.rmSync(unfinished, { recursive: true, force: true });
  fs.mkdirSync(unfinished, { recursive: true, mode: 0o700 });
  const engine = await open(unfinished, onFailure);
  await engine.close();
  fsyncTree(unfinished);
  fs.renameSync(unfinished, directory);
  fsyncDirectory(path.dirname(directory));
}

async function open(directory: string, onFailure: (error: unknown) => never): Promise<PGlite> {
  const durableFs = new DurableFs(directory, onFailure);
  let lastWords = '';
  const engine = await PGlite.create({
    fs: durableFs,
    startParams,
    onStderr: (text) => {
      if (/\b(PANIC|FATAL)\b/.test(text)) lastWords = text;
      return false;
    },
  });
  endOnCrash(engine, (error) => {
    const said = lastWords || (error instanceof Error ? error.message : String(error));
    onFailure(new Error(`PGlite crashed in the middle of a query: ${said}`));
  });
  try {
    await checkDurability(engine, durableFs);
  } catch (error) {
    await engine.close();
    throw error;
  }
  return engine;
}

/**
 * PGlite swallows what ends PostgreSQL (a PANIC on a full disk, a stack overflow) and goes on with what is left of it:
 * statements then seem to succeed without a row, or never end. PostgreSQL's own errors are one kind of exception, a
 * jump back to its main loop; any other is the end.
 */
function endOnCrash(engine: PGlite, onCrash: (error: unknown) => void): void {
  const module = engine.Module;
  const mainLoopOnce = module._PostgresMainLoopOnce;
  module._PostgresMainLoopOnce = () => {
    try {
      mainLoopOnce();
    } catch (error) {
      if ((error as { status?: unknown }).status !== JUMP_TO_MAIN_LOOP) onCrash(error);
      throw error;
    }
  };
}

/** DurableFs hangs on undocumented parts of PGlite: better no start than a promise that an update has quietly broken. */
async function checkDurability(engine: PGlite, durableFs: DurableFs): Promise<void> {
  const { rows } = await engine.query<{ fsync: string; method: string }>(
    `select current_setting('fsync') as fsync, current_setting('wal_sync_method') as method`,
  );
  const before = durableFs.syncs;
  await engine.exec('checkpoint');
  if (rows[0]?.fsync !== 'on' || rows[0].method !== 'fsync' || durableFs.syncs === before) {
    throw new Error('the embedded database does not fsync with this version of PGlite');
  }
}
