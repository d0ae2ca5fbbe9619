import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const module = (name: string): string => JSON.stringify(new URL(`../../src/${name}`, import.meta.url).href);

describe('an emit that the plugin does not wait for', () => {
  it('is put down to the plugin when it is refused, and what core does for it to core', async () => {
    const source = `
      import { containEscapes } from ${module('plugin-host/scope.ts')};
      import { PluginInstance } from ${module('plugin-host/instance.ts')};
      import { RunningSource } from ${module('ingress/running-source.ts')};
      containEscapes({
        plugin: ({ type }, error) => console.log('plugin', type, error.message),
        core: (error) => { console.log('core', error.message); },
      });
      const logger = { debug() {}, info() {}, warn() {}, error() {} };
      const ended = Promise.withResolvers();
      const instance = new PluginInstance({
        scope: { kind: 'source', type: 'careless', instance: 'i1' },
        create: () => ({
          run: async (emit, signal) => {
            void emit([]);
            void emit('not an array');
            await new Promise((resolve) => signal.addEventListener('abort', resolve));
            setTimeout(() => { void emit([]); setImmediate(ended.resolve); });
          },
        }),
        logger,
        onFault: () => {},
      });
      const accept = async () => { setTimeout(() => { throw new Error('a bug of ours'); }); throw new Error('refused'); };
      const running = new RunningSource({ revision: 1, instance, accept, logger, timing: { firstRetryMs: 1, longestRetryMs: 1 } });
      setTimeout(() => void running.stop().then(() => ended.promise).then(() => console.log('alive')), 20);`;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@switchyard/source',
      '--input-type=module',
      '--eval',
      source,
    ]);
    expect(stdout.trim().split('\n').toSorted()).toEqual([
      'alive',
      'core a bug of ours',
      'plugin careless This run is over: nothing was stored.',
      'plugin careless emit takes an array of drafts.',
      'plugin careless refused',
    ]);
  });
});
