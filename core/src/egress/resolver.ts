import { lookup as systemLookup } from 'node:dns/promises';

/** Every address of a name, IPv4 and IPv6. Rejects with an error that has a `code`, as `dns.lookup` does. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

export const lookupInSystem: Lookup = async (hostname) => {
  const answers = await systemLookup(hostname, { all: true });
  return answers.map((answer) => answer.address);
};

interface Known {
  readonly addresses: readonly string[];
  readonly learntAt: number;
}

interface CacheOptions {
  /** How long an answer is used without asking again. */
  readonly freshMs: number;
  /** How long an answer is still used while a new one is on its way. */
  readonly staleMs: number;
  readonly maxNames: number;
}

/**
 * Remembers answers for a short while. The system's look-up holds one of very few threads while it waits, so a hundred
 * destinations with dead name servers would otherwise keep healthy ones from connecting:
 * - fifty connections to one name ask once;
 * - a name that answered within `staleMs` never waits for the threads at all.
 *
 * It trusts nobody: whoever uses an answer checks every address again. Failures are not remembered.
 */
export function cachedLookup(
  lookup: Lookup,
  options: CacheOptions,
  now: () => number = performance.now.bind(performance),
): Lookup {
  const known = new Map<string, Known>();
  const asking = new Map<string, Promise<readonly string[]>>();

  function ask(hostname: string): Promise<readonly string[]> {
    const already = asking.get(hostname);
    if (already !== undefined) return already;
    const answer = lookup(hostname)
      .then((addresses) => {
        known.delete(hostname);
        known.set(hostname, { addresses, learntAt: now() });
        const oldest = known.keys().next();
        if (known.size > options.maxNames && !oldest.done) known.delete(oldest.value);
        return addresses;
      })
      .finally(() => asking.delete(hostname));
    asking.set(hostname, answer);
    return answer;
  }

  return async (hostname) => {
    const answer = known.get(hostname);
    const age = answer === undefined ? Number.POSITIVE_INFINITY : now() - answer.learntAt;
    if (answer === undefined || age > options.staleMs) return ask(hostname);
    // A failed refresh is told by the look-up that comes after the answer has become too old.
    if (age > options.freshMs) ask(hostname).catch(() => undefined);
    return answer.addresses;
  };
}
