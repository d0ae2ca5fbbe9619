import { randomBytes } from 'node:crypto';
import type { Logger } from '@switchyard/plugin-sdk';
import Fastify, { type FastifyInstance } from 'fastify';
import { SwitchyardError } from '../errors.ts';
import { clientErrorHandler } from './client-errors.ts';
import { errorHandler } from './error-answers.ts';
import { RouteTable } from './route-table.ts';

/** What one client may cost. The defaults of Node and Fastify leave most of these open. */
const LIMITS = {
  /** The whole request, headers and body, must be here by then. */
  requestTimeoutMs: 15_000,
  headersTimeoutMs: 10_000,
  /** How often Node looks for requests that are late. */
  checkingIntervalMs: 2_000,
  /** A socket on which nothing moves in either direction. Longer than any answer of ours takes. */
  connectionTimeoutMs: 120_000,
  keepAliveTimeoutMs: 10_000,
  maxHeaderBytes: 16_384,
  maxRequestsPerSocket: 1_000,
  maxConnections: 20_000,
} as const;

type Limits = Readonly<Record<keyof typeof LIMITS, number>>;

/** Lets every part of the server know that the process is going down. */
export interface Lifecycle {
  stopping: boolean;
}

export interface Server {
  readonly app: FastifyInstance;
  readonly lifecycle: Lifecycle;
}

/**
 * The server without any routes: limits, request ids, and one shape for every error. Parsers, hooks and headers are not here: each scope brings its own, because
 * what the console needs would cost ingestion half of its throughput.
 *
 * Closing: `lifecycle.stopping` makes readiness fail first; `app.close()` then lets requests that are under way finish, refuses new ones with `STOPPING`, and
 * closes idle connections.
 */
export function createServer(logger: Logger, overrides: Partial<Limits> = {}): Server {
  const limits: Limits = { ...LIMITS, ...overrides };
  const prefix = randomBytes(6).toString('hex');
  let requests = 0;
  const lifecycle: Lifecycle = { stopping: false };
  const routes = new RouteTable();
  const answerError = errorHandler(logger);
  const app = Fastify({
    logger: false,
    // No look at the client's own header: an id that a client chooses cannot be told from another's.
    genReqId: () => `${prefix}-${(requests += 1).toString(36)}`,
    requestTimeout: limits.requestTimeoutMs,
    connectionTimeout: limits.connectionTimeoutMs,
    keepAliveTimeout: limits.keepAliveTimeoutMs,
    maxRequestsPerSocket: limits.maxRequestsPerSocket,
    http: {
      headersTimeout: limits.headersTimeoutMs,
      maxHeaderSize: limits.maxHeaderBytes,
      connectionsCheckingInterval: limits.checkingIntervalMs,
    },
    // The client's address is the socket's: a header is whatever a client says it is.
    trustProxy: false,
    // Fastify's own answer has another shape than ours; the scopes refuse with STOPPING themselves.
    return503OnClosing: false,
    routerOptions: { maxParamLength: 200, ignoreTrailingSlash: false },
    clientErrorHandler,
    frameworkErrors: (error, request, reply) => {
      const problem =
        error.code === 'FST_ERR_BAD_URL' ? 'a "%" must begin an escape of two hex digits' : 'a part of it is too long';
      answerError(
        new SwitchyardError('REQUEST_INVALID', `The address of the request cannot be read: ${problem}.`),
        request,
        reply,
      );
    },
  });
  app.server.maxConnections = limits.maxConnections;
  app.removeAllContentTypeParsers();
  app.addHook('onRoute', ({ method, url }) => routes.add(method, url));
  app.addHook('preClose', (done) => {
    lifecycle.stopping = true;
    done();
  });
  app.setErrorHandler(answerError);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split('?', 1)[0] ?? '';
    const methods = routes.methodsOf(path);
    if (methods.length === 0)
      throw new SwitchyardError(
        'NOT_FOUND',
        `There is no ${path.slice(0, 200)} here: /api/openapi.json lists every route.`,
      );
    reply.header('allow', methods.join(', '));
    throw new SwitchyardError(
      'METHOD_NOT_ALLOWED',
      `${path.slice(0, 200)} takes ${methods.join(', ')}, not ${request.method}.`,
    );
  });
  return { app, lifecycle };
}
