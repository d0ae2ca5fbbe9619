import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import pg from 'pg';
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
    const server = process.env['TEST_DATABASE_URL'];
    if (server === undefined) throw new Error('TEST_DATABASE_URL is not set: run the tests with `npm test`');
    const name = `store_${randomUUID().replaceAll('-', '')}`;
    await administer(server, `create database ${name}`);
    this.#undo.push(() => administer(server, `drop database ${name} with (force)`));
    const url = new URL(server);
    url.pathname = `/${name}`;
    return url.href;
  }

  async clean(): Promise<void> {
    for (const undo of this.#undo.splice(0).reverse()) await undo();
  }
}

const silent = { warn: () => undefined, error: () => undefined };

async function administer(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}
