import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

/** A pull source as somebody else would write it, without our types: it asks for what comes after its cursor, and acknowledges what is stored. */
const SOURCE = `
export default {
  kind: 'source', type: 'poll', title: 'Poll', summary: 'Asks an upstream for events.', stability: 'experimental', configVersion: 1,
  config: { type: 'object', additionalProperties: false, required: ['url', 'tag'], properties: { url: { type: 'string' }, tag: { type: 'string' } } },
  examples: [{ title: 'One', config: { url: 'http://127.0.0.1:1', tag: 'one' } }],
  routes: [],
  credential: () => undefined,
  create: ({ url, tag }, { http, state }) => ({
    async run(emit, signal) {
      let after = (await state.get('after')) ?? 0;
      for (;;) {
        const { body } = await http.request({ method: 'GET', url: url + '/events/' + after, headers: {}, timeoutMs: 60_000 }, signal);
        const { numbers } = JSON.parse(new TextDecoder().decode(body));
        await emit(numbers.map((number) => ({ event_id: 'number-' + number, event_name: 'polled', metadata: { number, tag } })));
        after = numbers.at(-1);
        await state.set('after', after);
        await http.request({ method: 'POST', url: url + '/acknowledged/' + after, headers: {} }, signal);
      }
    },
  }),
};
`;

/** Writes the package below `folder` and gives back its path, for the setting `PLUGINS`. */
export async function aPollPlugin(folder: string): Promise<string> {
  const directory = path.join(folder, 'poll-plugin');
  await mkdir(directory);
  const manifest = {
    name: 'a-poll-plugin',
    version: '1.0.0',
    type: 'module',
    exports: './index.js',
    switchyard: { kind: 'source', type: 'poll', engine: '^0.1.0', entry: '.' },
  };
  await writeFile(path.join(directory, 'package.json'), JSON.stringify(manifest));
  await writeFile(path.join(directory, 'index.js'), SOURCE);
  return directory;
}

/** The other side: it numbers its events from 1, and keeps who asks waiting until there is one. */
export class Upstream {
  acknowledged = 0;
  private last = 0;
  private readonly asking = new Map<ServerResponse, number>();
  private readonly server = createServer((request, response) => {
    const [, what, number] = (request.url ?? '').split('/');
    if (what === 'events') {
      this.asking.set(response, Number(number));
      response.on('close', () => this.asking.delete(response));
      this.answer();
    } else {
      this.acknowledged = Number(number);
      response.end();
    }
  });

  static async open(): Promise<Upstream> {
    const upstream = new Upstream();
    upstream.server.listen(0, '127.0.0.1');
    await once(upstream.server, 'listening');
    return upstream;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  /** How many are asking at the moment. */
  get waiting(): number {
    return this.asking.size;
  }

  add(events: number): void {
    this.last += events;
    this.answer();
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }

  private answer(): void {
    for (const [response, after] of this.asking) {
      const numbers = Array.from({ length: Math.min(this.last - after, 3) }, (_, index) => after + index + 1);
      if (numbers.length === 0) continue;
      this.asking.delete(response);
      response.end(JSON.stringify({ numbers }));
    }
  }
}
