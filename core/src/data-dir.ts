import { chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { SwitchyardError } from './errors.ts';
import { syncFolder } from './sync-folder.ts';

const LOCK_FILE = 'lock';
const HOLDER_FILE = 'lock.json';
const SQLITE_BUSY = 5;

interface Holder {
  readonly pid: number;
  readonly host: string;
  readonly since: string;
}

/** `DATA_DIR`, which this process alone has open until it releases it or ends. */
export interface DataDir {
  readonly path: string;
  release(): Promise<void>;
}

/**
 * Makes the folder if it is missing (for its owner only, and durably: what is fsynced inside must not vanish with the folder's own entry) and
 * locks it. Throws `DATA_DIR_LOCKED` when another process has it, `SETTING_INVALID` when the folder cannot be used.
 *
 * The lock is the kernel's: the exclusive transaction of an empty SQLite file, which is a POSIX record lock (LockFileEx on Windows). The kernel drops it
 * when the process ends in whatever way, and containers that share a volume see it. A file with a pid could do neither: a pid is reused, and means
 * nothing in another container. The holder's name is in a file of its own, because a process that opens and closes a locked file
 * itself would drop its own POSIX lock.
 */
export async function openDataDir(directory: string): Promise<DataDir> {
  await makeFolder(directory);
  const lock = await takeLock(directory);
  const holderFile = path.join(directory, HOLDER_FILE);
  const holder: Holder = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
  await writeFile(holderFile, `${JSON.stringify(holder)}\n`, { mode: 0o600 });
  let released = false;
  return {
    path: directory,
    release: async () => {
      if (released) return;
      released = true;
      // Before the lock goes: afterwards the file may be the next holder's.
      await rm(holderFile, { force: true });
      lock.close();
    },
  };
}

async function makeFolder(directory: string): Promise<void> {
  try {
    const first = await mkdir(directory, { recursive: true, mode: 0o700 });
    if (first !== undefined) await syncFolders(directory, path.dirname(first));
    if (!(await stat(directory)).isDirectory()) throw new Error('it is not a folder');
  } catch (error) {
    throw unusable(directory, error);
  }
}

/** From the new folder up to the first that was there before. */
async function syncFolders(from: string, to: string): Promise<void> {
  for (let folder = from; ; folder = path.dirname(folder)) {
    await syncFolder(folder);
    if (folder === to || folder === path.dirname(folder)) return;
  }
}

async function takeLock(directory: string): Promise<DatabaseSync> {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path.join(directory, LOCK_FILE), { timeout: 0 });
    // No journal file: nothing is ever written.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    await chmod(path.join(directory, LOCK_FILE), 0o600);
    return database;
  } catch (error) {
    database?.close();
    if (isBusy(error)) throw await lockedError(directory);
    throw unusable(directory, error);
  }
}

async function lockedError(directory: string): Promise<SwitchyardError> {
  const holder = await readHolder(directory);
  const who =
    holder === undefined
      ? 'which has not written its name yet'
      : `pid ${holder.pid} on ${holder.host}, since ${holder.since}`;
  return new SwitchyardError(
    'DATA_DIR_LOCKED',
    `Another process has DATA_DIR open (${who}): ${directory}. Stop that process, or start this one with another DATA_DIR.`,
    holder === undefined ? undefined : { ...holder },
  );
}

async function readHolder(directory: string): Promise<Holder | undefined> {
  try {
    const value: unknown = JSON.parse(await readFile(path.join(directory, HOLDER_FILE), 'utf8'));
    return isHolder(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isHolder(value: unknown): value is Holder {
  return (
    typeof value === 'object' &&
    value !== null &&
    'pid' in value &&
    typeof value.pid === 'number' &&
    'host' in value &&
    'since' in value
  );
}

function isBusy(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'errcode' in error && error.errcode === SQLITE_BUSY;
}

function unusable(directory: string, error: unknown): SwitchyardError {
  const reason = error instanceof Error ? error.message : String(error);
  return new SwitchyardError(
    'SETTING_INVALID',
    `DATA_DIR=${JSON.stringify(directory)} cannot be used: ${reason}. It must be a folder that this user may write to, on a file system with locks (a local disk).`,
    undefined,
    { cause: error },
  );
}
