import { randomUUIDv7 } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { loadPlugins } from '../core.ts';
import type { Handler } from './handler.ts';

export interface BareServerState {
  readonly port: number;
  /** Since the process began. */
  readonly cpuSeconds: number;
}

/**
 * The baseline of the ingestion rows: Fastify as anybody would write it, with the schemas that the HTTP source publishes and the same answers, and nothing behind it. No
 * keys, no limits, no event is made, nothing is kept.
 */
export async function openBareServer(): Promise<Handler> {
  const source = (await loadPlugins()).get('source', 'http').definition;
  const app = Fastify({ bodyLimit: 1024 * 1024 });
  for (const { name, path, body } of source.routes) {
    app.post(path, { schema: { body } }, (request, reply) => {
      reply.code(202);
      return name === 'batch'
        ? batchAnswer(request.body as { readonly events: readonly unknown[] })
        : { id: randomUUIDv7() };
    });
  }
  await app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = app.server.address() as AddressInfo;
  return (): BareServerState => {
    const { user, system } = process.cpuUsage();
    return { port, cpuSeconds: (user + system) / 1e6 };
  };
}

function batchAnswer({ events }: { readonly events: readonly unknown[] }): object {
  return { accepted: events.length, rejected: 0, results: events.map((_, index) => ({ index, id: randomUUIDv7() })) };
}
