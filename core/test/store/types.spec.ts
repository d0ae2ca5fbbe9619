import { jest } from '@jest/globals';
import { migrateToLatest } from '@switchyard/migrations';
import { type RawBuilder, sql } from 'kysely';
import type { OpenDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/schema.ts';
import { Databases } from './databases.ts';

// A first start of PGlite takes seconds.
jest.setTimeout(60_000);

const databases = new Databases();
let both: OpenDatabase<Database>[];

beforeAll(async () => {
  both = [await databases.embedded(), await databases.postgres()];
  for (const { db } of both) await migrateToLatest(db);
});
afterAll(() => databases.clean());

const moment = new Date('2026-03-01T12:34:56.789Z');
const uuid = '0192a0c4-0000-7000-8000-000000000001';
const awkward = [
  'plain',
  'a "quoted" one',
  "it's",
  'back\\slash',
  'com,ma',
  '{brace}',
  'NULL',
  '',
  'two\nlines',
  'é 漢 😀',
];

describe.each<[string, RawBuilder<unknown>, unknown]>([
  ['count(*)', sql`select count(*) as v`, 1],
  ['bigint', sql`select ${Number.MAX_SAFE_INTEGER}::bigint as v`, Number.MAX_SAFE_INTEGER],
  ['a bigint that no number can hold', sql`select '9007199254740993'::bigint as v`, 9007199254740993n],
  [
    'bigint[]',
    sql`select array[[1, null], [2, 9007199254740993]]::bigint[] as v`,
    [
      [1, null],
      [2, 9007199254740993n],
    ],
  ],
  ['integer', sql`select -5::int as v`, -5],
  ['sum of bigint', sql`select sum(1::bigint) as v`, '1'],
  ['numeric', sql`select 1.50::numeric as v`, '1.50'],
  ['double precision', sql`select 0.1::float8 as v`, 0.1],
  ['boolean', sql`select true as v`, true],
  ['null', sql`select null::timestamptz as v`, null],
  ['timestamptz', sql`select ${moment}::timestamptz as v`, moment],
  ['timestamptz as text', sql`select ${moment}::timestamptz::text as v`, '2026-03-01 12:34:56.789+00'],
  ['a day', sql`select date_trunc('day', ${moment}::timestamptz) as v`, new Date('2026-03-01T00:00:00Z')],
  ['jsonb', sql`select ${'{"a": [1, {"b": null}]}'}::jsonb as v`, { a: [1, { b: null }] }],
  ['jsonb that is a text', sql`select '"x"'::jsonb as v`, 'x'],
  ['json', sql`select '[1]'::json as v`, [1]],
  ['uuid', sql`select ${uuid}::uuid as v`, uuid],
  ['inet', sql`select '10.0.0.1'::inet as v`, '10.0.0.1'],
  ['inet with a mask', sql`select 'fe80::/64'::inet as v`, 'fe80::/64'],
  ['bytea', sql`select ${Buffer.from([0, 1, 255])}::bytea as v`, Buffer.from([0, 1, 255])],
  ['text[]', sql`select ${[...awkward, null]}::text[] as v`, [...awkward, null]],
  ['uuid[]', sql`select array[${uuid}]::uuid[] as v`, [uuid]],
])('%s', (_, statement, expected) => {
  it('reads the same from PGlite and from PostgreSQL', async () => {
    for (const { db } of both) expect((await statement.execute(db)).rows).toEqual([{ v: expected }]);
  });
});

it('takes arrays as parameters, one per column', async () => {
  for (const { db } of both) {
    const { rows } = await sql`
      select * from unnest(
        ${[uuid, uuid]}::uuid[], ${[moment, null]}::timestamptz[], ${['{"n": 1}', '[]']}::jsonb[],
        ${['10.0.0.1', null]}::inet[], ${[1, 2]}::bigint[]
      ) as t(id, at, data, ip, n)
    `.execute(db);
    expect(rows).toEqual([
      { id: uuid, at: moment, data: { n: 1 }, ip: '10.0.0.1', n: 1 },
      { id: uuid, at: null, data: [], ip: null, n: 2 },
    ]);
  }
});

it('counts what a statement has changed', async () => {
  for (const { db } of both) {
    const row = { subscription_id: uuid, partition: 'p', last_offset: 1 };
    const insert = db
      .insertInto('store_positions')
      .values(row)
      .onConflict((on) => on.doNothing());
    expect((await insert.executeTakeFirst()).numInsertedOrUpdatedRows).toBe(1n);
    expect((await insert.executeTakeFirst()).numInsertedOrUpdatedRows).toBe(0n);
    expect((await db.deleteFrom('store_positions').executeTakeFirst()).numDeletedRows).toBe(1n);
  }
});

describe.each<[string, RawBuilder<unknown>, object]>([
  [
    'a duplicate',
    sql`insert into aggregates select ${uuid}, 'x', ${moment}::timestamptz, 1 from generate_series(1, 2)`,
    {
      code: '23505',
      constraint: 'aggregates_pkey',
      table: 'aggregates',
      detail: `Key (project_id, time_bucket, event_name)=(${uuid}, 2026-03-01 12:34:56.789+00, x) already exists.`,
    },
  ],
  [
    'a missing reference',
    sql`insert into members values (${uuid}, ${uuid}, 'admin')`,
    { code: '23503', constraint: 'members_project_id_fkey', table: 'members' },
  ],
  [
    'a failed check',
    sql`insert into users values (${uuid}, 'Upper@example.com', 'x')`,
    { code: '23514', constraint: 'users_email_check', table: 'users' },
  ],
  ['a missing value', sql`insert into projects (id) values (${uuid})`, { code: '23502', column: 'name' }],
  ['an unknown table', sql`select * from nothing_of_the_kind`, { code: '42P01' }],
  ['a parameter of the wrong type', sql`select ${'x'}::uuid`, { code: '22P02' }],
  ['a syntax error', sql`selec 1`, { code: '42601' }],
])('%s', (_, statement, expected) => {
  it('is the same error from PGlite and from PostgreSQL, and the connection is usable afterwards', async () => {
    for (const { db } of both) {
      await expect(statement.execute(db)).rejects.toMatchObject(expected);
      await expect(sql`select 1 as v`.execute(db)).resolves.toMatchObject({ rows: [{ v: 1 }] });
    }
  });
});
