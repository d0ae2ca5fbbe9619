// A process for the specs of the embedded log to kill, and to take its disk away: appends without end, and says which events have been acknowledged. A line is
// `+<id>` for an acknowledged event and `!<code>` for a refusal.
import { writeSync } from 'node:fs';
import { EmbeddedLog } from '../../src/log/embedded/embedded-log.ts';
import { aNamedRecord, aRecord } from '../support/events.ts';

const [directory = '', project = '', round = ''] = process.argv.slice(2);
const silent = { debug() {}, info() {}, warn() {}, error() {} };
const log = await EmbeddedLog.open({ directory, logger: silent });
const PARTITIONS = 3;

async function write(writer: number): Promise<void> {
  for (let n = 0; ; n += 1) {
    // Each name is used by every round: a repeat of what an earlier process stored, or did not.
    const records = [
      aRecord({ metadata: { round, filler: 'x'.repeat((n * 37) % 3000) } }),
      aNamedRecord(project, `${writer}-${n}`),
      aRecord(),
    ];
    const index = (writer + n) % PARTITIONS;
    try {
      await log.append({ project, index }, records);
      // Synchronously: what has been said cannot be lost with the process.
      writeSync(1, records.map(({ event }) => `+${event.id}\n`).join(''));
    } catch (error) {
      writeSync(1, `!${error instanceof Error && 'code' in error ? String(error.code) : String(error)}\n`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
