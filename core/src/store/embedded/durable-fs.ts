import fs from 'node:fs';
import path from 'node:path';
import type { PGlite } from '@electric-sql/pglite';
import { NodeFS } from '@electric-sql/pglite/nodefs';

type EmscriptenOptions = Parameters<NodeFS['init']>[1];

/** The parts of Emscripten's file system that this needs, none of which PGlite's types declare. */
interface OpenFile {
  readonly nfd: number;
}
interface ModuleWithNodeFs {
  readonly NODEFS: { readonly stream_ops: { fsync?: (file: OpenFile) => number } };
}

/**
 * PGlite's Node file system, with the fsync that it lacks.
 *
 * Guarantee: whatever PostgreSQL believes to be on stable storage (the WAL at COMMIT, data files and directories at a
 * checkpoint, pg_control) has gone through fsync(2) of the operating system. Emscripten's fd_sync calls
 * `stream_ops.fsync` if there is one and otherwise reports success; NODEFS has none. Its fdatasync never calls
 * anything, hence `wal_sync_method=fsync` in settings.ts.
 * Verified with strace (ADR 0002), by the count that the thread checks at every start, and by durable-fs.spec.ts.
 */
export class DurableFs extends NodeFS {
  /** How many times PostgreSQL has had something fsynced. */
  syncs = 0;
  readonly #onFailure: (error: unknown) => never;

  /** `onFailure` must end the thread: after a failed fsync nobody knows what is on the disk, and a retry may lie. */
  constructor(directory: string, onFailure: (error: unknown) => never) {
    super(directory);
    this.#onFailure = onFailure;
  }

  override async init(pg: PGlite, options: EmscriptenOptions): ReturnType<NodeFS['init']> {
    const { emscriptenOpts } = await super.init(pg, options);
    const addFsync = (module: unknown): void => {
      (module as ModuleWithNodeFs).NODEFS.stream_ops.fsync = ({ nfd }) => {
        try {
          fs.fsyncSync(nfd);
        } catch (error) {
          this.#onFailure(error);
        }
        this.syncs++;
        return 0;
      };
    };
    return { emscriptenOpts: { ...emscriptenOpts, preRun: [...(emscriptenOpts.preRun ?? []), addFsync] } };
  }
}

/** Puts a folder with everything in it on stable storage. */
export function fsyncTree(directory: string): void {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory()) fsyncTree(name);
    else if (entry.isFile()) fsyncOne(name);
  }
  fsyncDirectory(directory);
}

/** Makes the names in a folder durable. Windows cannot open a folder, and keeps names in its own journal. */
export function fsyncDirectory(directory: string): void {
  if (process.platform !== 'win32') fsyncOne(directory);
}

function fsyncOne(name: string): void {
  const fd = fs.openSync(name, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}
