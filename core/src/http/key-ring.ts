import { timingSafeEqual } from 'node:crypto';
import type { Logger } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import { hashSecret, parseApiKey } from '../store/api-key-format.ts';
import type { KeyGrant } from '../store/api-keys.ts';
import { BoundedMap } from './bounded-map.ts';

/** Where the keys are stored. */
export interface KeyStore {
  /** The keys with these ids that may be used. */
  grants(ids: readonly string[]): Promise<readonly KeyGrant[]>;
  touch(ids: readonly string[]): Promise<void>;
}

export interface KeyRingOptions {
  /** From this age on, a key that is used is looked up again beside the requests. */
  readonly refreshAfterMs: number;
  /** Beyond this age, a request waits for the look-up: what was revoked longer ago is refused. */
  readonly staleAfterMs: number;
  /** How long a request waits for the database before the key counts as out of reach. */
  readonly patienceMs: number;
  readonly touchEveryMs: number;
  /** Keys known, and as many ids known to be nobody's. */
  readonly capacity: number;
}

const DEFAULTS: KeyRingOptions = {
  refreshAfterMs: 400,
  staleAfterMs: 900,
  patienceMs: 1_000,
  touchEveryMs: 60_000,
  capacity: 10_000,
};

/** How many ids one query asks for. */
const BATCH = 500;

/** A secret's hash that no key has: an unknown id is compared like a known one. */
const NO_HASH = Buffer.alloc(32);

interface Known {
  /** Null: there is no such key, or it is revoked. */
  readonly grant: KeyGrant | null;
  readonly loadedAt: number;
  /** The secret, once it was found right: comparing with it costs less than hashing, in constant time as well. */
  proven: Buffer | null;
}

/**
 * The API keys in memory, so that a request costs a comparison and no query.
 *
 * Guarantees: a key that is revoked, or whose source changes, anywhere, counts at most a second later; in this process at once (`forget`). While the database is
 * out of reach, keys that were seen before keep their last known state, so that ingestion goes on; unknown keys then get `STORE_UNAVAILABLE`, which is
 * worth a retry, and not a 401, which is not.
 */
export class KeyRing {
  private readonly options: KeyRingOptions;
  private readonly known: BoundedMap<string, Known>;
  /** Apart from the keys that exist, so that a flood of made-up ids pushes none of them out. */
  private readonly strangers: BoundedMap<string, Known>;
  /** Ids that are being looked up; null for one that could not be. */
  private readonly wanted = new Map<string, PromiseWithResolvers<Known | null>>();
  private loading = false;
  /** Grows with each `forget`: what was being read then may be older than the change. */
  private generation = 0;
  /** The last look-up failed or hangs: nobody waits for the next one but who must. */
  private outage = false;
  private nextTryAt = 0;
  private used = new Set<string>();
  private touchedAt: number;

  constructor(
    private readonly store: KeyStore,
    private readonly logger: Logger,
    options: Partial<KeyRingOptions> = {},
    private readonly now: () => number = () => performance.now(),
  ) {
    this.options = { ...DEFAULTS, ...options };
    this.known = new BoundedMap(this.options.capacity);
    this.strangers = new BoundedMap(this.options.capacity);
    this.touchedAt = now();
  }

  /**
   * What the key allows, or null when there is no such key. Answers without a promise when the key is in memory, which is nearly always.
   */
  find(credential: string): KeyGrant | null | Promise<KeyGrant | null> {
    const key = parseApiKey(credential);
    if (key === null) return null;
    const entry = this.known.get(key.id) ?? this.strangers.get(key.id);
    if (entry === undefined) return this.findStored(key.id, key.secret, undefined);
    const age = this.now() - entry.loadedAt;
    if (age > this.options.staleAfterMs && !this.outage) return this.findStored(key.id, key.secret, entry);
    if (age > this.options.refreshAfterMs && this.now() >= this.nextTryAt && !this.wanted.has(key.id))
      void this.load(key.id);
    return this.verify(entry, key.secret);
  }

  /** Forgets what is in memory: call it after every change of a key or a source. */
  forget(): void {
    this.generation += 1;
    this.known.clear();
    this.strangers.clear();
  }

  private verify(entry: Known, secret: string): KeyGrant | null {
    const { grant, proven } = entry;
    const sent = Buffer.from(secret, 'latin1');
    if (proven === null || proven.length !== sent.length || !timingSafeEqual(proven, sent)) {
      const right = timingSafeEqual(hashSecret(secret), grant?.secretHash ?? NO_HASH);
      if (!right || grant === null) return null;
      entry.proven = sent;
    }
    if (grant !== null) this.used.add(grant.id);
    return grant;
  }

  private async findStored(id: string, secret: string, before: Known | undefined): Promise<KeyGrant | null> {
    const entry = this.now() >= this.nextTryAt ? await this.patiently(this.load(id)) : null;
    if (entry !== null) return this.verify(entry, secret);
    // The database did not answer. An older answer is better than none.
    if (before !== undefined) return this.verify(before, secret);
    throw this.outOfReach();
  }

  private outOfReach(): SwitchyardError {
    return new SwitchyardError(
      'STORE_UNAVAILABLE',
      'The database does not answer, and this key was not used here before: send the request again in a moment.',
    );
  }

  /** Waits for a look-up, but not for ever: a database that hangs is as good as gone. */
  private async patiently(look: Promise<Known | null>): Promise<Known | null> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<null>((resolve) => {
      timer = setTimeout(() => {
        this.miss();
        resolve(null);
      }, this.options.patienceMs);
    });
    const entry = await Promise.race([look, late]);
    clearTimeout(timer);
    return entry;
  }

  private miss(): void {
    this.outage = true;
    this.nextTryAt = this.now() + this.options.patienceMs;
  }

  /** Never rejects; null when the database did not answer. One query at a time: ids that come meanwhile go together into the next. */
  private load(id: string): Promise<Known | null> {
    let look = this.wanted.get(id);
    if (look === undefined) {
      look = Promise.withResolvers();
      this.wanted.set(id, look);
    }
    if (!this.loading) void this.loadWanted();
    return look.promise;
  }

  private async loadWanted(): Promise<void> {
    this.loading = true;
    while (this.wanted.size > 0) {
      const looks = [...this.wanted].slice(0, BATCH);
      const { generation } = this;
      const grants = await this.read(looks.map(([id]) => id));
      // What was read before a change must not outlive it: it is read again.
      if (grants !== null && generation !== this.generation) continue;
      const loadedAt = this.now();
      for (const [id, look] of looks) {
        const entry = grants === null ? null : { grant: grants.get(id) ?? null, loadedAt, proven: null };
        if (entry !== null) this.keep(id, entry);
        this.wanted.delete(id);
        look.resolve(entry);
      }
    }
    this.loading = false;
    await this.touch();
  }

  private async read(ids: readonly string[]): Promise<ReadonlyMap<string, KeyGrant> | null> {
    try {
      const grants = await this.store.grants(ids);
      this.outage = false;
      this.nextTryAt = 0;
      return new Map(grants.map((grant) => [grant.id, grant]));
    } catch (error) {
      this.miss();
      this.logger.warn('API keys could not be looked up; keys that are known go on working', { error });
      return null;
    }
  }

  private keep(id: string, entry: Known): void {
    const [to, from] = entry.grant === null ? [this.strangers, this.known] : [this.known, this.strangers];
    to.set(id, entry);
    from.delete(id);
  }

  private async touch(): Promise<void> {
    if (this.used.size === 0 || this.now() - this.touchedAt < this.options.touchEveryMs) return;
    const ids = [...this.used];
    this.used = new Set();
    this.touchedAt = this.now();
    try {
      await this.store.touch(ids);
    } catch (error) {
      this.logger.warn('the last use of API keys could not be noted', { error });
    }
  }
}
