import { crc32 } from 'node:zlib';
import type { DraftResult, EventContext, EventId } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import { checkDraft, isProblem, stampEvent, type CheckedDraft } from '../event/draft.ts';
import { namedEventId, newEventId } from '../event/ids.ts';
import type { EventLog, LogRecord } from '../log/event-log.ts';

/** Where drafts come from: a source instance and the project that its key belongs to. */
export interface Origin {
  /** The source instance's id. */
  readonly id: string;
  readonly type: string;
  readonly project: string;
  /** Over how many partitions the project's events are spread. Fixed when the project is made. */
  readonly partitions: number;
}

/** What the connection says of the sender. */
export interface Sender {
  readonly ip: string | null;
  readonly userAgent: string | null;
}

export interface IngressLimits {
  readonly maxBatch: number;
  /** The largest event, as it is stored. */
  readonly maxEventBytes: number;
}

/** Events of one key share a partition, which is what keeps their order. */
export function partitionOf(userId: string | null, id: EventId, partitions: number): number {
  return crc32(userId ?? id) % partitions;
}

/** The only way into the log: validates, stamps, appends. Every source comes through here, whatever it speaks. */
export class Ingress {
  constructor(
    private readonly log: EventLog,
    private readonly limits: IngressLimits,
    private readonly now: () => number = Date.now,
  ) {}

  /**
   * Resolves once every valid draft is on stable storage, with one result a draft, in their order. An invalid draft is refused by itself; its
   * neighbours are stored. Rejects with `BATCH_TOO_LARGE`, `OVERLOADED` or `LOG_UNAVAILABLE`; then no draft of the call is acknowledged.
   *
   * `parsed` holds objects that `readBody` made: it has looked at all that a copy would look at, and nobody changes them (`SourceRequest.body`), so a draft that is
   * one of them is taken as it is.
   */
  async accept(
    origin: Origin,
    drafts: readonly unknown[],
    sender: Sender,
    parsed?: ReadonlySet<unknown>,
  ): Promise<readonly DraftResult[]> {
    if (drafts.length > this.limits.maxBatch) {
      throw new SwitchyardError(
        'BATCH_TOO_LARGE',
        `A batch holds at most ${this.limits.maxBatch} events, this one has ${drafts.length}: send several.`,
      );
    }
    const receivedAt = new Date(this.now()).toISOString();
    const seen: EventContext = { ip_address: sender.ip, user_agent: sender.userAgent };
    const byPartition = new Map<number, LogRecord[]>();
    const results = drafts.map((draft): DraftResult => {
      const checked = checkDraft(draft, parsed);
      if (isProblem(checked)) return { ok: false, error: { code: 'EVENT_INVALID', message: checked.message } };
      const record = this.record(origin, checked, receivedAt, seen);
      if (record === null) {
        return {
          ok: false,
          error: {
            code: 'EVENT_TOO_LARGE',
            message: `An event is at most ${this.limits.maxEventBytes} bytes as JSON: send less metadata.`,
          },
        };
      }
      const { id, user_id } = record.event;
      const index = partitionOf(user_id, id, origin.partitions);
      const records = byPartition.get(index);
      if (records === undefined) byPartition.set(index, [record]);
      else records.push(record);
      return { ok: true, id };
    });
    const appends: Promise<void>[] = [];
    for (const [index, records] of byPartition)
      appends.push(this.log.append({ project: origin.project, index }, records));
    if (appends.length === 1) {
      await appends[0];
      return results;
    }
    // Every append is awaited even when one fails: a rejection that nobody waits for would end the process.
    const settled = await Promise.allSettled(appends);
    for (const outcome of settled) if (outcome.status === 'rejected') throw outcome.reason;
    return results;
  }

  private record(origin: Origin, draft: CheckedDraft, receivedAt: string, seen: EventContext): LogRecord | null {
    const named = draft.event_id !== undefined;
    const id = draft.event_id === undefined ? newEventId() : namedEventId(origin.project, draft.event_id);
    const event = stampEvent(draft, id, receivedAt, seen);
    const text = JSON.stringify(event);
    if (text.length > this.limits.maxEventBytes / 3 && Buffer.byteLength(text) > this.limits.maxEventBytes) return null;
    return { event, source: origin.id, text, named };
  }
}
