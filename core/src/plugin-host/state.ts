import { RetryableError, type Json, type PluginState } from '@switchyard/plugin-sdk';
import type { Kysely } from 'kysely';
import { isStoreOutage } from '../store/outage.ts';
import type { Database } from '../store/schema.ts';
import { inCore } from './scope.ts';

const MAX_KEY = 200;
const MAX_VALUE_BYTES = 65_536;

/** The durable key-value store of one instance: rows of `plugin_state`. An outage of the database is a `RetryableError`, not the plugin's bug. */
export class InstanceState implements PluginState {
  readonly #database: Kysely<Database>;
  readonly #instance: string;

  constructor(database: Kysely<Database>, instance: string) {
    this.#database = database;
    this.#instance = instance;
  }

  async get(key: string): Promise<Json | undefined> {
    checkKey(key);
    const row = await waitable(() =>
      this.#database
        .selectFrom('plugin_state')
        .select('value')
        .where('instance_id', '=', this.#instance)
        .where('key', '=', key)
        .executeTakeFirst(),
    );
    // Only `set` writes this table, and it takes JSON alone.
    return row?.value as Json | undefined;
  }

  async set(key: string, value: Json): Promise<void> {
    checkKey(key);
    const text: string | undefined = JSON.stringify(value);
    if (text === undefined) throw new TypeError(`The state "${key}" is not JSON. To remove it, call delete.`);
    if (Buffer.byteLength(text) > MAX_VALUE_BYTES) {
      throw new RangeError(
        `The state "${key}" has ${Buffer.byteLength(text)} bytes, and at most ${MAX_VALUE_BYTES} are kept: it is for cursors and tokens, not for events.`,
      );
    }
    await waitable(() =>
      this.#database
        .insertInto('plugin_state')
        .values({ instance_id: this.#instance, key, value: text })
        .onConflict((conflict) => conflict.columns(['instance_id', 'key']).doUpdateSet({ value: text }))
        .execute(),
    );
  }

  async delete(key: string): Promise<void> {
    checkKey(key);
    await waitable(() =>
      this.#database
        .deleteFrom('plugin_state')
        .where('instance_id', '=', this.#instance)
        .where('key', '=', key)
        .execute(),
    );
  }
}

function checkKey(key: string): void {
  if (typeof key !== 'string' || key === '' || key.length > MAX_KEY)
    throw new RangeError(`A key of the state has 1 to ${MAX_KEY} characters.`);
}

async function waitable<Result>(query: () => Promise<Result>): Promise<Result> {
  try {
    return await inCore(query);
  } catch (error) {
    if (isStoreOutage(error))
      throw new RetryableError('The database does not answer.', { code: 'STORE_UNAVAILABLE', cause: error });
    throw error;
  }
}
