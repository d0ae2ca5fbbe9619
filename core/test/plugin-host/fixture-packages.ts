import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';

/** A definition that is right in every field, as the source text of a module written by somebody without our types. */
export const definitionSource = {
  destination: `{
    kind: 'destination', type: 'fixture', title: 'Fixture', summary: 'For tests.', stability: 'stable', configVersion: 1,
    config: { type: 'object', additionalProperties: false, properties: { url: { type: 'string' } } },
    examples: [{ title: 'One', config: {} }],
    capabilities: { batch: { maxEvents: 1 }, concurrency: 1, ordering: 'none' },
    create: () => ({ deliver: async () => new Map(), check: async () => ({ ok: true, message: 'fine' }) }),
  }`,
  transform: `{
    kind: 'transform', type: 'fixture', title: 'Fixture', summary: 'For tests.', stability: 'stable', configVersion: 1,
    config: { type: 'object', additionalProperties: false, properties: {} },
    examples: [{ title: 'One', config: {} }],
    batch: { maxEvents: 10 },
    create: () => ({ apply: () => new Map() }),
  }`,
  source: `{
    kind: 'source', type: 'fixture', title: 'Fixture', summary: 'For tests.', stability: 'stable', configVersion: 1,
    config: { type: 'object', additionalProperties: false, properties: {} },
    examples: [{ title: 'One', config: {} }],
    routes: [{ name: 'post', method: 'POST', path: '/x', summary: 'Post.', responses: {} }],
    credential: () => undefined,
    create: () => ({ receive: () => ({ action: 'reject', status: 400, code: 'NO', message: 'no' }) }),
  }`,
} as const;

type Kind = keyof typeof definitionSource;

export interface PackageOptions {
  readonly name?: string;
  readonly kind?: Kind;
  readonly type?: string;
  readonly engine?: string;
  /** Replaces or, with undefined, removes parts of package.json. */
  readonly manifest?: Readonly<Record<string, unknown>>;
  /** Files by name; `index.js` has the definition unless it is given. */
  readonly files?: Readonly<Record<string, string>>;
  /** Edits the definition's source. */
  readonly edit?: (source: string) => string;
}

/** A folder in which a test builds plugin packages. */
export class FixtureFolder {
  readonly path: string;

  private constructor(folder: string) {
    this.path = folder;
  }

  static async make(): Promise<FixtureFolder> {
    return new FixtureFolder(await mkdtemp(path.join(tmpdir(), 'switchyard-plugins-')));
  }

  /** Writes a package into a folder below this one and gives back its path. */
  async package(folder: string, options: PackageOptions = {}): Promise<string> {
    const { kind = 'destination', type = 'fixture', engine = '^0.1.0', edit = (source: string) => source } = options;
    const directory = path.join(this.path, folder);
    const manifest = {
      name: options.name ?? `fixture-${path.basename(folder)}`,
      version: '1.2.3',
      type: 'module',
      exports: './index.js',
      switchyard: { kind, type, engine, entry: '.' },
      ...options.manifest,
    };
    const definition = edit(definitionSource[kind].replace("type: 'fixture'", `type: '${type}'`));
    const files = {
      'package.json': JSON.stringify(manifest),
      'index.js': `export default ${definition};\n`,
      ...options.files,
    };
    for (const [name, text] of Object.entries(files)) {
      const file = path.join(directory, name);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, text);
    }
    return directory;
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true, force: true });
  }
}
