import type { Handler } from './handler.ts';

/** The parts of the benchmark that run in processes of their own, so that they do not share a thread with what is measured. */
const roles = {
  generator: async () => (await import('./generator.ts')).openGenerator(),
  receiver: async () => (await import('./receiver.ts')).openReceiver(),
  'bare-server': async () => (await import('./bare-server.ts')).openBareServer(),
} as const satisfies Record<string, () => Promise<Handler>>;

export type Role = keyof typeof roles;

export interface Question {
  readonly id: number;
  readonly request: unknown;
}
export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string };

/** The word that stands before a role on the command line of a child. */
export const CHILD = '--child';

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
