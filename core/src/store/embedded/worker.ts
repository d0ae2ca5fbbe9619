// The embedded database's thread. Node runs this file as it is, by stripping its types: erasable syntax only, here and
// in what it imports.
import { parentPort, workerData } from 'node:worker_threads';
import type { PGlite } from '@electric-sql/pglite';
import { openEngine } from './engine.ts';
import { joinBytes, type Reply, type Request } from './protocol.ts';

const port = parentPort;
if (port === null) throw new Error('this file runs as a worker thread');

const SYNC = Buffer.from([0x53, 0, 0, 0, 4]);

function send(reply: Reply): void {
  port?.postMessage(reply, reply.type === 'done' ? [reply.bytes.buffer] : []);
}

function fail(error: unknown): never {
  send({ type: 'fatal', reason: error instanceof Error ? error.message : String(error) });
  process.exit(1);
}

try {
  const engine = await openEngine((workerData as { directory: string }).directory, fail);
  port.on('message', (request: Request) => {
    handle(engine, request).then((bytes) => {
      send({ type: 'done', id: request.id, bytes });
      if (request.type === 'close') port.close();
    }, fail);
  });
  send({ type: 'ready' });
} catch (error) {
  fail(error);
}

async function handle(engine: PGlite, request: Request): Promise<Uint8Array<ArrayBuffer>> {
  switch (request.type) {
    case 'exchange':
      return await exchange(engine, request.bytes);
    case 'reset':
      // The Sync ends an exchange that was left halfway; ROLLBACK and DISCARD must come one by one, outside a transaction.
      await exchange(engine, Buffer.concat([SYNC, simpleQuery('rollback'), simpleQuery('discard all')]));
      return new Uint8Array();
    case 'close':
      await engine.close();
      return new Uint8Array();
  }
}

async function exchange(engine: PGlite, bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array[] = [];
  await engine.execProtocolRawStream(bytes, {
    syncToFs: false,
    // A view of PGlite's memory, which it goes on to reuse.
    onRawData: (chunk) => chunks.push(Uint8Array.from(chunk)),
  });
  return joinBytes(chunks);
}

function simpleQuery(sql: string): Buffer {
  const text = Buffer.from(`${sql}\0`);
  const head = Buffer.alloc(5);
  head.write('Q');
  head.writeUInt32BE(4 + text.length, 1);
  return Buffer.concat([head, text]);
}
