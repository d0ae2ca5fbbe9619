/**
 * Connection failures of Node's sockets and of the PostgreSQL protocol (classes 08 and 57P, 53300 too many connections, 25006 a standby that is
 * read-only).
 */
const CODES =
  /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|ENETUNREACH|08...|57P0[1-5]|53300|25006)$/;
const MESSAGES =
  /^(?:Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Cannot use a pool after calling end|the embedded database)/i;

/** Whether a failed query says that the database cannot be reached, rather than that the query is wrong: then waiting helps. */
export function isStoreOutage(error: unknown): boolean {
  for (let cause = error, depth = 0; cause instanceof Error && depth < 5; cause = cause.cause, depth += 1) {
    if (cause instanceof AggregateError && cause.errors.some(isStoreOutage)) return true;
    if ('code' in cause && typeof cause.code === 'string' && CODES.test(cause.code)) return true;
    if (MESSAGES.test(cause.message)) return true;
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
