/** What a child of the benchmark does: answers what it is asked. */
export type Handler = (request: unknown) => unknown;
