/**
 * Connection failures of Node's sockets and of the PostgreSQL protocol (classes 08 and 57P, 53300 too many connections, 25006 a standby that is
 * read-only).
 */
const CODES =
  /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|08...|57P0[1-5]|53300|25006)$/;
const MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after calling end)/i;

/** What an error may say of itself. Looked at by shape: Node's own errors are not always of the realm that asks. */
interface Told {
  readonly code?: unknown;
  readonly message?: unknown;
  readonly cause?: unknown;
  readonly errors?: unknown;
}

/** Whether a failed query says that the database cannot be reached, rather than that the query is wrong: then waiting helps. */
export function isStoreOutage(error: unknown): boolean {
  for (let cause = error, depth = 0; typeof cause === 'object' && cause !== null && depth < 5; depth += 1) {
    const told: Told = cause;
    if (typeof told.code === 'string' && CODES.test(told.code)) return true;
    if (typeof told.message === 'string' && MESSAGES.test(told.message)) return true;
    // A name with several addresses fails once for each.
    if (Array.isArray(told.errors) && told.errors.some(isStoreOutage)) return true;
    cause = told.cause;
  }
  return false;
}

/**
 * SQLSTATE classes of a statement that will fail however often it is sent: bad data, a broken constraint, a syntax error. Everything else (lost
 * connections, full disks, deadlocks, a server that restarts) is worth waiting for.
 */
const STATEMENT_FAULT = /^(?:0A|21|22|23|26|42|P0)...$/;

export function isStatementFault(error: unknown): boolean {
  return (
    error instanceof Error && 'code' in error && typeof error.code === 'string' && STATEMENT_FAULT.test(error.code)
  );
}
