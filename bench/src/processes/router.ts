import { spawn, type ChildProcess } from 'node:child_process';
import path from 'node:path';
import { routerMain } from '../core.ts';

export const API_KEY = 'sy_benchkey00001_0123456789abcdefghijABCDEFGHIJ0123456789abc';
const PASSWORD = 'only for this run';
const START_MS = 60_000;
const STOP_MS = 20_000;
const CPU = /^process_cpu_seconds_total (\S+)$/m;

interface Listed {
  readonly items: readonly { readonly id: string; readonly type: string }[];
}

export interface RouterOptions {
  readonly dataDir: string;
  /** Where Node writes a CPU profile of the router; null for none. */
  readonly profile: string | null;
}

/** A router in a process of its own, started as `npm start` does, and driven by HTTP alone. */
export class RouterProcess {
  private constructor(
    private readonly process: ChildProcess,
    private readonly address: string,
    private readonly token: string,
    private readonly project: string,
  ) {}

  static async start({ dataDir, profile }: RouterOptions): Promise<RouterProcess> {
    const profiling = profile === null ? [] : ['--cpu-prof', `--cpu-prof-dir=${path.resolve(profile)}`];
    const child = spawn(
      process.execPath,
      ['--enable-source-maps', '--disable-warning=ExperimentalWarning', ...profiling, routerMain],
      {
        env: {
          PATH: process.env['PATH'],
          PORT: '0',
          DATA_DIR: dataDir,
          LOG_LEVEL: 'error',
          EGRESS_ALLOW: '127.0.0.0/8',
          ADMIN_PASSWORD: PASSWORD,
          BOOTSTRAP_API_KEY: API_KEY,
        },
        stdio: ['ignore', 'pipe', 'inherit'],
      },
    );
    // The benchmark may end in any way: no router stays behind, and it is gone before its folder is removed.
    process.prependListener('exit', () => child.kill('SIGKILL'));
    try {
      const address = await addressOf(child);
      const { access_token } = await call<{ access_token: string }>(`${address}/api/v1/auth/login`, 'POST', '', {
        email: 'admin@localhost',
        password: PASSWORD,
      });
      const { items } = await call<Listed>(`${address}/api/v1/projects`, 'GET', access_token);
      return new RouterProcess(child, address, access_token, items[0]?.id ?? '');
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    }
  }

  get port(): number {
    return Number(new URL(this.address).port);
  }

  /** Of all threads of the process, since it began. */
  async cpuSeconds(): Promise<number> {
    const response = await fetch(`${this.address}/metrics`);
    return Number(CPU.exec(await response.text())?.[1]);
  }

  /** Disabled destinations let their events wait in the log. */
  async enableAll(enabled: boolean): Promise<void> {
    const { items } = await this.send<Listed>('GET', 'destinations');
    for (const { id } of items) await this.send('PATCH', `destinations/${id}`, { enabled });
  }

  /** Publishes a pipeline from the default source to a new destination, and returns what switches the destination on and off. */
  async connect(type: string, config: object): Promise<(enabled: boolean) => Promise<void>> {
    const { items: sources } = await this.send<Listed>('GET', 'sources');
    const { id: destination } = await this.send<{ id: string }>('POST', 'destinations', {
      name: `bench ${type}`,
      type,
      config,
    });
    const nodes = [
      { id: 'in', kind: 'source', source: sources[0]?.id },
      { id: 'out', kind: 'destination', destination },
    ];
    const { id: pipeline } = await this.send<{ id: string }>('POST', 'pipelines', {
      name: `bench ${type}`,
      definition: { nodes, edges: [['in', 'out']] },
    });
    await this.send('POST', `pipelines/${pipeline}/publish`);
    return async (enabled) => {
      await this.send('PATCH', `destinations/${destination}`, { enabled });
    };
  }

  async stop(): Promise<void> {
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    const late = setTimeout(() => this.process.kill('SIGKILL'), STOP_MS);
    this.process.kill('SIGTERM');
    await ended;
    clearTimeout(late);
  }

  private send<Answer>(method: string, route: string, body?: object): Promise<Answer> {
    return call(`${this.address}/api/v1/projects/${this.project}/${route}`, method, this.token, body);
  }
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = '';
    const late = setTimeout(
      () => reject(new Error(`The router did not start within ${START_MS / 1000} s: ${said}`)),
      START_MS,
    );
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      const address = /is ready: (\S+)/.exec(said)?.[1];
      if (address === undefined) return;
      clearTimeout(late);
      resolve(address);
    });
    child.once('exit', (code) => {
      clearTimeout(late);
      reject(new Error(`The router ended with ${code}: ${said}`));
    });
  });
}

async function call<Answer>(url: string, method: string, token: string, body?: object): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: {
      authorization: `Bearer ${token}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
  return (text === '' ? undefined : JSON.parse(text)) as Answer;
}
