import { randomUUID } from 'node:crypto';
import path from 'node:path';
import { open } from 'lmdb';
import { embeddedLog, quietLogger, type LogRecord } from '../core.ts';
import { eventOf, metadataOf } from '../events.ts';
import { repeated } from '../measure.ts';
import type { Suite } from '../row.ts';

const CALLERS = 128;
const PARTITIONS = 4;
const ROUND_MS = 1_000;
const TITLE = `log: ${CALLERS} callers append one event of 600 bytes each`;

/**
 * The embedded log against LMDB itself. Callers that wait for one commit share it, so the bare side writes the same bytes in the same groups: one value a partition, one
 * flush for all. What is left between them is encoding, the checksum, the read cache and the promises of the callers.
 */
export const logAppend: Suite = {
  rows: ['log'],
  async open(room) {
    const { EmbeddedLog } = await embeddedLog();
    const log = await EmbeddedLog.open({ directory: path.join(room.folder, 'ours'), logger: await quietLogger() });
    room.onClose(() => log.close());
    const lmdb = open<Buffer, [number, number]>({
      path: path.join(room.folder, 'bare'),
      noSubdir: false,
      encoding: 'binary',
    });
    room.onClose(() => lmdb.close());

    const project = randomUUID();
    const source = randomUUID();
    const metadata = metadataOf(340);
    const records = Array.from({ length: CALLERS }, (_, index): LogRecord => {
      const event = eventOf(index, metadata);
      return { event, source, text: JSON.stringify(event), named: false };
    });
    const entries = Array.from({ length: PARTITIONS }, (_, index) =>
      Buffer.from(
        JSON.stringify(records.filter((_record, place) => place % PARTITIONS === index).map(({ event }) => event)),
      ),
    );
    let written = 0;
    /** All callers at once, each its next event when its last one is safe. */
    const ours = async (caller: number): Promise<void> => {
      const record = records[caller];
      if (record !== undefined) await log.append({ project, index: caller % PARTITIONS }, [record]);
    };
    const bare = async (): Promise<void> => {
      written += 1;
      await lmdb.batch(() => {
        for (const [index, entry] of entries.entries()) void lmdb.put([index, written], entry);
      });
      await lmdb.flushed;
    };
    return [
      {
        name: 'log',
        title: TITLE,
        unit: 'events',
        target: null,
        sides: {
          ours: () => repeated(ROUND_MS, CALLERS, 1, ours),
          bare: () => repeated(ROUND_MS, 1, CALLERS, bare),
        },
      },
    ];
  },
};
