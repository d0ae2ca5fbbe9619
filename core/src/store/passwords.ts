import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SwitchyardError } from '../errors.ts';

const derive = promisify(argon2);

/** Above what OWASP asks of argon2id (19 MiB and two passes, 2025). Stored with each hash, so they can be raised later. */
const COST = { memory: 32_768, passes: 3, parallelism: 1 } as const;
const SALT_BYTES = 16;
const TAG_BYTES = 32;
const ENCODED = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]+)\$([A-Za-z0-9+/]+)$/;

/** A salt for nobody: what a password for an unknown user is hashed with, so that the answer takes as long. */
const NOBODY = randomBytes(SALT_BYTES);

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64').replaceAll('=', '');

/**
 * Hashes and checks passwords with argon2id. At most two run at once: each takes 32 MiB and a thread of the pool that name look-ups and files
 * share, so a flood of logins must not take them all.
 */
export class Passwords {
  private running = 0;
  private readonly waiting: (() => void)[] = [];

  constructor(
    private readonly limits: { readonly concurrent: number; readonly waiting: number } = { concurrent: 2, waiting: 50 },
  ) {}

  /** The PHC string to store. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    const tag = await this.derive(password, salt, COST, TAG_BYTES);
    return `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${base64(salt)}$${base64(tag)}`;
  }

  /** `encoded` is null for a user that does not exist: the answer is then false after the same work. */
  async verify(password: string, encoded: string | null): Promise<boolean> {
    const parts = encoded === null ? null : ENCODED.exec(encoded);
    if (parts === null) {
      await this.derive(password, NOBODY, COST, TAG_BYTES);
      return false;
    }
    const [, memory, passes, parallelism, salt = '', tag = ''] = parts;
    const expected = Buffer.from(tag, 'base64');
    const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) };
    const actual = await this.derive(password, Buffer.from(salt, 'base64'), cost, expected.length);
    return timingSafeEqual(actual, expected);
  }

  private async derive(
    password: string,
    nonce: Buffer,
    cost: { memory: number; passes: number; parallelism: number },
    tagLength: number,
  ): Promise<Buffer> {
    await this.enter();
    try {
      return await derive('argon2id', { message: Buffer.from(password, 'utf8'), nonce, tagLength, ...cost });
    } finally {
      const next = this.waiting.shift();
      if (next === undefined) this.running -= 1;
      else next();
    }
  }

  private async enter(): Promise<void> {
    if (this.running < this.limits.concurrent) {
      this.running += 1;
      return;
    }
    if (this.waiting.length >= this.limits.waiting) {
      throw new SwitchyardError(
        'RATE_LIMITED',
        'Too many logins are being checked at the moment: try again in a few seconds.',
      );
    }
    // Whoever leaves hands its place on, so `running` stays as it is.
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}
