import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

/** A destination as somebody else would write it, without our types: it posts each event to a URL and asks for order by key. */
const SOURCE = `
class RetryableError extends Error {
  kind = 'retryable';
  code = 'NOT_NOW';
}

class PermanentError extends Error {
  kind = 'permanent';
  code = 'NEVER';
}

const errorOf = (status) => (status === 400 ? new PermanentError('It will never take this.') : new RetryableError('It said ' + status + '.'));

export default {
  kind: 'destination', type: 'ordered', title: 'Ordered', summary: 'Posts events in order of key.', stability: 'experimental', configVersion: 1,
  config: { type: 'object', additionalProperties: false, required: ['url'], properties: { url: { type: 'string' } } },
  examples: [{ title: 'One', config: { url: 'http://127.0.0.1:1/' } }],
  capabilities: { batch: { maxEvents: 1 }, concurrency: 20, ordering: 'key' },
  create: ({ url }, { http }) => ({
    async deliver({ items }, signal) {
      const outcomes = new Map();
      for (const { id, event } of items) {
        const { status } = await http.request({ method: 'POST', url, headers: {}, body: Buffer.from(JSON.stringify(event)), timeoutMs: 10_000 }, signal);
        outcomes.set(id, status === 200 ? { status: 'delivered' } : { status: 'failed', error: errorOf(status) });
      }
      return outcomes;
    },
    check: async () => ({ ok: true, message: 'fine' }),
  }),
};
`;

/** Writes the package below \`folder\` and gives back its path, for the setting \`PLUGINS\`. */
export async function anOrderedPlugin(folder: string): Promise<string> {
  const directory = path.join(folder, 'ordered-plugin');
  await mkdir(directory);
  const manifest = {
    name: 'an-ordered-plugin',
    version: '1.0.0',
    type: 'module',
    exports: './index.js',
    switchyard: { kind: 'destination', type: 'ordered', engine: '^0.1.0', entry: '.' },
  };
  await writeFile(path.join(directory, 'package.json'), JSON.stringify(manifest));
  await writeFile(path.join(directory, 'index.js'), SOURCE);
  return directory;
}
