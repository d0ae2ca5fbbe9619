import { type Kysely, sql } from 'kysely';

/** Runs DDL one statement at a time: the extended protocol, which `pg` and PGlite both speak, takes one per message. */
export async function runStatements(db: Kysely<unknown>, statements: readonly string[]): Promise<void> {
  for (const statement of statements) {
    await sql.raw(statement).execute(db);
  }
}
