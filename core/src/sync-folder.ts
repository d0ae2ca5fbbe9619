import { open } from 'node:fs/promises';

/** Puts a folder's entries on stable storage: a file that is fsynced can still vanish with its name. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open folders, and its file systems journal their entries.
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
