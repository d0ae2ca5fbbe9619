import { existsSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { createMetrics } from '../src/observability/metrics.ts';

const root = path.join(import.meta.dirname, '../..');
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');
const under = (folder: string): string[] =>
  readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((file) => !/(^|\/)(node_modules|dist)\//.test(file))
    .map((file) => `${folder}/${file}`);

const pages = [
  'README.md',
  'CHANGELOG.md',
  'plugin-sdk/README.md',
  ...['docs', 'plugins', 'examples'].flatMap(under).filter((file) => file.endsWith('.md')),
];
const sample = 'examples/plugins/destination-ntfy';

/** The text without code blocks: what stands in them is no link of the page. */
const proseOf = (text: string): string => text.replaceAll(/^```[\s\S]*?^```/gm, '');

/** The anchor that GitHub gives a heading. */
const anchorOf = (heading: string): string =>
  heading
    .trim()
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
    .replaceAll(' ', '-');
const anchorsOf = (text: string): string[] =>
  [...proseOf(text).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

function brokenLinks(page: string): string[] {
  const links = [...proseOf(read(page)).matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link);
  return links.filter((link) => {
    if (/^[a-z]+:/.test(link)) return false;
    const [target = '', anchor] = link.split('#');
    const file = target === '' ? page : path.join(path.dirname(page), target);
    return !existsSync(path.join(root, file)) || (anchor !== undefined && !anchorsOf(read(file)).includes(anchor));
  });
}

/** Code spans that are paths from the root, such as `core/src/log/event-log.ts`; a folder may end with a slash. */
const pathsIn = (page: string): string[] =>
  [
    ...proseOf(read(page)).matchAll(
      /`((?:core|plugin-sdk|plugins|migrations|docs|examples|scripts|bench)\/[\w./-]+)`/g,
    ),
  ].map(([, file = '']) => file);

/** The code blocks that a page shows as files: a line with the file's name in bold, then the block. */
const filesShown = (page: string): [string, string][] =>
  [...read(page).matchAll(/^\*\*`([^`]+)`\*\*\n\n(?:<!-- prettier-ignore -->\n)?```\w+\n([\s\S]*?)^```$/gm)].map(
    ([, file = '', code = '']) => [file, code],
  );

describe('the documentation', () => {
  test.each(pages)('%s links to what there is', (page) => {
    expect(brokenLinks(page)).toEqual([]);
  });

  test.each(pages)('%s names files that there are', (page) => {
    expect(pathsIn(page).filter((file) => !existsSync(path.join(root, file)))).toEqual([]);
  });

  test('names many files, or this test looks past them', () => {
    expect(pathsIn('docs/architecture.md').length).toBeGreaterThan(40);
  });

  test('has every setting that is read in the table of the README, and no other', () => {
    const [, table = ''] = /^### Settings$([\s\S]*?)^#/m.exec(read('README.md')) ?? [];
    const documented = [...table.matchAll(/^\| `([A-Z_]+)`/gm)].map(([, name]) => name);
    const settings = [...read('core/src/settings.ts').matchAll(/reader\.(?:read|text|secret)\(\s*'([A-Z_]+)'/g)].map(
      ([, name]) => name,
    );
    expect(new Set(documented)).toEqual(new Set(settings));
    expect(documented).toHaveLength(new Set(documented).size);
    expect(documented.length).toBeGreaterThan(10);
  });

  test('names metrics that there are', async () => {
    const metrics = new Set(
      createMetrics()
        .registry.getMetricsAsArray()
        .map(({ name }) => name),
    );
    const named = pages
      .flatMap((page) => [...read(page).matchAll(/\b(?:switchyard|nodejs|process)_[a-z0-9_]+/g)].map(([name]) => name))
      .filter((name) => !name.startsWith('switchyard_plugin_'));
    expect(named.length).toBeGreaterThan(5);
    expect(named.filter((name) => !metrics.has(name))).toEqual([]);
  });

  test('lists every decision', () => {
    const records = under('docs/adr')
      .filter((file) => /\/\d{4}-/.test(file))
      .map((file) => path.basename(file));
    expect(records.filter((file) => !read('docs/adr/README.md').includes(`](${file})`))).toEqual([]);
    expect(records.every((file) => read(`docs/adr/${file}`).startsWith(`# ADR ${file.slice(0, 4)}: `))).toBe(true);
  });

  test('links to the README of every plugin', () => {
    const plugins = under('plugins')
      .filter((file) => /^plugins\/[^/]+\/[^/]+\/package\.json$/.test(file))
      .map((file) => path.dirname(file));
    expect(plugins.length).toBeGreaterThan(5);
    expect(plugins.filter((plugin) => !read('README.md').includes(`(${plugin}/README.md)`))).toEqual([]);
  });
});

describe('the code in the documentation', () => {
  test('of the guide for plugin authors is that of the example', () => {
    const shown = filesShown('docs/plugins.md');
    expect(shown.map(([file]) => file)).toEqual(['package.json', 'tsconfig.json', 'src/index.ts', 'test/ntfy.spec.ts']);
    for (const [file, code] of shown) expect(code).toBe(read(`${sample}/${file}`));
  });

  test('of the README is the plugin that is tested', () => {
    const [, code] = /^```ts\n([\s\S]*?)^```$/m.exec(read('README.md')) ?? [];
    expect(code).toBe(read('examples/plugins/shout.ts'));
  });
});

describe('the README of every plugin', () => {
  const readmes = pages.filter((page) => /^(plugins\/\w+|examples\/plugins)\/[^/]+\/README\.md$/.test(page));

  test.each(readmes)('%s says how it is configured and what happens when it fails', (page) => {
    const headings = [...proseOf(read(page)).matchAll(/^## (.+)$/gm)].map(([, heading]) => heading);
    expect(headings).toEqual(expect.arrayContaining(['Configuration', 'Example', 'Guarantees', 'When it fails']));
  });
});
