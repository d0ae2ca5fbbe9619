import { randomUUIDv7 } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import type { Database } from '../store/schema.ts';
import type { Attempt, Failure, Progress, RetryResult, Stage, SubscriptionKey } from './records.ts';

type Tx = Transaction<Database>;

/** What is kept of texts that come from outside. */
const KEPT = { code: 100, message: 2_000, body: 16_384, reason: 500 } as const;

/** PostgreSQL's text holds no NUL and no half surrogate pairs; a record of a failure must never fail for one. */
const clean = (text: string, most: number): string => text.slice(0, most).replaceAll('\u0000', '\ufffd').toWellFormed();
const iso = (ms: number | null): string | null => (ms === null ? null : new Date(ms).toISOString());
const fingerprintOf = (stage: Stage, { code }: Failure): string => clean(`${stage} ${code}`, KEPT.code);

/** Moves cursors and writes what did not simply arrive. Each statement takes any number of records at once. */
export async function writeProgress(tx: Tx, records: readonly Progress[]): Promise<void> {
  if (records.length === 0) return;
  await moveCursors(tx, records);
  await countFiltered(
    tx,
    records.flatMap(({ subscription, filtered }) =>
      [...filtered].map(([reason, count]) => ({ subscription: subscription.id, reason, count })),
    ),
  );
  await insertUndelivered(tx, records);
  await insertAttempts(tx, records);
  // The event that a held one waits for may have come to its end while the held one was on its way here.
  await releaseKeys(
    tx,
    records.flatMap(({ subscription, undelivered }) =>
      undelivered.filter(({ held }) => held).map(({ orderKey }) => ({ subscription: subscription.id, orderKey })),
    ),
  );
}

async function moveCursors(tx: Tx, records: readonly Progress[]): Promise<void> {
  const cursors = new Map<
    string,
    { subscription: string; partition: string; next: number; processed: number; delivered: number; filtered: number }
  >();
  for (const { subscription, partition, next, processed, delivered, filtered } of records) {
    const key = `${subscription.id} ${partition}`;
    let cursor = cursors.get(key);
    if (cursor === undefined)
      cursors.set(
        key,
        (cursor = { subscription: subscription.id, partition, next, processed: 0, delivered: 0, filtered: 0 }),
      );
    cursor.next = Math.max(cursor.next, next);
    cursor.processed += processed;
    cursor.delivered += delivered;
    for (const count of filtered.values()) cursor.filtered += count;
  }
  // Always in the same order, so that two processes cannot lock each other's rows.
  const rows = [...cursors].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  await sql`
    update cursors as c
    set next_offset = greatest(c.next_offset, v.next_offset), processed = c.processed + v.processed,
        delivered = c.delivered + v.delivered, filtered = c.filtered + v.filtered, updated_at = now()
    from unnest(
      ${rows.map((row) => row.subscription)}::uuid[], ${rows.map((row) => row.partition)}::text[], ${rows.map((row) => row.next)}::bigint[],
      ${rows.map((row) => row.processed)}::bigint[], ${rows.map((row) => row.delivered)}::bigint[], ${rows.map((row) => row.filtered)}::bigint[]
    ) as v (subscription_id, partition, next_offset, processed, delivered, filtered)
    where c.subscription_id = v.subscription_id and c.partition = v.partition`.execute(tx);
}

async function countFiltered(
  tx: Tx,
  counts: readonly { readonly subscription: string; readonly reason: string; readonly count: number }[],
): Promise<void> {
  if (counts.length === 0) return;
  const sums = new Map<string, { subscription: string; reason: string; count: number }>();
  for (const { subscription, reason, count } of counts) {
    const kept = clean(reason, KEPT.reason);
    const sum = sums.get(`${subscription} ${kept}`);
    if (sum === undefined) sums.set(`${subscription} ${kept}`, { subscription, reason: kept, count });
    else sum.count += count;
  }
  const rows = [...sums].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, row]) => row);
  await sql`
    insert into filtered_by (subscription_id, reason, count)
    select * from unnest(${rows.map((row) => row.subscription)}::uuid[], ${rows.map((row) => row.reason)}::text[], ${rows.map((row) => row.count)}::bigint[])
    on conflict (subscription_id, reason) do update set count = filtered_by.count + excluded.count`.execute(tx);
}

/** Only what waits has a place in the order of its key: what came to its end holds nothing back, and takes no place again when it is replayed. */
async function insertUndelivered(tx: Tx, records: readonly Progress[]): Promise<void> {
  const rows = records.flatMap(({ subscription, partition, undelivered }) =>
    undelivered.map((row) => ({ subscription, partition, row })),
  );
  if (rows.length === 0) return;
  const column = <T>(pick: (entry: (typeof rows)[number]) => T): T[] => rows.map(pick);
  await sql`
    insert into deliveries (id, project_id, subscription_id, destination_id, event_id, source_id, output, state, stage, partition, log_offset, order_key, held, event,
      payload, event_name, user_id, attempts, retries, next_at, error_code, error_message, fingerprint, pipeline_version)
    select * from unnest(
      ${column(() => randomUUIDv7())}::uuid[], ${column((r) => r.subscription.project)}::uuid[], ${column((r) => r.subscription.id)}::uuid[],
      ${column((r) => r.subscription.destination)}::uuid[], ${column((r) => r.row.event.id)}::uuid[], ${column((r) => r.row.source)}::uuid[], ${column((r) => r.row.output)}::int[],
      ${column((r) => r.row.state)}::text[], ${column((r) => r.row.stage)}::text[], ${column((r) => r.partition)}::text[],
      ${column((r) => r.row.offset)}::bigint[], ${column((r) => (r.row.state === 'retrying' ? r.row.orderKey : null))}::text[], ${column((r) => r.row.held)}::bool[],
      ${column((r) => JSON.stringify(r.row.event))}::text[], ${column((r) => (r.row.payload === null ? null : JSON.stringify(r.row.payload)))}::text[],
      ${column((r) => r.row.event.event_name)}::text[], ${column((r) => r.row.event.user_id)}::text[], ${column((r) => r.row.attempts)}::int[],
      ${column((r) => r.row.retries)}::int[], ${column((r) => iso(r.row.nextAt))}::timestamptz[], ${column((r) => clean(r.row.failure.code, KEPT.code))}::text[],
      ${column((r) => clean(r.row.failure.message, KEPT.message))}::text[], ${column((r) => fingerprintOf(r.row.stage, r.row.failure))}::text[],
      ${column((r) => r.row.version)}::int[]
    )
    on conflict (subscription_id, partition, log_offset, output) do nothing`.execute(tx);
}

async function insertAttempts(
  tx: Tx,
  records: readonly { readonly subscription: SubscriptionKey; readonly attempts: readonly Attempt[] }[],
): Promise<void> {
  const rows = records.flatMap(({ subscription, attempts }) => attempts.map((attempt) => ({ subscription, attempt })));
  if (rows.length === 0) return;
  const column = <T>(pick: (entry: (typeof rows)[number]) => T): T[] => rows.map(pick);
  await sql`
    insert into attempts (id, project_id, subscription_id, destination_id, event_id, output, attempt, started_at, duration_ms, outcome, error_code,
      error_message, request, response_status, response_body, pipeline_version)
    select * from unnest(
      ${column(() => randomUUIDv7())}::uuid[], ${column((r) => r.subscription.project)}::uuid[], ${column((r) => r.subscription.id)}::uuid[],
      ${column((r) => r.subscription.destination)}::uuid[], ${column((r) => r.attempt.eventId)}::uuid[], ${column((r) => r.attempt.output)}::int[],
      ${column((r) => r.attempt.attempt)}::int[], ${column((r) => iso(r.attempt.startedAt))}::timestamptz[],
      ${column((r) => Math.round(r.attempt.durationMs))}::int[], ${column((r) => (r.attempt.failure === null ? 'delivered' : 'failed'))}::text[],
      ${column((r) => (r.attempt.failure === null ? null : clean(r.attempt.failure.code, KEPT.code)))}::text[],
      ${column((r) => (r.attempt.failure === null ? null : clean(r.attempt.failure.message, KEPT.message)))}::text[],
      ${column((r) => (r.attempt.exchange === undefined ? null : clean(r.attempt.exchange.request, KEPT.body)))}::text[],
      ${column((r) => r.attempt.exchange?.response?.status ?? null)}::int[],
      ${column((r) => (r.attempt.exchange?.response === undefined ? null : clean(r.attempt.exchange.response.body, KEPT.body)))}::text[],
      ${column((r) => r.attempt.version)}::int[]
    )`.execute(tx);
}

/** Ends or reschedules rows of the retry table, and lets the next event of an ordered key go. */
export async function writeRetries(tx: Tx, results: readonly RetryResult[]): Promise<void> {
  if (results.length === 0) return;
  await endRows(
    tx,
    results.filter(({ outcome }) => outcome.state === 'delivered').map(({ row }) => row.id),
    'delivered',
  );
  const filtered = results.flatMap(({ row, subscription, outcome }) =>
    outcome.state === 'filtered'
      ? [{ id: row.id, subscription: subscription.id, reason: outcome.reason, count: 1 }]
      : [],
  );
  await endRows(
    tx,
    filtered.map(({ id }) => id),
    'filtered',
  );
  await countFiltered(tx, filtered);
  await updateRows(tx, results);
  const ended = results.filter(({ outcome }) => outcome.state !== 'retrying');
  await releaseKeys(
    tx,
    ended.map(({ subscription, row }) => ({ subscription: subscription.id, orderKey: row.orderKey })),
  );
  await insertAttempts(tx, results);
}

/** Removes rows; an event whose last row goes is counted as delivered, or as filtered. */
async function endRows(tx: Tx, ids: readonly string[], counter: 'delivered' | 'filtered'): Promise<void> {
  if (ids.length === 0) return;
  await sql`
    with gone as (
      delete from deliveries where id = any(${ids}::uuid[]) returning subscription_id, partition, log_offset
    ), ended as (
      select subscription_id, partition, count(*) as events from (
        select distinct subscription_id, partition, log_offset from gone g
        where not exists (
          select 1 from deliveries d
          where d.subscription_id = g.subscription_id and d.partition = g.partition and d.log_offset = g.log_offset and d.id <> all(${ids}::uuid[])
        )
      ) e group by subscription_id, partition
    )
    update cursors c set ${sql.ref(counter)} = c.${sql.ref(counter)} + ended.events, updated_at = now()
    from ended where c.subscription_id = ended.subscription_id and c.partition = ended.partition`.execute(tx);
}

async function updateRows(tx: Tx, results: readonly RetryResult[]): Promise<void> {
  const rows = results.flatMap(({ row, outcome }) =>
    outcome.state === 'delivered' || outcome.state === 'filtered' ? [] : [{ row, outcome }],
  );
  if (rows.length === 0) return;
  const column = <T>(pick: (entry: (typeof rows)[number]) => T): T[] => rows.map(pick);
  await sql`
    update deliveries d
    set state = v.state, order_key = case when v.state = 'retrying' then d.order_key end, stage = v.stage, payload = v.payload, attempts = v.attempts, retries = v.retries, next_at = v.next_at,
        error_code = v.error_code, error_message = v.error_message, fingerprint = v.fingerprint, pipeline_version = v.version, updated_at = now()
    from unnest(
      ${column((r) => r.row.id)}::uuid[], ${column((r) => r.outcome.state)}::text[], ${column((r) => r.outcome.stage)}::text[],
      ${column((r) => (r.outcome.payload === null ? null : JSON.stringify(r.outcome.payload)))}::text[], ${column((r) => r.outcome.attempts)}::int[],
      ${column((r) => r.outcome.retries)}::int[], ${column((r) => iso(r.outcome.nextAt))}::timestamptz[],
      ${column((r) => clean(r.outcome.failure.code, KEPT.code))}::text[], ${column((r) => clean(r.outcome.failure.message, KEPT.message))}::text[],
      ${column((r) => fingerprintOf(r.outcome.stage, r.outcome.failure))}::text[], ${column((r) => r.outcome.version)}::int[]
    ) as v (id, state, stage, payload, attempts, retries, next_at, error_code, error_message, fingerprint, version)
    where d.id = v.id`.execute(tx);
}

/** Where the first event of a key that still waits is held, lets it go. */
async function releaseKeys(
  tx: Tx,
  keys: readonly { readonly subscription: string; readonly orderKey: string | null }[],
): Promise<void> {
  const ordered = keys.filter(({ orderKey }) => orderKey !== null);
  if (ordered.length === 0) return;
  await sql`
    update deliveries set held = false, next_at = now() where held and id in (
      select distinct on (d.subscription_id, d.order_key) d.id
      from deliveries d
      join unnest(${ordered.map(({ subscription }) => subscription)}::uuid[], ${ordered.map(({ orderKey }) => orderKey)}::text[]) as k (subscription_id, order_key)
        on d.subscription_id = k.subscription_id and d.order_key = k.order_key
      where d.state = 'retrying'
      order by d.subscription_id, d.order_key, d.log_offset, d.output
    )`.execute(tx);
}
