// A process for embedded-durability.spec.ts to kill: writes without end, and says which rows have been acknowledged.
// Run by Node as it is: erasable syntax only.
import fs from 'node:fs';
import { sql } from 'kysely';
import { openDatabase } from '../../src/store/database.ts';

const [dataDir = '', round = ''] = process.argv.slice(2);
const { db } = await openDatabase({ dataDir, logger: console });
await sql`create table if not exists rows (round text, n int, filler text, primary key (round, n))`.execute(db);
for (let n = 0; ; n += 10) {
  await db.transaction().execute(async (trx) => {
    await sql`insert into rows select ${round}, i, repeat('x', 1000) from generate_series(${n}::int, ${n + 4}) i`.execute(
      trx,
    );
    await sql`insert into rows select ${round}, i, repeat('y', 1000) from generate_series(${n + 5}::int, ${n + 9}) i`.execute(
      trx,
    );
  });
  // Synchronously: what has been said cannot be lost with the process.
  fs.writeSync(1, `${n + 10}\n`);
}
