import { execFile } from 'node:child_process';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { discoverPlugins, type DiscoveryOptions } from '../../src/plugin-host/discover.ts';
import type { PluginRegistry } from '../../src/plugin-host/registry.ts';
import { FixtureFolder, definitionSource, type PackageOptions } from './fixture-packages.ts';

let folder: FixtureFolder;
beforeEach(async () => {
  folder = await FixtureFolder.make();
});
afterEach(() => folder.remove());

function discover(options: Partial<DiscoveryOptions> = {}): Promise<PluginRegistry> {
  return discoverPlugins({
    pluginsDirectory: path.join(folder.path, 'plugins'),
    listed: [],
    workingDirectory: folder.path,
    coreVersion: '0.1.4',
    ...options,
  });
}

const names = (registry: PluginRegistry): string[] => registry.list().map(({ kind, type }) => `${kind} ${type}`);

describe('discovery', () => {
  it('finds the packages under plugins/ that have the switchyard key, of every kind', async () => {
    await folder.package('plugins/sources/a', { kind: 'source', type: 'a' });
    await folder.package('plugins/transforms/b', { kind: 'transform', type: 'b' });
    await folder.package('plugins/destinations/c', { kind: 'destination', type: 'c' });
    await folder.package('plugins/destinations/helper', { manifest: { switchyard: undefined } });
    await mkdir(path.join(folder.path, 'plugins/destinations/empty'));
    await writeFile(path.join(folder.path, 'plugins/destinations/README.md'), '');
    expect(names(await discover())).toEqual(['source a', 'transform b', 'destination c']);
  });

  it('is content without a plugins folder', async () => {
    expect(names(await discover())).toEqual([]);
    expect(names(await discover({ pluginsDirectory: null }))).toEqual([]);
  });

  it('finds what PLUGINS lists: relative and absolute paths, installed packages with and without a scope, links', async () => {
    await folder.package('here', { type: 'relative' });
    const elsewhere = await FixtureFolder.make();
    const absolute = await elsewhere.package('deep/there', { type: 'absolute' });
    await folder.package('node_modules/switchyard-x', { type: 'installed' });
    await folder.package('node_modules/@acme/switchyard-y', { type: 'scoped' });
    const target = await elsewhere.package('workspace', { type: 'linked' });
    await symlink(target, path.join(folder.path, 'node_modules/linked'));
    const registry = await discover({ listed: ['./here', absolute, 'switchyard-x', '@acme/switchyard-y', 'linked'] });
    expect(names(registry).sort()).toEqual(
      ['absolute', 'installed', 'linked', 'relative', 'scoped'].map((type) => `destination ${type}`),
    );
    await elsewhere.remove();
  });

  it('finds an installed package in a node_modules further up', async () => {
    await folder.package('node_modules/switchyard-x', { type: 'installed' });
    expect(
      names(await discover({ listed: ['switchyard-x'], workingDirectory: path.join(folder.path, 'a/b') })),
    ).toEqual(['destination installed']);
  });

  it('takes a package once, whichever ways lead to it', async () => {
    const directory = await folder.package('plugins/destinations/a');
    await mkdir(path.join(folder.path, 'node_modules'));
    await symlink(directory, path.join(folder.path, 'node_modules/fixture-a'));
    expect(names(await discover({ listed: ['./plugins/destinations/a', 'fixture-a'] }))).toEqual([
      'destination fixture',
    ]);
  });

  it('loads our own packages from their sources, as this test runs on sources', async () => {
    await folder.package('plugins/destinations/a', {
      manifest: {
        exports: {
          '.': { '@switchyard/source': './src/index.ts', types: './dist/index.d.ts', default: './dist/index.js' },
        },
      },
      files: {
        'src/index.ts': `interface Unused { readonly x: string }\nexport { default } from '../index.js';\nexport type { Unused };\n`,
      },
    });
    expect(names(await discover())).toEqual(['destination fixture']);
  });

  it.each<[string, PackageOptions]>([
    [
      'conditions',
      { manifest: { exports: { '.': { require: './no.cjs', import: { types: './no.d.ts', node: './index.js' } } } } },
    ],
    ['a fallback list', { manifest: { exports: [{ browser: './no.js' }, './index.js'] } }],
    [
      'main',
      {
        manifest: { exports: undefined, main: 'lib/main.js' },
        files: { 'lib/main.js': "export { default } from '../index.js';" },
      },
    ],
    ['neither exports nor main', { manifest: { exports: undefined } }],
    [
      'another entry',
      {
        manifest: {
          exports: { '.': './no.js', './plugin': './index.js' },
          switchyard: { kind: 'destination', type: 'fixture', engine: '*', entry: './plugin' },
        },
      },
    ],
    ['no entry', { manifest: { switchyard: { kind: 'destination', type: 'fixture', engine: '*' } } }],
    [
      'a CommonJS package with an ES module',
      {
        manifest: { type: 'commonjs', exports: './plugin.mjs' },
        files: { 'plugin.mjs': `export default ${definitionSource.destination};` },
      },
    ],
  ])('resolves an entry given by %s', async (_, options) => {
    await folder.package('plugins/destinations/a', options);
    expect(names(await discover())).toEqual(['destination fixture']);
  });

  it('works the same under Node itself, without a test runner', async () => {
    await folder.package('plugins/destinations/a');
    await folder.package('node_modules/switchyard-x', { type: 'installed' });
    const elsewhere = await FixtureFolder.make();
    const absolute = await elsewhere.package('x', { type: 'absolute' });
    const source = `
      import { discoverPlugins } from ${JSON.stringify(new URL('../../src/plugin-host/discover.ts', import.meta.url).href)};
      const registry = await discoverPlugins(JSON.parse(process.argv[1]));
      console.log(registry.list().map(({ type }) => type).join());`;
    const options = {
      pluginsDirectory: path.join(folder.path, 'plugins'),
      listed: ['switchyard-x', absolute],
      workingDirectory: folder.path,
      coreVersion: '0.1.0',
    };
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@switchyard/source',
      '--input-type=module',
      '--eval',
      source,
      JSON.stringify(options),
    ]);
    expect(stdout.trim()).toBe('absolute,fixture,installed');
    await elsewhere.remove();
  });
});

describe('a plugin that cannot be used', () => {
  const cases: readonly [string, PackageOptions, string][] = [
    [
      'a package.json that is not JSON',
      { files: { 'package.json': '{' } },
      'plugins/destinations/a: its package.json is not JSON',
    ],
    ['a package.json that is no object', { files: { 'package.json': '[]' } }, 'is not a JSON object'],
    ['no version', { manifest: { version: undefined } }, 'needs a name and a version'],
    [
      'a key that is no object',
      { manifest: { switchyard: true } },
      '"switchyard" in its package.json must be an object, such as {"kind"',
    ],
    [
      'an unknown kind',
      { manifest: { switchyard: { kind: 'sink', type: 'x', engine: '*' } } },
      'must be one of source, transform, destination',
    ],
    [
      'a bad type',
      { manifest: { switchyard: { kind: 'source', type: 'Web Hook', engine: '*' } } },
      'lower-case letters, digits and hyphens',
    ],
    [
      'no engine',
      { manifest: { switchyard: { kind: 'source', type: 'x' } } },
      '"switchyard.engine" in its package.json must be a version range',
    ],
    ['an engine that is no range', { engine: 'latest' }, 'its engine range "latest" is not a version range'],
    [
      'an engine that does not fit',
      { engine: '^2.0.0' },
      'it works with Switchyard ^2.0.0, and this is 0.1.4: install a version of the plugin that fits',
    ],
    [
      'an entry outside of the package',
      { manifest: { exports: '../../../outside.js' } },
      'lies outside of the package',
    ],
    [
      'an entry that is a path',
      { manifest: { switchyard: { kind: 'source', type: 'x', engine: '*', entry: '/etc/passwd' } } },
      "must be one of the package's exports",
    ],
    [
      'an entry that is not exported',
      { manifest: { exports: { './other': './index.js' } } },
      'exports nothing for the entry "."',
    ],
    [
      'an entry that is not built',
      { manifest: { exports: './dist/index.js' } },
      'its entry ./dist/index.js does not exist: build the package (in this repository: npm run build)',
    ],
    [
      'a module that throws',
      { files: { 'index.js': 'throw new TypeError("boom");' } },
      'package fixture-a: importing it failed (TypeError: boom)',
    ],
    ['a syntax error', { files: { 'index.js': 'export default {{' } }, 'importing it failed (SyntaxError'],
    [
      'an import that is missing',
      { files: { 'index.js': 'import "no-such-package-at-all";' } },
      'no-such-package-at-all',
    ],
    ['no default export', { files: { 'index.js': 'export const x = 1;' } }, 'its default export is not a definition'],
    [
      'another type than the key',
      { edit: (source) => source.replace("type: 'fixture'", "type: 'other'") },
      'package.json says type "fixture", the definition "other"',
    ],
    [
      'another kind than the key',
      { edit: (source) => source.replace("kind: 'destination'", "kind: 'source'") },
      'package.json says kind "destination", the definition "source"',
    ],
    ['no title', { edit: (source) => source.replace("title: 'Fixture'", "title: ''") }, '"title" must be a text'],
    ['no create', { edit: (source) => source.replace('create:', 'make:') }, '"create" must be a function'],
    [
      'an open schema',
      { edit: (source) => source.replace('additionalProperties: false', 'additionalProperties: true') },
      'must set additionalProperties to false',
    ],
    [
      'a schema of no object',
      { edit: (source) => source.replace("type: 'object'", "type: 'array'") },
      '"config" must be the JSON Schema of an object',
    ],
    [
      'a schema with an unknown keyword',
      { edit: (source) => source.replace("{ type: 'string' }", "{ type: 'string', maxLenght: 3 }") },
      'maxLenght',
    ],
    [
      'a secret behind a reference',
      {
        edit: (source) =>
          source
            .replace("{ type: 'string' }", "{ $ref: '#/$defs/s' }")
            .replace("type: 'object',", "type: 'object', $defs: { s: { type: 'string', 'x-secret': true } },"),
      },
      'a secret where it would not be encrypted',
    ],
    [
      'no examples',
      { edit: (source) => source.replace("[{ title: 'One', config: {} }]", '[]') },
      '"examples" must hold at least one',
    ],
    [
      'no concurrency',
      { edit: (source) => source.replace('concurrency: 1', 'concurrency: 0') },
      '"capabilities.concurrency" must be a whole number from 1',
    ],
    [
      'a door that does not exist',
      { edit: (source) => source.replace('create:', "requires: ['network'], create:") },
      '"requires" knows only "database"',
    ],
    [
      'a transform with a secret',
      {
        kind: 'transform',
        edit: (source) =>
          source.replace(/properties: \{[^}]*\}/, "properties: { key: { type: 'string', 'x-secret': true } }"),
      },
      'so they take no secrets',
    ],
    [
      'a transform without a batch size',
      { kind: 'transform', edit: (source) => source.replace('maxEvents: 10', '') },
      '"batch.maxEvents" must be a whole number from 1',
    ],
    [
      'a source with a route that is a pattern',
      { kind: 'source', edit: (source) => source.replace("'/x'", "'/x/:id'") },
      '"routes[0]" needs a name',
    ],
    [
      'a source that finds no key',
      { kind: 'source', edit: (source) => source.replace('credential:', 'credentials:') },
      '"credential" must be a function',
    ],
  ];

  it.each(cases)('%s is named with the package, the reason and the fix', async (_, options, expected) => {
    await folder.package('plugins/destinations/a', options);
    const error: unknown = await discover().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'PLUGIN_NOT_LOADABLE',
      message: expect.stringContaining(expected),
    });
  });

  it('that PLUGINS names and nobody has installed comes with the command', async () => {
    await expect(discover({ listed: ['@acme/nowhere'] })).rejects.toThrow(
      'PLUGINS names @acme/nowhere: no such package is installed: run npm install @acme/nowhere',
    );
  });

  it('that PLUGINS names by a path where there is none, or no plugin, says so', async () => {
    await folder.package('helper', { manifest: { switchyard: undefined } });
    await expect(discover({ listed: ['./nowhere'] })).rejects.toThrow(
      'it is not a Switchyard plugin, or the path is wrong',
    );
    await expect(discover({ listed: ['./helper'] })).rejects.toThrow(
      'it is not a Switchyard plugin, or the path is wrong',
    );
  });

  it('because its type is taken names both packages', async () => {
    await folder.package('plugins/destinations/a');
    await folder.package('plugins/destinations/b');
    await expect(discover()).rejects.toThrow(
      'package fixture-b: destination fixture is already provided by package fixture-a',
    );
  });

  it('may have the type of a plugin of another kind', async () => {
    await folder.package('plugins/destinations/a');
    await folder.package('plugins/sources/a', { kind: 'source' });
    expect(names(await discover())).toEqual(['source fixture', 'destination fixture']);
  });

  it('does not hide the next one: all problems are reported together', async () => {
    await folder.package('plugins/destinations/a', { engine: '^2.0.0' });
    await folder.package('plugins/destinations/b', {
      edit: (source) => source.replace('create:', 'make:').replace("stability: 'stable'", "stability: 'solid'"),
    });
    await folder.package('plugins/destinations/c', { type: 'good' });
    const error: unknown = await discover({ listed: ['nowhere'] }).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ message: expect.stringContaining('3 problems') });
    for (const part of [
      'package fixture-a',
      'package fixture-b',
      '"stability" must be',
      '"create" must be',
      'PLUGINS names nowhere',
    ]) {
      expect(error).toMatchObject({ message: expect.stringContaining(part) });
    }
  });
});

describe('the registry', () => {
  it('lists what people choose from, as data', async () => {
    await folder.package('plugins/sources/a', { kind: 'source', type: 'a' });
    await folder.package('plugins/destinations/c', { type: 'c' });
    const list = (await discover()).list();
    expect(JSON.parse(JSON.stringify(list))).toMatchObject([
      { kind: 'source', type: 'a', capabilities: { routes: [{ name: 'post', method: 'POST', path: '/x' }] } },
      {
        kind: 'destination',
        type: 'c',
        title: 'Fixture',
        summary: 'For tests.',
        stability: 'stable',
        package: 'fixture-c',
        version: '1.2.3',
        config: { type: 'object' },
        config_version: 1,
        examples: [{ title: 'One', config: {} }],
        capabilities: { batch: { maxEvents: 1 }, concurrency: 1, ordering: 'none' },
      },
    ]);
  });

  it('finds by kind and type, and names what there is when there is no such plugin', async () => {
    await folder.package('plugins/destinations/c', { type: 'c' });
    const registry = await discover();
    expect(registry.get('destination', 'c').packageName).toBe('fixture-c');
    expect(registry.find('source', 'c')).toBeUndefined();
    expect(registry.find('destination', 'constructor')).toBeUndefined();
    expect(() => registry.get('destination', 'kafka')).toThrow(
      'There is no destination of the type "kafka". Installed: c.',
    );
    expect(() => registry.get('source', 'http')).toThrow('No source is installed.');
  });
});
