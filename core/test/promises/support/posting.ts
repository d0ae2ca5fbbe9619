import { call } from '../../support/api.ts';

export interface Draft {
  readonly event_name: string;
  readonly user_id?: string;
  readonly event_id?: string;
  readonly timestamp?: string;
  readonly metadata?: Readonly<Record<string, unknown>>;
}

export interface BatchAnswer {
  readonly accepted: number;
  readonly rejected: number;
  readonly results: readonly {
    readonly index: number;
    readonly id?: string;
    readonly error?: { readonly code: string; readonly message: string };
  }[];
}

/** An application that posts events with one API key. */
export class Client {
  constructor(
    readonly address: string,
    readonly key: string,
  ) {}

  async post(event: Draft): Promise<string> {
    const { id } = await call<{ id: string }>(`${this.address}/api/v1/events`, 'POST', this.key, event);
    return id;
  }

  batch(events: readonly Draft[]): Promise<BatchAnswer> {
    return call(`${this.address}/api/v1/events/batch`, 'POST', this.key, { events });
  }

  /** Posts a batch that must be accepted as a whole, and gives back its ids in order. */
  async postAll(events: readonly Draft[]): Promise<readonly string[]> {
    const { results, rejected } = await this.batch(events);
    if (rejected > 0)
      throw new Error(
        `${rejected} events were rejected: ${JSON.stringify(results.filter(({ error }) => error !== undefined))}`,
      );
    return results.map(({ id }) => id ?? '');
  }
}
