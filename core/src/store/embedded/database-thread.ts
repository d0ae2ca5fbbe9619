import { Worker } from 'node:worker_threads';
import { joinBytes, type Reply, type Request } from './protocol.ts';

type RequestBody = Request extends infer Each ? (Each extends Request ? Omit<Each, 'id'> : never) : never;

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
}

/** Looks like a lost connection to whoever decides by SQLSTATE whether a failure is worth waiting out. */
export class EmbeddedDatabaseStopped extends Error {
  readonly code = '08006';
  constructor(reason: string) {
    super(`the embedded database has stopped: ${reason}`);
    this.name = 'EmbeddedDatabaseStopped';
  }
}

/**
 * The main thread's side of the embedded database. PGlite runs in a thread of its own because a query blocks its
 * thread until it is done. When that thread ends unasked, every call that waits rejects with EmbeddedDatabaseStopped,
 * every later one does at once, and `onStopped` is called once (unless it has never been ready: then `ready` says so).
 */
export class DatabaseThread {
  /** Settles when the database is open. */
  readonly ready: Promise<void>;
  readonly #worker: Worker;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, Waiting>();
  #lastId = 0;
  #closing = false;
  #stopped: EmbeddedDatabaseStopped | undefined;

  constructor(directory: string, onStopped: (error: Error) => void) {
    this.#worker = new Worker(workerFile, {
      workerData: { directory },
      // The thread needs none of the loaders and conditions that the process may have been started with.
      execArgv: [],
    });
    const opened = Promise.withResolvers<void>();
    const exited = Promise.withResolvers<void>();
    this.ready = opened.promise;
    this.#exited = exited.promise;

    let isReady = false;
    let reason: string | undefined;
    this.#worker.on('message', (reply: Reply) => {
      if (reply.type === 'ready') {
        isReady = true;
        opened.resolve();
      } else if (reply.type === 'fatal') reason = reply.reason;
      else this.#settle(reply.id, reply.bytes);
    });
    this.#worker.on('error', (error) => {
      reason ??= error instanceof Error ? error.message : String(error);
    });
    this.#worker.on('exit', (code) => {
      this.#stopped = new EmbeddedDatabaseStopped(reason ?? (this.#closing ? 'closed' : `exit code ${code}`));
      opened.reject(this.#stopped);
      for (const { reject } of this.#waiting.values()) reject(this.#stopped);
      this.#waiting.clear();
      exited.resolve();
      if (isReady && !this.#closing) onStopped(this.#stopped);
    });
  }

  /** Sends whole messages of PostgreSQL's protocol, Query or Sync last; resolves with all that the database answers. */
  exchange(messages: readonly Uint8Array[]): Promise<Uint8Array> {
    return this.#request({ type: 'exchange', bytes: joinBytes(messages) });
  }

  /** Rolls back what has been left open and forgets the session's settings. */
  async reset(): Promise<void> {
    await this.#request({ type: 'reset' });
  }

  /** Shuts the database down cleanly after what was asked before. Idempotent, and no error when it has stopped. */
  async close(): Promise<void> {
    await this.ready.catch(() => undefined);
    if (!this.#closing) {
      this.#closing = true;
      await this.#request({ type: 'close' }).catch(() => undefined);
    }
    await this.#exited;
  }

  #request(body: RequestBody): Promise<Uint8Array> {
    if (this.#stopped) return Promise.reject(this.#stopped);
    const id = ++this.#lastId;
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#waiting.set(id, { resolve, reject });
    this.#worker.postMessage({ ...body, id }, body.type === 'exchange' ? [body.bytes.buffer] : []);
    return promise;
  }

  #settle(id: number, bytes: Uint8Array): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    waiting?.resolve(bytes);
  }
}

/** Beside this file, in the sources as in the build. */
const workerFile = new URL(import.meta.url.endsWith('.ts') ? './worker.ts' : './worker.js', import.meta.url);
