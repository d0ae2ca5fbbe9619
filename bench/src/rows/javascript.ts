import type { Event } from '@switchyard/plugin-sdk';
import { freeze, openPluginHost } from '../core.ts';
import { eventOf, metadataOf } from '../events.ts';
import { repeated } from '../measure.ts';
import type { Row, Suite } from '../row.ts';

/** What core hands to the transform at once, and how many partitions do so side by side. */
const BATCH = 200;
const PARTITIONS = 4;
const ROUND_MS = 700;

const CODE = `export default function transform(event) {
  if (event.user_id === 'nobody') return null;
  return { ...event, metadata: { ...event.metadata, total_cents: Math.round((event.metadata.total ?? 0) * 100), seen_by: 'bench' } };
}
`;

type Transform = (event: Event) => Event | null;

/**
 * User code in its sandbox, from event objects to event objects, against the same function in this process between JSON.parse and JSON.stringify of the same batches. The bare
 * side gets its text for nothing and keeps its answer as text: that is two of the four conversions, and no process in between.
 */
export const javascript: Suite = {
  rows: ['javascript-150', 'javascript-600'],
  async open(room, wanted) {
    const plugins = await openPluginHost({});
    const transform = await plugins.transform('javascript', { code: CODE });
    room.onClose(() => transform.close());
    const { deepFreeze } = await freeze();
    const native = (
      (await import(`data:text/javascript,${encodeURIComponent(CODE)}`)) as { readonly default: Transform }
    ).default;

    const rowOf = (name: string, bytes: number, makeEvent: (index: number) => Event): Row => {
      const batch = Array.from({ length: BATCH }, (_, index) => deepFreeze(makeEvent(index)));
      const text = JSON.stringify(batch);
      const ours = async (): Promise<void> => {
        const result = await transform.apply(batch);
        if (result.ok && result.value.get(batch[0]?.id ?? '')?.action === 'emit') return;
        throw new Error(`The transform did not emit: ${JSON.stringify(result).slice(0, 500)}`);
      };
      const bare = (): void => {
        const made = JSON.stringify((JSON.parse(text) as Event[]).map(native));
        if (made.length < text.length) throw new Error('The function did not do its work.');
      };
      return {
        name,
        title: `JS transform: batches of ${BATCH}, events of ${bytes} bytes`,
        unit: 'events',
        target: 0.25,
        sides: {
          ours: () => repeated(ROUND_MS, PARTITIONS, BATCH, ours),
          bare: () => repeated(ROUND_MS, 1, BATCH, bare),
        },
      };
    };
    const rows = [
      rowOf('javascript-150', 150, smallEvent),
      rowOf('javascript-600', 600, (index) => eventOf(index, metadataOf(340))),
    ];
    return rows.filter(({ name }) => wanted.includes(name));
  },
};

/** The shape of an event with values so short that 150 bytes hold it: what little text costs when there is little of it. */
function smallEvent(index: number): Event {
  const at = '2024-01-30T10:00:00Z';
  const event = {
    id: `e${index}`,
    event_name: 'page',
    user_id: `u${index}`,
    timestamp: at,
    metadata: { total: 1.5 },
    received_at: at,
    context: {},
  };
  return event as unknown as Event;
}
