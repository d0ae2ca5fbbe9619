import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);

/** Runs a plugin's `open` in a process of its own, with the handlers installed as main does, and gives back what was seen. */
async function run(body: string): Promise<{ lines: string[]; code: number }> {
  const source = `
    import { containEscapes, inCore } from ${module('plugin-host/scope.ts')};
    import { PluginInstance } from ${module('plugin-host/instance.ts')};
    import net from 'node:net';
    import { EventEmitter } from 'node:events';
    const say = (...words) => console.log(words.join(' '));
    containEscapes({
      plugin: (scope, error) => say('plugin', scope.kind, scope.type, scope.instance, error?.message ?? error),
      core: (error) => { say('core', error.message); process.exitCode = 70; },
    });
    const instance = new PluginInstance({
      scope: { kind: 'destination', type: 'fixture', instance: 'i1' },
      create: () => ({ open: async (signal) => { ${body} }, work: (signal) => new Promise(() => { signal.addEventListener('abort', () => { throw new Error('abort listener'); }); }) }),
      logger: { debug() {}, info() {}, warn() {}, error() {} },
      onFault: (fault) => say('fault', fault),
      timing: { graceMs: 10 },
    });
    instance.start();
    say(await instance.ready);
    await instance.call('work', (plugin, signal) => plugin.work(signal), { deadlineMs: 5 });
    setTimeout(() => say('alive'), 30);`;
  const running = promisify(execFile)(process.execPath, [
    '--conditions=@switchyard/source',
    '--input-type=module',
    '--eval',
    source,
  ]);
  const { stdout, code } = await running.then(
    (done) => ({ ...done, code: 0 }),
    (error: { stdout: string; code: number }) => error,
  );
  return { lines: stdout.trim().split('\n'), code };
}

describe('what a plugin lets go of outside of its calls', () => {
  it('is put down to the plugin, and the process lives on', async () => {
    const { lines, code } = await run(`
      setTimeout(() => { throw new Error('timer'); }, 1);
      setImmediate(() => { new EventEmitter().emit('error', new Error('emitter')); });
      process.nextTick(() => { throw new Error('tick'); });
      queueMicrotask(() => { throw new Error('microtask'); });
      void Promise.reject(new Error('rejected'));
      void (async () => { await new Promise((resolve) => setTimeout(resolve, 2)); throw new Error('rejected later'); })();
      net.connect(1, '127.0.0.1');
    `);
    expect(code).toBe(0);
    const plugin = (message: string): unknown =>
      expect.stringMatching(new RegExp(`^plugin destination fixture i1 ${message}`));
    for (const message of [
      'timer',
      'emitter',
      'tick',
      'microtask',
      'rejected$',
      'rejected later',
      'connect ECONNREFUSED',
      'abort listener',
    ]) {
      expect(lines).toContainEqual(plugin(message));
    }
    expect(lines).toEqual(expect.arrayContaining(['open', 'fault timed_out', 'alive']));
  });

  it('is not mixed up with what core does on its behalf', async () => {
    const { lines } = await run(`inCore(() => setTimeout(() => { throw new Error('a bug of ours'); }, 1));`);
    expect(lines).toContain('core a bug of ours');
  });
});
