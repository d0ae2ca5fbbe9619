import { draftOf } from '../events.ts';
import type { BareServerState } from '../processes/bare-server.ts';
import { Child } from '../processes/child.ts';
import type { Load, LoadResult } from '../processes/generator.ts';
import { API_KEY, RouterProcess } from '../processes/router.ts';
import type { Row, Sample, Suite } from '../row.ts';

const ROUND_MS = 1_500;
const BATCH = 100;
/** What each connection has to say next is one of so many requests. */
const VARIETY = 64;

interface Shape {
  readonly path: string;
  readonly connections: number;
  readonly bodies: readonly string[];
  readonly events: number;
}

const drafts = (count: number, from: number): object[] =>
  Array.from({ length: count }, (_, index) => draftOf(from + index));
const variety = (body: (index: number) => object): string[] =>
  Array.from({ length: VARIETY }, (_, index) => JSON.stringify(body(index)));

const single: Shape = { path: '/api/v1/events', connections: 64, bodies: variety(draftOf), events: 1 };
const batch: Shape = {
  path: '/api/v1/events/batch',
  connections: 64,
  bodies: variety((index) => ({ events: drafts(BATCH, index * BATCH) })),
  events: BATCH,
};

/** Keys are checked by the router only, but both sides get the same bytes. */
function requestsOf({ path, bodies }: Shape): string[] {
  return bodies.map(
    (body) =>
      `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${API_KEY}\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

/** The whole router over HTTP, against Fastify with the same schemas and nothing behind it. */
export const ingestion: Suite = {
  rows: ['single', 'batch', 'single-draining', 'batch-draining'],
  async open(room, wanted) {
    const generator = await Child.start('generator');
    room.onClose(() => generator.stop());
    const bareServer = await Child.start('bare-server');
    room.onClose(() => bareServer.stop());
    const router = await RouterProcess.start({ dataDir: room.folder, profile: room.profile });
    room.onClose(() => router.stop());
    await router.enableAll(false);

    const send = async (port: number, shape: Shape, cpuSeconds: () => Promise<number>): Promise<Sample> => {
      const load: Load = {
        port,
        requests: requestsOf(shape),
        connections: shape.connections,
        forMs: ROUND_MS,
        status: 202,
      };
      const before = await cpuSeconds();
      const { perSecond, p50Ms, p99Ms, generatorCpuMicros } = await generator.ask<LoadResult>(load);
      const cpu_us = ((await cpuSeconds()) - before) / ((perSecond * ROUND_MS) / 1000);
      return {
        perSecond: perSecond * shape.events,
        details: {
          cpu_us_per_request: cpu_us * 1e6,
          p50_ms: p50Ms,
          p99_ms: p99Ms,
          generator_cpu_us_per_request: generatorCpuMicros,
        },
      };
    };
    const bare = async (shape: Shape): Promise<Sample> => {
      const { port } = await bareServer.ask<BareServerState>('state');
      return send(port, shape, async () => (await bareServer.ask<BareServerState>('state')).cpuSeconds);
    };
    const idle = (shape: Shape): Promise<Sample> => send(router.port, shape, () => router.cpuSeconds());
    /** The destinations are held while the other side is measured: they would take the processor from it for many seconds. */
    const draining = async (shape: Shape): Promise<Sample> => {
      await router.enableAll(true);
      try {
        return await idle(shape);
      } finally {
        await router.enableAll(false);
      }
    };
    const row = (
      name: string,
      title: string,
      shape: Shape,
      target: number | null,
      ours: (shape: Shape) => Promise<Sample>,
    ): Row => ({
      name,
      title,
      unit: 'events',
      target,
      sides: { ours: () => ours(shape), bare: () => bare(shape) },
    });
    const rows = [
      row('single', 'POST of one event, workers idle', single, 0.5, idle),
      row('batch', `POST of ${BATCH} events, workers idle`, batch, 0.4, idle),
      row('single-draining', 'POST of one event, while archive and analytics drain', single, null, draining),
      row('batch-draining', `POST of ${BATCH} events, while archive and analytics drain`, batch, null, draining),
    ];
    return rows.filter(({ name }) => wanted.includes(name));
  },
};
