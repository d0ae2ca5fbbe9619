/** What passes between the embedded database's thread and the main one. Bytes are PostgreSQL's own wire protocol. */
export type Request =
  | { readonly type: 'exchange'; readonly id: number; readonly bytes: Uint8Array }
  /** A connection has gone: its transaction and settings go too. */
  | { readonly type: 'reset'; readonly id: number }
  | { readonly type: 'close'; readonly id: number };

export type Reply =
  | { readonly type: 'ready' }
  /** `bytes` is empty unless the request was an exchange. */
  | { readonly type: 'done'; readonly id: number; readonly bytes: Uint8Array }
  /** The thread ends right after this. */
  | { readonly type: 'fatal'; readonly reason: string };
