import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { loadSecrets } from '../src/secrets-file.ts';

let dataDir: string;
beforeEach(async () => {
  dataDir = await mkdtemp(path.join(tmpdir(), 'switchyard-secrets-'));
});
afterEach(() => rm(dataDir, { recursive: true }));

const unset = { jwtSecret: null, encryptionKey: null };

describe('secrets of an installation', () => {
  it('are made at the first start, for the owner alone, and are the same at the next', async () => {
    const first = await loadSecrets({ ...unset, dataDir });
    expect(first.jwtSecret).toHaveLength(32);
    expect(first.encryptionKey).toHaveLength(32);
    expect(first.encryptionKey).not.toEqual(first.jwtSecret);
    expect((await readdir(dataDir)).sort()).toEqual(['encryption-key', 'jwt-secret']);
    for (const file of ['encryption-key', 'jwt-secret'])
      expect((await stat(path.join(dataDir, file))).mode & 0o777).toBe(0o600);
    expect(await loadSecrets({ ...unset, dataDir })).toEqual(first);
  });

  it('come from the settings where they are set, and then leave nothing in DATA_DIR', async () => {
    const settings = { jwtSecret: 'j'.repeat(32), encryptionKey: 'j'.repeat(32), dataDir };
    const { jwtSecret, encryptionKey } = await loadSecrets(settings);
    expect(await readdir(dataDir)).toEqual([]);
    expect(jwtSecret).not.toEqual(encryptionKey);
    expect(await loadSecrets(settings)).toEqual({ jwtSecret, encryptionKey });
  });

  it('go on after a crash in the middle of the first start', async () => {
    await writeFile(path.join(dataDir, 'encryption-key.new'), 'half a k');
    const { encryptionKey } = await loadSecrets({ ...unset, dataDir });
    expect((await loadSecrets({ ...unset, dataDir })).encryptionKey).toEqual(encryptionKey);
  });

  it('are never replaced when their file is damaged', async () => {
    const file = path.join(dataDir, 'encryption-key');
    await writeFile(file, 'cut');
    await expect(loadSecrets({ ...unset, dataDir })).rejects.toMatchObject({
      code: 'SETTING_INVALID',
      message: expect.stringMatching(/ENCRYPTION_KEY is not set.*damaged.*Restore the file/),
    });
    expect(await readFile(file, 'utf8')).toBe('cut');
  });
});
