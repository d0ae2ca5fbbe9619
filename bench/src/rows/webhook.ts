import type { Event } from '@switchyard/plugin-sdk';
import { freeze, openHttpClient, openPluginHost } from '../core.ts';
import { eventOf } from '../events.ts';
import { timed } from '../measure.ts';
import { Child } from '../processes/child.ts';
import type { Received } from '../processes/receiver.ts';
import type { Sample, Suite } from '../row.ts';
import { CONNECTIONS, PATH, SECRET, barePool, eachAtOnce, post } from './webhook-wire.ts';

const EVENTS = 12_000;

/**
 * The webhook destination as the engine calls it, one event a call: contained call, guarded client, signature, the exchange that is kept, the outcome. Against an undici
 * pool with as many connections that posts the same bytes.
 */
export const webhook: Suite = {
  rows: ['webhook'],
  async open(room) {
    const receiver = await Child.start('receiver');
    room.onClose(() => receiver.stop());
    const { port } = await receiver.ask<Received>('state');
    const http = await openHttpClient();
    room.onClose(() => http.close());
    const plugins = await openPluginHost({ http });
    const destination = await plugins.destination('webhook', {
      url: `http://127.0.0.1:${port}${PATH}`,
      secret: SECRET,
    });
    room.onClose(() => destination.close());
    const { deepFreeze } = await freeze();
    const pool = barePool(port);
    room.onClose(() => pool.close());

    const events = Array.from({ length: EVENTS }, (_, index): Event => deepFreeze(eventOf(index)));
    const ours = async (event: Event): Promise<void> => {
      const result = await destination.deliver({
        position: null,
        items: [{ id: event.id, event, offset: 0, attempt: 1 }],
      });
      if (!result.ok || result.value.get(event.id)?.status !== 'delivered')
        throw new Error(`The webhook was not delivered: ${JSON.stringify(result)}`);
    };
    const bodies = events.map((event) => Buffer.from(JSON.stringify(event)));
    return [
      {
        name: 'webhook',
        title: `webhook: one event a request, ${CONNECTIONS} connections`,
        unit: 'events',
        target: 0.5,
        sides: {
          ours: (): Promise<Sample> => timed(EVENTS, () => eachAtOnce(events, ours)),
          bare: (): Promise<Sample> => timed(EVENTS, () => eachAtOnce(bodies, (body) => post(pool, body))),
        },
      },
    ];
  },
};
