/** One rule of the contract, tried against one plugin. */
export interface Case {
  /** Stable: `waive` and test reports refer to it. */
  readonly name: string;
  /** The sentence of the contract that is tried. */
  readonly rule: string;
  /** The author's reason for not holding to the rule; such a case is reported as skipped. */
  readonly waived?: string;
  /** Resolves when the plugin holds to the rule, rejects with a `ContractViolation` when it does not. Never hangs. */
  readonly run: () => Promise<void>;
}

/** A case before the kit gives it its deadline. */
export interface CaseSpec<Scene> {
  readonly name: string;
  readonly rule: string;
  body(scene: Scene): Promise<void>;
}

/** What is wrong, before it is known in which case. */
export class Broken extends Error {
  override readonly name = 'Broken';
}

/** A plugin broke a rule. The message names the case, the rule and what was seen. */
export class ContractViolation extends Error {
  override readonly name = 'ContractViolation';
  readonly caseName: string;

  constructor(spec: { readonly name: string; readonly rule: string }, detail: string, cause?: unknown) {
    super(`${spec.name}: ${detail}\n  The rule: ${spec.rule}`, cause === undefined ? undefined : { cause });
    this.caseName = spec.name;
  }
}

/** Fails the case that is running unless `condition` holds. */
export function must(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new Broken(problem);
}

/** One line about anything that may be thrown. */
export function describeThrown(thrown: unknown): string {
  return thrown instanceof Error ? `${thrown.name}: ${thrown.message}` : `${typeof thrown} ${String(thrown)}`;
}

/**
 * What `work` comes to, unless that takes longer than `ms`: then it rejects with what `late` says, and whatever `work`
 * does later is nobody's concern any more.
 */
export async function within<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms);
  });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

export type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

/** How a synchronous call ends. */
export function attempt<T>(call: () => T): Settled<T> {
  try {
    return { ok: true, value: call() };
  } catch (error) {
    return { ok: false, error };
  }
}

/** Waits for the end of `work`, however it ends; fails the case with `problem` when there is none within `ms`. */
export function settles<T>(work: Promise<T>, ms: number, problem: string): Promise<Settled<T>> {
  const end = work.then(
    (value): Settled<T> => ({ ok: true, value }),
    (error: unknown): Settled<T> => ({ ok: false, error }),
  );
  return within(end, ms, () => new Broken(problem));
}
