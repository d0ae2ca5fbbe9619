import { setTimeout as delay } from 'node:timers/promises';
import { draftOf, eventOf } from '../events.ts';
import { Child } from '../processes/child.ts';
import type { Received } from '../processes/receiver.ts';
import { API_KEY, RouterProcess } from '../processes/router.ts';
import type { Sample, Suite } from '../row.ts';
import { CONNECTIONS, PATH, SECRET, barePool, eachAtOnce, post } from './webhook-wire.ts';

const EVENTS = 4_000;
const BATCH = 500;
const PATIENCE_MS = 60_000;

/**
 * The whole way from the log to the receiver in a real router: read, pump, webhook, and the record of every attempt in the embedded database. The events wait in the log
 * while the destination is disabled; the receiver's clock runs from the first that comes to the last. No target: the database that records is part of it.
 */
export const webhookEngine: Suite = {
  rows: ['webhook-engine'],
  async open(room) {
    const receiver = await Child.start('receiver');
    room.onClose(() => receiver.stop());
    const { port } = await receiver.ask<Received>('state');
    const router = await RouterProcess.start({ dataDir: room.folder, profile: room.profile });
    room.onClose(() => router.stop());
    await router.enableAll(false);
    const enable = await router.connect('webhook', { url: `http://127.0.0.1:${port}${PATH}`, secret: SECRET });
    await enable(false);

    const received = async (): Promise<Sample> => {
      const until = performance.now() + PATIENCE_MS;
      for (;;) {
        const { count, seconds } = await receiver.ask<Received>('state');
        if (count >= EVENTS) return { perSecond: count / seconds };
        if (performance.now() > until)
          throw new Error(`Only ${count} of ${EVENTS} webhooks came within ${PATIENCE_MS / 1000} s.`);
        await delay(10);
      }
    };
    const ours = async (): Promise<Sample> => {
      for (let from = 0; from < EVENTS; from += BATCH) await postBatch(router, from);
      await receiver.ask('reset');
      const before = await router.cpuSeconds();
      await enable(true);
      const sample = await received();
      const cpu_us = (((await router.cpuSeconds()) - before) / EVENTS) * 1e6;
      await enable(false);
      return { ...sample, details: { cpu_us } };
    };
    const bodies = Array.from({ length: EVENTS }, (_, index) =>
      Buffer.from(JSON.stringify(eventOf(index, draftOf(index)['metadata'] as ReturnType<typeof draftOf>))),
    );
    const pool = barePool(port);
    room.onClose(() => pool.close());
    const bare = async (): Promise<Sample> => {
      await receiver.ask('reset');
      await eachAtOnce(bodies, (body) => post(pool, body));
      return received();
    };
    return [
      {
        name: 'webhook-engine',
        title: `webhook through the engine, ${CONNECTIONS} connections`,
        unit: 'events',
        target: null,
        sides: { ours, bare },
      },
    ];
  },
};

async function postBatch(router: RouterProcess, from: number): Promise<void> {
  const events = Array.from({ length: BATCH }, (_, index) => draftOf(from + index));
  const response = await fetch(`http://127.0.0.1:${router.port}/api/v1/events/batch`, {
    method: 'POST',
    headers: { authorization: `Bearer ${API_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ events }),
  });
  if (response.status !== 202) throw new Error(`The batch was answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
}
