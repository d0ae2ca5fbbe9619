import type { Logger } from '@switchyard/plugin-sdk';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import { SwitchyardError, type ErrorDetails } from '../errors.ts';
import { isStoreOutage } from '../store/outage.ts';

/** What a client should wait before it tries again, in seconds, unless the error says otherwise. */
const RETRY_AFTER_S: Readonly<Record<number, string>> = { 429: '5', 503: '1' };

/** How long a client that is still sending may read why it was refused. */
const LINGER_MS = 1000;

/** The part of ajv's errors that tells a person what is wrong and where. */
interface Violation {
  readonly keyword: string;
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly message?: string | undefined;
}

const PLACES: Readonly<Record<string, string>> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
};

/**
 * Turns whatever was thrown into one of our errors. What is not known becomes `INTERNAL`: its own message and stack go to the log, never to
 * the client.
 */
export function toSwitchyardError(error: unknown, requestId: string): SwitchyardError {
  if (error instanceof SwitchyardError) return error;
  const { code, statusCode, validation, validationContext } = error as Partial<FastifyError>;
  if (validation !== undefined) return fromViolation(validation[0], PLACES[validationContext ?? ''] ?? 'request');
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE')
    return new SwitchyardError('BODY_TOO_LARGE', 'The body is larger than the limit: send smaller batches.');
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new SwitchyardError('BODY_TYPE_UNSUPPORTED', 'Send JSON, with "Content-Type: application/json".');
  if (code === 'FST_ERR_CTP_INVALID_CONTENT_LENGTH')
    return new SwitchyardError('REQUEST_INVALID', 'The body is shorter or longer than Content-Length says.');
  if (isStoreOutage(error))
    return new SwitchyardError(
      'STORE_UNAVAILABLE',
      'The database does not answer. Events are still accepted; try again in a moment.',
      undefined,
      { cause: error },
    );
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500 && error instanceof Error) {
    return new SwitchyardError('REQUEST_INVALID', error.message, undefined, { cause: error });
  }
  return new SwitchyardError(
    'INTERNAL',
    `Something broke on our side. The log has the details under the request id ${requestId}.`,
    { request_id: requestId },
    { cause: error },
  );
}

function fromViolation(violation: Violation | undefined, place: string): SwitchyardError {
  const { keyword = '', instancePath = '', params = {}, message = 'is wrong' } = violation ?? {};
  const inner = params['additionalProperty'] ?? params['missingProperty'] ?? params['unevaluatedProperty'];
  const path = typeof inner === 'string' ? `${instancePath}/${inner}` : instancePath;
  const field = path.slice(1);
  const details: ErrorDetails = { place, field };
  if (keyword === 'additionalProperties')
    return new SwitchyardError('REQUEST_INVALID', `Unknown field "${field}" in the ${place}.`, details);
  if (keyword === 'required')
    return new SwitchyardError('REQUEST_INVALID', `The field "${field}" is missing in the ${place}.`, details);
  const allowed = params['allowedValues'];
  const choices = Array.isArray(allowed) ? `: ${allowed.join(', ')}` : '';
  const subject = field === '' ? `The ${place}` : `The field "${field}" of the ${place}`;
  return new SwitchyardError('REQUEST_INVALID', `${subject} ${message}${choices}.`, details);
}

/** The error handler of the whole server: every failure leaves in our one shape. */
export function errorHandler(logger: Logger) {
  return (error: unknown, request: FastifyRequest, reply: FastifyReply): void => {
    const answer = toSwitchyardError(error, request.id);
    const { status } = answer;
    // The client has gone: there is nobody to answer, and it is no bug of ours.
    if (request.raw.destroyed && request.raw.errored !== null) {
      reply.hijack();
      reply.raw.destroy();
      return;
    }
    if (status >= 500) {
      logger.error('a request failed', {
        request_id: request.id,
        method: request.method,
        route: request.routeOptions.url,
        code: answer.code,
        error: answer.cause ?? answer,
      });
    }
    const wait = answer.details?.['retry_after_s'];
    const retryAfter = typeof wait === 'number' ? String(wait) : RETRY_AFTER_S[status];
    if (retryAfter !== undefined) reply.header('retry-after', retryAfter);
    if (status === 401) reply.header('www-authenticate', 'Bearer');
    reply
      .header('x-request-id', request.id)
      .header('content-type', 'application/json; charset=utf-8')
      .header('x-content-type-options', 'nosniff')
      .code(status);
    const body = JSON.stringify(answer.toBody());
    if (answer.code === 'BODY_TOO_LARGE' && !request.raw.readableEnded) refuseTheRest(request, reply, body);
    else reply.send(body);
  };
}

/**
 * Answers while the client is still sending. Closing at once would make the kernel reset the connection, and the client would see that instead of the
 * answer; so the rest is read and thrown away for a moment, in constant memory, and then the connection is closed.
 */
function refuseTheRest(request: FastifyRequest, reply: FastifyReply, body: string): void {
  reply.hijack();
  const { raw } = reply;
  for (const [name, value] of Object.entries(reply.getHeaders())) if (value !== undefined) raw.setHeader(name, value);
  raw.writeHead(reply.statusCode, { connection: 'close', 'content-length': Buffer.byteLength(body) });
  raw.write(body);
  const finish = (): void => {
    clearTimeout(timer);
    raw.end();
  };
  const timer = setTimeout(finish, LINGER_MS);
  request.raw.once('end', finish).once('close', finish).once('error', finish);
  request.raw.resume();
}
