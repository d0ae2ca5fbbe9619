import { Duplex } from 'node:stream';
import type { DatabaseThread } from './database-thread.ts';

/**
 * The socket that `pg` talks to, ending in the database's thread instead of a server. Because `pg` itself does the
 * talking, types, parameters and errors (SQLSTATE, detail, constraint) are the same with PGlite as with PostgreSQL.
 *
 * PGlite has one session: at most one of these may be in use at a time (a pool with `max: 1`).
 */
export class EmbeddedConnection extends Duplex {
  readonly #thread: DatabaseThread;

  constructor(thread: DatabaseThread) {
    super();
    this.#thread = thread;
  }

  connect(): this {
    // The one before may have left a transaction open, and there is only one session.
    this.#thread.reset().then(
      () => this.emit('connect'),
      (error: Error) => this.destroy(error),
    );
    return this;
  }

  override _read(): void {
    // Answers are pushed as they come.
  }

  // pg corks while it writes the messages of a query: they arrive, and cross to the thread, together.
  override _writev(writes: { chunk: Buffer }[], done: (error?: Error | null) => void): void {
    this.#thread.exchange(writes.map(({ chunk }) => chunk)).then(
      (answer) => {
        if (answer.length > 0) this.push(Buffer.from(answer.buffer));
        done();
      },
      (error: Error) => done(error),
    );
  }

  override _final(done: (error?: Error | null) => void): void {
    this.push(null);
    done();
  }

  // What else pg calls on a socket means nothing here.
  setNoDelay(): this {
    return this;
  }
  setKeepAlive(): this {
    return this;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
}
