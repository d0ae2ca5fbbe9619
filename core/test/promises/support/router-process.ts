import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { ADMIN, API_KEY } from '../../support/router.ts';

const ROOT = path.join(import.meta.dirname, '../../../..');
const MAIN = path.join(ROOT, 'core/dist/main.js');
const READY_MS = 30_000;

/** The built router as `npm start` runs it, leader of a process group of its own: its threads, sandboxes and all. */
export class RouterProcess {
  /** Everything that it printed, on both streams. */
  output = '';
  private exited = false;

  private constructor(private readonly child: ChildProcessByStdio<null, Readable, Readable>) {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
    child.once('exit', () => {
      this.exited = true;
    });
  }

  /** Resolves when it takes events. */
  static async start(dataDir: string, env: Readonly<Record<string, string>> = {}): Promise<RouterProcess> {
    const { PATH = '', HOME = '' } = process.env;
    const child = spawn(process.execPath, ['--enable-source-maps', '--disable-warning=ExperimentalWarning', MAIN], {
      cwd: ROOT,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH,
        HOME,
        PORT: '0',
        DATA_DIR: dataDir,
        EGRESS_ALLOW: '127.0.0.0/8',
        LOG_LEVEL: 'error',
        ADMIN_PASSWORD: ADMIN.password,
        BOOTSTRAP_API_KEY: API_KEY,
        ...env,
      },
    });
    const router = new RouterProcess(child);
    await router.ready();
    return router;
  }

  /** As its welcome says. */
  get address(): string {
    return /Switchyard is ready: (http:\/\/\S+)/.exec(this.output)?.[1] ?? '';
  }

  /** Whether it runs: false once it ended, by itself or not. */
  get alive(): boolean {
    return !this.exited;
  }

  /** The memory that the router holds, in bytes, without that of its sandboxes. */
  async rss(): Promise<number> {
    const text = await (await fetch(`${this.address}/metrics`)).text();
    return Number(/^process_resident_memory_bytes (\S+)$/m.exec(text)?.[1]);
  }

  /** Sends SIGKILL to the whole group and waits until the router is gone. */
  async kill(): Promise<void> {
    if (this.exited || this.child.pid === undefined) return;
    process.kill(-this.child.pid, 'SIGKILL');
    if (!this.exited) await once(this.child, 'exit');
  }

  private async ready(): Promise<void> {
    const late = AbortSignal.timeout(READY_MS);
    while (this.address === '') {
      if (this.exited || late.aborted) {
        await this.kill();
        throw new Error(`The router did not start${late.aborted ? ` within ${READY_MS} ms` : ''}:\n${this.output}`);
      }
      await Promise.race([once(this.child.stdout, 'data'), once(this.child, 'exit'), once(late, 'abort')]);
    }
  }
}
