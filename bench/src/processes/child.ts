import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { CHILD, type Answer, type Question, type Role } from './roles.ts';

const main = fileURLToPath(new URL(import.meta.url.endsWith('.ts') ? '../main.ts' : '../main.js', import.meta.url));

/** A part of the benchmark in a process of its own, as its parent sees it. */
export class Child {
  private readonly waiting = new Map<
    number,
    { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
  >();
  private questions = 0;

  private constructor(
    private readonly process: ChildProcess,
    private readonly role: Role,
  ) {
    process.on('message', (message) => this.settle(message as Answer | 'ready'));
    process.on('exit', (code, signal) => {
      for (const { reject } of this.waiting.values())
        reject(new Error(`The ${role} ended (${signal ?? code}) while it was needed.`));
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
