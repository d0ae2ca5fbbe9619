import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { newPostgres } from '@switchyard/test-support/postgres';
import { openDatabase, type OpenDatabase } from '../../src/store/database.ts';
import type { Database } from '../../src/store/schema.ts';

/** Everything that a test opens, undone in reverse order by `clean`. */
export class Databases {
  readonly #undo: (() => Promise<void> | void)[] = [];

  folder(): string {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'switchyard-store-'));
    this.#undo.push(() => fs.rmSync(folder, { recursive: true, force: true }));
    return folder;
  }

  async embedded(onStopped?: (error: Error) => void): Promise<OpenDatabase<Database>> {
    return await this.open({ dataDir: this.folder(), ...(onStopped && { onStopped }) });
  }

  async postgres(): Promise<OpenDatabase<Database>> {
    return await this.open({ databaseUrl: await this.postgresUrl() });
  }

  async open(options: {
    dataDir?: string;
    databaseUrl?: string;
    onStopped?: (error: Error) => void;
  }): Promise<OpenDatabase<Database>> {
    const opened = await openDatabase({ dataDir: '', logger: silent, ...options });
    this.#undo.push(() => opened.close());
    return opened;
  }

  /** A new, empty database on the tests' server. */
  async postgresUrl(): Promise<string> {
    const { url, drop } = await newPostgres();
    this.#undo.push(drop);
    return url;
  }

  async clean(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }
}

const silent = { warn: () => undefined, error: () => undefined };
