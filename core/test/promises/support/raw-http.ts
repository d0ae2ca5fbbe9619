import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

export interface RawAnswer {
  readonly status: number;
  readonly body: {
    readonly id?: string;
    readonly error?: {
      readonly code: string;
      readonly message: string;
      readonly details?: Readonly<Record<string, unknown>>;
    };
  };
}

/** A client that writes bytes of its own making to a real socket. */
export class RawClient {
  private received = '';
  private ended = false;

  private constructor(private readonly socket: Socket) {
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.received += text;
    });
    // A server that has said why may reset the rest.
    socket.on('error', () => undefined);
    socket.on('close', () => {
      this.ended = true;
    });
  }

  static async open(address: string): Promise<RawClient> {
    const { hostname, port } = new URL(address);
    const socket = connect(Number(port), hostname);
    const client = new RawClient(socket);
    await once(socket, 'connect');
    return client;
  }

  get isClosed(): boolean {
    return this.ended;
  }

  write(bytes: string | Uint8Array): void {
    if (!this.ended) this.socket.write(bytes);
  }

  /** Resolves when the kernel has taken the bytes, or the other side is gone. */
  async drained(): Promise<void> {
    if (this.ended || !this.socket.writableNeedDrain) return;
    const over = new AbortController();
    await Promise.race([once(this.socket, 'drain', over), once(this.socket, 'close', over)]).catch(() => undefined);
    over.abort();
  }

  /** The first whole answer; null when the connection ended without one. */
  async answer(): Promise<RawAnswer | null> {
    for (;;) {
      const answer = this.parsed();
      if (answer !== null) return answer;
      if (this.ended) return null;
      const over = new AbortController();
      await Promise.race([once(this.socket, 'data', over), once(this.socket, 'close', over)]).catch(() => undefined);
      over.abort();
    }
  }

  close(): void {
    this.socket.destroy();
  }

  private parsed(): RawAnswer | null {
    const end = this.received.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const top = this.received.slice(0, end);
    const length = Number(/^content-length: *(\d+)/im.exec(top)?.[1] ?? '0');
    const body = this.received.slice(end + 4);
    if (Buffer.byteLength(body) < length) return null;
    return { status: Number(top.slice(9, 12)), body: JSON.parse(body.slice(0, length) || '{}') as RawAnswer['body'] };
  }
}

/** A request's head, up to the empty line. */
export function head(path: string, headers: Readonly<Record<string, string>>): string {
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return `POST ${path} HTTP/1.1\r\nhost: localhost\r\n${lines.join('')}\r\n`;
}
