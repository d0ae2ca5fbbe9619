import { randomUUID } from 'node:crypto';
import type { Event } from '@switchyard/plugin-sdk';
import { namedEventId, newEventId } from '../../src/event/ids.ts';
import type { LogRecord } from '../../src/log/event-log.ts';

export const SOURCE = '00000000-0000-4000-8000-00000000000a';

export function anEvent(fields: Partial<Event> = {}): Event {
  return {
    id: newEventId(),
    event_name: 'user_signed_up',
    user_id: 'u1',
    timestamp: '2024-01-30T10:00:00Z',
    metadata: { plan: 'pro' },
    received_at: '2026-01-01T00:00:00.000Z',
    context: { ip_address: '203.0.113.7', user_agent: 'test' },
    ...fields,
  };
}

export function aRecord(fields: Partial<Event> = {}, source: string = SOURCE): LogRecord {
  const event = anEvent(fields);
  return { event, source, text: JSON.stringify(event), named: false };
}

/** A record whose id the client named. */
export function aNamedRecord(project: string, clientId: string, fields: Partial<Event> = {}): LogRecord {
  const event = anEvent({ ...fields, id: namedEventId(project, clientId) });
  return { event, source: SOURCE, text: JSON.stringify(event), named: true };
}

export const aProject = (): string => randomUUID();
