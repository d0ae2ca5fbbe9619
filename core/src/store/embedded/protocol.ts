/** What passes between the embedded database's thread and the main one. Bytes are PostgreSQL's own wire protocol. */
export type Request =
  | { readonly type: 'exchange'; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'reset'; readonly id: number }
  | { readonly type: 'close'; readonly id: number };

export type Reply =
  | { readonly type: 'ready' }
  /** `bytes` is empty unless the request was an exchange. */
  | { readonly type: 'done'; readonly id: number; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The thread ends right after this. */
  | { readonly type: 'fatal'; readonly reason: string };

/** In memory of its own, which can therefore be handed to the other thread instead of copied. */
export function joinBytes(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}
