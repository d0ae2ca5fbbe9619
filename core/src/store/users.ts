import { randomUUIDv7 } from 'node:crypto';
import type { Kysely } from 'kysely';
import type { Passwords } from './passwords.ts';
import type { Database } from './schema.ts';

export interface User {
  readonly id: string;
  /** Lower case. */
  readonly email: string;
}

/** Two spellings of an address are one user. */
export const normaliseEmail = (email: string): string => email.trim().toLowerCase();

export async function insertUser(db: Kysely<Database>, email: string, passwordHash: string): Promise<User> {
  const user = { id: randomUUIDv7(), email: normaliseEmail(email) };
  await db
    .insertInto('users')
    .values({ ...user, password_hash: passwordHash })
    .execute();
  return user;
}

export class UserRepository {
  constructor(
    private readonly db: Kysely<Database>,
    private readonly passwords: Passwords,
  ) {}

  /** The user whose password this is, else null. Unknown users and wrong passwords take the same time. */
  async authenticate(email: string, password: string): Promise<User | null> {
    const row = await this.db
      .selectFrom('users')
      .select(['id', 'email', 'password_hash'])
      .where('email', '=', normaliseEmail(email))
      .executeTakeFirst();
    const right = await this.passwords.verify(password, row?.password_hash ?? null);
    return right && row !== undefined ? { id: row.id, email: row.email } : null;
  }
}
