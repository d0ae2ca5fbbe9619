import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** What a child of the benchmark does: answers what it is asked, one message at a time or several. */
export type Handler = (request: unknown) => unknown;

/** The parts of the benchmark that run in processes of their own, so that they do not share a thread with what is measured. */
const roles = {
  generator: async () => (await import('./generator.ts')).openGenerator(),
  receiver: async () => (await import('./receiver.ts')).openReceiver(),
  'bare-server': async () => (await import('./bare-server.ts')).openBareServer(),
} as const satisfies Record<string, () => Promise<Handler>>;

export type Role = keyof typeof roles;

interface Question {
  readonly id: number;
  readonly request: unknown;
}
type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

const CHILD = '--child';
const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url));

/** The role that this process was started for, or null if a person started it. */
export function roleOf(words: readonly string[]): Role | null {
  return words[0] === CHILD ? (words[1] as Role) : null;
}

export async function serve(role: Role): Promise<void> {
  const handler = await roles[role]();
  process.on('message', (message) => void answer(handler, message as Question));
  // The parent is gone, however it ended: nobody is left to measure for.
  process.on('disconnect', () => process.exit(0));
  process.send?.('ready');
}

async function answer(handler: Handler, { id, request }: Question): Promise<void> {
  let reply: Answer;
  try {
    reply = { id, value: await handler(request) };
  } catch (error) {
    reply = { id, error: error instanceof Error ? (error.stack ?? error.message) : String(error) };
  }
  process.send?.(reply);
}

export class Child {
  private readonly waiting = new Map<number, { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }>();
  private questions = 0;

  private constructor(
    private readonly process: ChildProcess,
    private readonly role: Role,
  ) {
    process.on('message', (message) => this.settle(message as Answer | 'ready'));
    process.on('exit', (code, signal) => {
      for (const { reject } of this.waiting.values()) reject(new Error(`The ${role} ended (${signal ?? code}) while it was needed.`));
      this.waiting.clear();
    });
  }

  static async start(role: Role): Promise<Child> {
    const process = fork(main, [CHILD, role]);
    const ready = Promise.withResolvers<void>();
    process.once('message', () => ready.resolve());
    process.once('exit', (code) => ready.reject(new Error(`The ${role} did not start (exit code ${code}).`)));
    const child = new Child(process, role);
    await ready.promise;
    return child;
  }

  ask<Value>(request: unknown): Promise<Value> {
    if (!this.process.connected) return Promise.reject(new Error(`The ${this.role} has ended.`));
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = (this.questions += 1);
    this.waiting.set(id, { resolve, reject });
    this.process.send({ id, request } satisfies Question);
    return promise as Promise<Value>;
  }

  async stop(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.disconnect();
    await ended;
  }

  private settle(message: Answer | 'ready'): void {
    if (message === 'ready') return;
    const question = this.waiting.get(message.id);
    this.waiting.delete(message.id);
    if ('error' in message) question?.reject(new Error(message.error));
    else question?.resolve(message.value);
  }
}
