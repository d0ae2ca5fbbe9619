import assert from 'node:assert/strict';
import { spawn, spawnSync, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { aProject, aRecord } from '../support/events.ts';
import { aFolder } from '../support/folder.ts';
import { recordingLogger } from '../support/logger.ts';

type Writer = ChildProcessByStdio<null, Readable, null>;
const at = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const PARTITIONS = 3;

describe('a process that writes to the log', () => {
  let folder: Awaited<ReturnType<typeof aFolder>>;
  const project = aProject();
  const writers: Writer[] = [];

  const startWriter = (round: number, prefix: readonly string[] = []): Writer => {
    const [command, ...args] = [
      ...prefix,
      process.execPath,
      '--conditions=@switchyard/source',
      '--import',
      at('../support/typescript-loader.mjs'),
      at('./log-writer.ts'),
      folder.path,
      project,
      String(round),
    ];
    const writer = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    writers.push(writer);
    return writer;
  };
  /** Hands over each whole line that the process says, until it has ended. */
  const listen = async (writer: Writer, onLine: (line: string) => void): Promise<void> => {
    let rest = '';
    for await (const chunk of writer.stdout) {
      const lines = (rest + String(chunk)).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    }
  };
  const readAll = async (log: EmbeddedLog): Promise<string[]> => {
    const ids: string[] = [];
    for (let index = 0; index < PARTITIONS; index += 1) {
      const partition = { project, index };
      const { events, next } = await log.read(partition, 0, 1_000_000);
      expect(next).toBe(log.next(partition));
      expect(events.map(({ offset }) => offset)).toEqual(Array.from({ length: next }, (_, offset) => offset));
      expect(log.count(partition, 0, new Set(events.map(({ source }) => source)))).toBe(next);
      ids.push(...events.map(({ event }) => event.id));
    }
    return ids;
  };

  beforeEach(async () => void (folder = await aFolder()));
  afterEach(async () => {
    for (const writer of writers.splice(0))
      if (writer.exitCode === null && writer.signalCode === null) writer.kill('SIGKILL');
    await folder.remove();
  });

  test('loses nothing that it acknowledged when it is killed, and doubles nothing', async () => {
    const acknowledged = new Set<string>();
    for (let round = 0; round < 6; round += 1) {
      const writer = startWriter(round);
      const exited = once(writer, 'exit');
      // After a random number of acknowledgements: at any moment of the commits behind them.
      const last = 1 + Math.floor(Math.random() * 3000);
      let said = 0;
      await listen(writer, (line) => {
        expect(line).toMatch(/^\+/);
        acknowledged.add(line.slice(1));
        said += 1;
        if (said === last) writer.kill('SIGKILL');
      });
      expect(await exited).toEqual([null, 'SIGKILL']);

      const log = await EmbeddedLog.open({ directory: folder.path, logger: recordingLogger() });
      const stored = await readAll(log);
      await log.close();
      const there = new Set(stored);
      expect(there.size).toBe(stored.length);
      expect([...acknowledged].filter((id) => !there.has(id))).toEqual([]);
    }
    // It would prove nothing if hardly anything had been written.
    expect(acknowledged.size).toBeGreaterThan(100);
  }, 60_000);

  const hasPrlimit = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;
  // Without the tool there is no way to take room away from a process without being root.
  (hasPrlimit ? test : test.skip)(
    'answers 503 while its disk is full, and goes on by itself when there is room again',
    async () => {
      const writer = startWriter(0, ['prlimit', `--fsize=${400 * 1024}:unlimited`]);
      const acknowledged: string[] = [];
      let refused = 0;
      let afterwards = 0;
      await listen(writer, (line) => {
        if (line.startsWith('+')) {
          acknowledged.push(line.slice(1));
          if (refused >= 20) afterwards += 1;
          if (afterwards === 300) writer.kill('SIGKILL');
        } else {
          assert.equal(line, '!LOG_UNAVAILABLE');
          refused += 1;
          if (refused === 20) spawnSync('prlimit', ['--pid', String(writer.pid), '--fsize=unlimited']);
        }
      });
      assert.ok(refused >= 20, `${refused} refusals`);
      assert.ok(afterwards >= 300, `${afterwards} acknowledgements afterwards`);
      const log = await EmbeddedLog.open({ directory: folder.path, logger: recordingLogger() });
      const stored = await readAll(log);
      await log.append({ project, index: 0 }, [aRecord()]);
      await log.close();
      const there = new Set(stored);
      assert.equal(there.size, stored.length);
      assert.deepEqual(
        acknowledged.filter((id) => !there.has(id)),
        [],
      );
    },
    60_000,
  );
});
