import { hkdfSync, randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { hasErrno } from './errno.ts';
import { SwitchyardError } from './errors.ts';
import type { Settings } from './settings.ts';
import { syncFolder } from './sync-folder.ts';

/** 32 bytes each. */
export interface Secrets {
  readonly jwtSecret: Uint8Array;
  readonly encryptionKey: Uint8Array;
}

const BYTES = 32;

/**
 * The two secrets of an installation: from the settings, else from `DATA_DIR`, where they are made at the first start. Call it with `DATA_DIR` locked.
 *
 * A setting is a text of any form (hex, base64, a passphrase of 32 bytes), so the keys are derived from the text (HKDF-SHA256), each for its own purpose. A
 * file that is there but empty or cut is an error: a new key in its place would make every stored secret unreadable without a word.
 */
export async function loadSecrets({
  jwtSecret,
  encryptionKey,
  dataDir,
}: Pick<Settings, 'jwtSecret' | 'encryptionKey' | 'dataDir'>): Promise<Secrets> {
  return {
    jwtSecret: derive(
      jwtSecret ?? (await readOrMake(path.join(dataDir, 'jwt-secret'), 'JWT_SECRET')),
      'switchyard jwt',
    ),
    encryptionKey: derive(
      encryptionKey ?? (await readOrMake(path.join(dataDir, 'encryption-key'), 'ENCRYPTION_KEY')),
      'switchyard encryption',
    ),
  };
}

function derive(text: string, purpose: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', text, '', purpose, BYTES));
}

async function readOrMake(file: string, setting: string): Promise<string> {
  try {
    return await read(file, setting);
  } catch (error) {
    if (!hasErrno(error, 'ENOENT')) throw error;
  }
  await make(file);
  return read(file, setting);
}

async function read(file: string, setting: string): Promise<string> {
  const text = (await readFile(file, 'utf8')).trim();
  if (Buffer.byteLength(text) < BYTES) {
    throw new SwitchyardError(
      'SETTING_INVALID',
      `${setting} is not set, and the file that keeps it is damaged: ${file}. Restore the file from a backup. ` +
        'Deleting it makes a new one at the next start, but what the former one protected (stored secrets, logins) is then lost.',
    );
  }
  return text;
}

/** All of the file is on stable storage before it has its name, so a crash leaves it whole or missing. */
async function make(file: string): Promise<void> {
  const temporary = `${file}.new`;
  await rm(temporary, { force: true });
  const handle = await open(temporary, 'wx', 0o600);
  try {
    await handle.writeFile(`${randomBytes(BYTES).toString('base64url')}\n`);
    await handle.sync();
  } finally {
    await handle.close();
  }
  await rename(temporary, file);
  await syncFolder(path.dirname(file));
}
