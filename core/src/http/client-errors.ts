import { STATUS_CODES, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { SwitchyardError } from '../errors.ts';

/** The response that Node is writing to a socket. It is Node's own way to know, and not in its types. */
interface HttpSocket extends Socket {
  readonly _httpMessage?: Pick<ServerResponse, 'headersSent'> | null;
}

const statusOf = (code: string | undefined): { readonly status: number; readonly error: SwitchyardError } => {
  switch (code ?? '') {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return {
        status: 408,
        error: new SwitchyardError(
          'REQUEST_TIMEOUT',
          'The request did not arrive in time: send it again, faster or smaller.',
        ),
      };
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, error: new SwitchyardError('HEADERS_TOO_LARGE', 'The headers are larger than the limit.') };
    default:
      return { status: 400, error: new SwitchyardError('REQUEST_INVALID', 'This is not a valid HTTP/1.1 request.') };
  }
};

/**
 * Answers what never became a request: bytes that are not HTTP, headers that are too large, a request that did not arrive in time. An answer that
 * is half written already is never mixed with another; then the connection just ends.
 */
export function clientErrorHandler(failure: Error & { readonly code?: string }, socket: Socket): void {
  const inFlight = (socket as HttpSocket)._httpMessage?.headersSent === true;
  if (failure.code === 'ECONNRESET' || !socket.writable || inFlight) {
    socket.destroy();
    return;
  }
  const { status, error } = statusOf(failure.code);
  const body = JSON.stringify(error.toBody());
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}
