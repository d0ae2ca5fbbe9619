/** Everything that a plugin said while cases ran: logs, results, errors. Searched for what it must not say. */
export class Evidence {
  readonly #said: { readonly where: string; readonly what: unknown }[] = [];

  add(where: string, what: unknown): void {
    this.#said.push({ where, what });
  }

  /** Where a text that contains one of `needles` was said; null when nowhere. */
  find(needles: readonly string[]): string | null {
    const seen = new WeakSet<object>();
    for (const { where, what } of this.#said) {
      const found = search(what, where, needles, seen);
      if (found !== null) return found;
    }
    return null;
  }
}

function search(value: unknown, path: string, needles: readonly string[], seen: WeakSet<object>): string | null {
  if (typeof value === 'string') return needles.some((needle) => value.includes(needle)) ? path : null;
  if (typeof value !== 'object' || value === null || seen.has(value)) return null;
  seen.add(value);
  for (const [key, part] of partsOf(value)) {
    const found = search(key, `${path} (a key)`, needles, seen) ?? search(part, `${path}.${key}`, needles, seen);
    if (found !== null) return found;
  }
  return null;
}

function partsOf(value: object): Iterable<readonly [string, unknown]> {
  if (value instanceof Uint8Array) return [['bytes', Buffer.from(value).toString('latin1')]];
  if (value instanceof Map)
    return [...value].flatMap(([key, part], at) => [[`key ${at}`, key] as const, [String(key), part] as const]);
  if (value instanceof Set) return [...value].map((part, at) => [String(at), part] as const);
  const own = Object.entries(value);
  if (!(value instanceof Error)) return own;
  return [...own, ['name', value.name], ['message', value.message], ['stack', value.stack], ['cause', value.cause]];
}

/**
 * The ways in which a secret hides in a text: as it is, inside a URL, in hexadecimal, and in base64 at any of the three
 * alignments (`Basic` credentials put a user's name in front of it).
 */
export function formsOf(secret: string): readonly string[] {
  const bytes = Buffer.from(secret);
  const forms = [secret, encodeURIComponent(secret), JSON.stringify(secret).slice(1, -1), bytes.toString('hex')];
  for (const shift of [0, 1, 2]) {
    const text = Buffer.concat([Buffer.alloc(shift), bytes])
      .toString('base64')
      .replaceAll('=', '');
    // The characters at both ends also hold bits of the neighbours.
    const inner = text.slice(shift === 0 ? 0 : shift + 1, (shift + bytes.length) % 3 === 0 ? undefined : -1);
    forms.push(inner, inner.replaceAll('+', '-').replaceAll('/', '_'));
  }
  return [...new Set(forms)];
}
