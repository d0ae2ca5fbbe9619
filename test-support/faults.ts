import type { Kysely, KyselyPlugin } from 'kysely';

/** The same database, seen through a connection that breaks after the statement was committed and before its answer arrives. */
export function losingAnswers(db: Kysely<unknown>): Kysely<unknown> {
  return watching(db, connectionLost);
}

/** The same database, refusing every statement with this error. */
export function refusing(db: Kysely<unknown>, code: string, message: string): Kysely<unknown> {
  return db.withPlugin(
    plugin({
      before: () => {
        throw Object.assign(new Error(message), { code });
      },
    }),
  );
}

/** The same database, doing something after each statement that was committed and before its answer arrives. */
export function watching(db: Kysely<unknown>, after: () => void): Kysely<unknown> {
  return db.withPlugin(plugin({ after }));
}

export function connectionLost(): never {
  throw Object.assign(new Error('Connection terminated unexpectedly'), { code: 'ECONNRESET' });
}

function plugin({ before, after }: { readonly before?: () => void; readonly after?: () => void }): KyselyPlugin {
  return {
    transformQuery: ({ node }) => {
      before?.();
      return node;
    },
    transformResult: async ({ result }) => {
      after?.();
      return result;
    },
  };
}
