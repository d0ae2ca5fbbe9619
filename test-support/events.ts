import { randomBytes, randomUUID } from 'node:crypto';
import type { BatchPosition, DeliveryBatch, DeliveryOutcomes, Event } from '@switchyard/plugin-sdk';

/** An id that ingress made (7) or that stands for a name of the client's (5). */
export function anId(version: 5 | 7 = 7): string {
  const id =
    version === 7
      ? Date.now().toString(16).padStart(12, '0') + randomBytes(10).toString('hex')
      : randomBytes(16).toString('hex');
  return `${id.slice(0, 8)}-${id.slice(8, 12)}-${version}${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20)}`;
}

export function anEvent(overrides: Partial<Event> = {}): Event {
  return {
    id: anId(),
    event_name: 'signup',
    user_id: 'user-1',
    timestamp: '2024-05-01T10:00:00.000Z',
    metadata: { plan: 'pro' },
    received_at: '2024-05-01T10:00:01.000Z',
    context: { ip_address: '203.0.113.7', user_agent: 'test/1.0' },
    ...overrides,
  };
}

/** One partition of a subscription's log, and the batches that core would read from it. */
export class Line {
  readonly events: Event[];
  readonly subscription = randomUUID();

  constructor(events: readonly Event[]) {
    this.events = [...events];
  }

  batch(first: number, count: number): DeliveryBatch {
    const items = this.events
      .slice(first, first + count)
      .map((event, at) => ({ id: event.id, event, offset: first + at, attempt: 1 }));
    const position: BatchPosition = {
      subscription: this.subscription,
      partition: 'log-1/0',
      first,
      last: first + items.length - 1,
    };
    return { position, items };
  }

  all(): DeliveryBatch {
    return this.batch(0, this.events.length);
  }
}

/** A retry or a replay. */
export function replayOf(...events: readonly Event[]): DeliveryBatch {
  return { position: null, items: events.map((event) => ({ id: event.id, event, offset: 0, attempt: 2 })) };
}

/** `delivered`, or the code of the failure, by id. */
export function verdicts(outcomes: DeliveryOutcomes): Record<string, string> {
  return Object.fromEntries(
    [...outcomes].map(([id, outcome]) => [id, outcome.status === 'delivered' ? 'delivered' : outcome.error.code]),
  );
}
