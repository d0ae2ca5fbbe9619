import { setTimeout as delay } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { BatchAnswer, Draft } from './posting.ts';

const RECENT = 50;
const NAMES = ['signed_up', 'logged_in', 'ordered', 'cancelled'] as const;

/** One event as the oracle knows it: what was posted, and whether somebody answered 202 for it. */
export interface Posted {
  readonly number: number;
  /** The client's own name for the event; posted again now and then. */
  readonly eventId: string | null;
  /** The id that a 202 gave it. */
  id: string | null;
}

/**
 * Applications under way, and the oracle: it remembers every event that was posted and every id that was answered. Each event carries its number in
 * its metadata, so that it is recognised wherever it turns up, answered or not.
 */
export class Load {
  readonly posted: Posted[] = [];
  /** Repeats of an `event_id` that were answered with another id than before. */
  readonly contradictions: string[] = [];
  /** Answers other than 202, by status and body. */
  readonly refusals = new Map<string, number>();
  inFlight = 0;
  requests = 0;
  repeats = 0;
  unanswered = 0;
  private running: Promise<void>[] = [];
  private stopped = false;
  private agent = new Agent({ connections: 64 });

  constructor(
    private readonly key: string,
    private readonly random: () => number,
    /** Where the router is now; null while it is down. */
    private readonly address: () => string | null,
  ) {}

  start(workers: number): void {
    this.running = Array.from({ length: workers }, () => this.work());
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.running);
    await this.agent.destroy();
  }

  /** The events of which a 202 gave the id. */
  get acknowledged(): readonly Posted[] {
    return this.posted.filter(({ id }) => id !== null);
  }

  private async work(): Promise<void> {
    while (!this.stopped) {
      const address = this.address();
      if (address === null) {
        await delay(20);
        continue;
      }
      const batch = this.random() < 0.3;
      const events = Array.from({ length: batch ? 1 + Math.floor(this.random() * 20) : 1 }, () => this.next());
      this.requests += 1;
      this.inFlight += 1;
      try {
        if (batch) await this.postBatch(address, events);
        else await this.postOne(address, events);
      } catch {
        // The router was killed: nobody knows what became of the request.
        this.unanswered += 1;
        await delay(5);
      } finally {
        this.inFlight -= 1;
      }
    }
  }

  /** A new event, or one of the last named ones again. */
  private next(): Posted {
    if (this.random() < 0.15) {
      const again = this.posted.slice(-RECENT).filter(({ eventId }) => eventId !== null);
      const repeat = again[Math.floor(this.random() * again.length)];
      if (repeat !== undefined) {
        this.repeats += 1;
        return repeat;
      }
    }
    const number = this.posted.length;
    const posted: Posted = { number, eventId: this.random() < 0.4 ? `order-${number}` : null, id: null };
    this.posted.push(posted);
    return posted;
  }

  private async postOne(address: string, events: readonly Posted[]): Promise<void> {
    const [only] = events;
    if (only === undefined) return;
    const answer = await this.send<{ id: string }>(`${address}/api/v1/events`, draftOf(only));
    if (answer !== null) this.acknowledge(only, answer.id);
  }

  private async postBatch(address: string, events: readonly Posted[]): Promise<void> {
    const answer = await this.send<BatchAnswer>(`${address}/api/v1/events/batch`, { events: events.map(draftOf) });
    for (const { index, id } of answer?.results ?? []) {
      const event = events[index];
      if (event !== undefined && id !== undefined) this.acknowledge(event, id);
    }
  }

  private async send<Answer>(url: string, body: unknown): Promise<Answer | null> {
    const { statusCode, body: answer } = await request(url, {
      method: 'POST',
      headers: { authorization: `Bearer ${this.key}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
      dispatcher: this.agent,
    });
    const text = await answer.text();
    if (statusCode === 202) return JSON.parse(text) as Answer;
    const refusal = `${statusCode} ${text}`;
    this.refusals.set(refusal, (this.refusals.get(refusal) ?? 0) + 1);
    return null;
  }

  private acknowledge(event: Posted, id: string): void {
    if (event.id !== null && event.id !== id) this.contradictions.push(`${event.eventId}: ${event.id}, then ${id}`);
    event.id = id;
  }
}

function draftOf({ number, eventId }: Posted): Draft {
  const draft = {
    event_name: NAMES[number % NAMES.length] ?? '',
    user_id: `user-${number % 97}`,
    metadata: { number },
  };
  return eventId === null ? draft : { ...draft, event_id: eventId };
}
