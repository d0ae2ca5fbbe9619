import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openDataDir } from '../src/data-dir.ts';

let folder: string;
const holders: ChildProcess[] = [];
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'switchyard-data-'));
});
afterEach(async () => {
  for (const holder of holders.splice(0)) await kill(holder);
  await rm(folder, { recursive: true, force: true });
});

/** Another process that holds the folder: with the source as it is, through Node's own loader. */
async function hold(directory: string): Promise<ChildProcess> {
  const source = `
    import { openDataDir } from ${JSON.stringify(new URL('../src/data-dir.ts', import.meta.url).href)};
    await openDataDir(process.argv[1]);
    process.send('held');
    setInterval(() => {}, 1000);`;
  const holder = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', source, directory],
    {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  );
  holders.push(holder);
  await once(holder, 'message');
  return holder;
}

async function kill(holder: ChildProcess): Promise<void> {
  if (holder.exitCode !== null || holder.signalCode !== null) return;
  const ended = once(holder, 'exit');
  holder.kill('SIGKILL');
  await ended;
}

describe('DATA_DIR', () => {
  it('is made for its owner alone, parents included', async () => {
    const directory = path.join(folder, 'a', 'b');
    const opened = await openDataDir(directory);
    expect(opened.path).toBe(directory);
    for (const made of [directory, path.dirname(directory)]) expect((await stat(made)).mode & 0o777).toBe(0o700);
    await opened.release();
  });

  it('is refused while another process has it, naming that process and what to do', async () => {
    const holder = await hold(folder);
    await expect(openDataDir(folder)).rejects.toMatchObject({
      code: 'DATA_DIR_LOCKED',
      message: expect.stringMatching(
        new RegExp(`pid ${holder.pid} on .*since .*Stop that process, or start this one with another DATA_DIR`),
      ),
      details: { pid: holder.pid },
    });
  });

  it('is free again as soon as its holder was killed with -9', async () => {
    for (let round = 0; round < 3; round++) await kill(await hold(folder));
    const opened = await openDataDir(folder);
    expect(opened.path).toBe(folder);
    await opened.release();
  });

  it('stays locked while its holder is only stopped', async () => {
    const holder = await hold(folder);
    holder.kill('SIGSTOP');
    await expect(openDataDir(folder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    holder.kill('SIGCONT');
  });

  it('is refused a second time in the same process, and the refusal does not loosen the lock', async () => {
    const opened = await openDataDir(folder);
    await expect(openDataDir(folder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await expect(openDataDir(folder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
    await opened.release();
    await opened.release();
    const again = await openDataDir(folder);
    await again.release();
  });

  it('can be taken over after a release by a process that lives on', async () => {
    const opened = await openDataDir(folder);
    await opened.release();
    await hold(folder);
    await expect(openDataDir(folder)).rejects.toMatchObject({ code: 'DATA_DIR_LOCKED' });
  });

  it('lets exactly one of several processes in when they start together', async () => {
    const results = await Promise.allSettled(Array.from({ length: 5 }, () => openDataDir(folder)));
    const winners = results.filter((result) => result.status === 'fulfilled');
    expect(winners).toHaveLength(1);
    await winners[0]?.value.release();
  });

  it('that is a file or lies in one is a setting to mend', async () => {
    const file = path.join(folder, 'file');
    await writeFile(file, '');
    for (const directory of [file, path.join(file, 'below')]) {
      await expect(openDataDir(directory)).rejects.toMatchObject({
        code: 'SETTING_INVALID',
        message: expect.stringContaining('must be a folder that this user may write to'),
      });
    }
  });
});
