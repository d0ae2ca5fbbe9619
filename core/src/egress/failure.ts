import { ConfigError, RetryableError, isDeliveryError, type DeliveryError } from '@switchyard/plugin-sdk';

/** How far a request had come. */
export type Stage = 'connecting' | 'waiting' | 'reading';

/**
 * Why there was no answer. These codes are stable: dead letters are grouped by them.
 *
 * `ADDRESS_BLOCKED` and `URL_INVALID` (url.ts) and `HEADER_INVALID` (headers.ts) say that the configuration is wrong;
 * `DNS_NOT_FOUND`, `DNS_FAILED`, `CONNECTION_REFUSED`, `CONNECT_TIMEOUT`, `ADDRESS_UNREACHABLE`, `TLS_FAILED`, `CONNECTION_LOST`,
 * `RESPONSE_INVALID`, `TIMED_OUT`, `OUT_OF_SOCKETS`, `CLIENT_CLOSED` and `REQUEST_FAILED` are worth another attempt.
 */
const RULES: readonly (readonly [symptoms: RegExp, code: string, message: (host: string) => string])[] = [
  [/^(ENOTFOUND|ENODATA)$/, 'DNS_NOT_FOUND', (host) => `The name ${host} does not exist in DNS.`],
  [
    /^(EAI_\w+|ESERVFAIL|ETIMEOUT|EREFUSED|EBADRESP|EFORMERR|ENOTIMP)$/,
    'DNS_FAILED',
    (host) => `The name servers gave no answer for ${host}.`,
  ],
  [/^ECONNREFUSED$/, 'CONNECTION_REFUSED', (host) => `${host} refused the connection: nothing listens there.`],
  [
    /^(UND_ERR_CONNECT_TIMEOUT|ETIMEDOUT)$/,
    'CONNECT_TIMEOUT',
    (host) => `${host} did not accept a connection in time.`,
  ],
  [
    /^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM|EINVAL)$/,
    'ADDRESS_UNREACHABLE',
    (host) => `There is no route to ${host} from here.`,
  ],
  [
    /^(NOT_HTTP|UND_ERR_HEADERS_OVERFLOW)$/,
    'RESPONSE_INVALID',
    (host) => `What ${host} answered is not HTTP, or its headers are longer than 16 KiB.`,
  ],
  [
    /^(CUT_OFF|ECONNRESET|ECONNABORTED|EPIPE|ENOTCONN|UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH)$/,
    'CONNECTION_LOST',
    (host) => `${host} closed the connection before the answer was complete.`,
  ],
  [
    /^(EMFILE|ENFILE|ENOBUFS|ENOMEM)$/,
    'OUT_OF_SOCKETS',
    (host) => `No socket to reach ${host} with: this process has too many files or connections open.`,
  ],
  [
    /^(UND_ERR_DESTROYED|UND_ERR_CLOSED)$/,
    'CLIENT_CLOSED',
    () => 'The router is shutting down: the request was not sent.',
  ],
];

/** The system's or undici's code; a word of our own for what undici tells by class or by message only. */
function symptomOf(error: Error): string {
  if (error.name === 'HTTPParserError') return error.message.includes('Invalid EOF state') ? 'CUT_OFF' : 'NOT_HTTP';
  // An answer that comes when none may come, or of a kind that was not asked for (100, 101).
  if (error.message === 'bad response' || error.message === 'bad upgrade') return 'NOT_HTTP';
  return 'code' in error && typeof error.code === 'string' ? error.code : '';
}

export function toFailure(error: Error, target: URL, stage: Stage): DeliveryError {
  if (isDeliveryError(error)) return error;
  const { host } = target;
  const symptom = symptomOf(error);
  const rule = RULES.find(([symptoms]) => symptoms.test(symptom));
  if (rule !== undefined) return retryable(rule[1], rule[2](host), error);
  // Certificates fail with some forty codes of OpenSSL's; everything else that goes wrong while connecting has a rule.
  if (stage === 'connecting' && target.protocol === 'https:') {
    return retryable('TLS_FAILED', `No secure connection to ${host}: ${error.message}.`, error);
  }
  if (symptom === 'UND_ERR_INVALID_ARG') {
    return new ConfigError(`The request to ${host} cannot be sent: ${error.message}.`, { code: 'REQUEST_INVALID' });
  }
  return retryable('REQUEST_FAILED', `The request to ${host} failed: ${error.message}.`, error);
}

const DEADLINE_STAGES: Readonly<Record<Stage, string>> = {
  connecting: 'no connection was free or could be opened',
  waiting: 'the request was sent, but no answer came',
  reading: 'the answer began but did not end',
};

export function deadlinePassed(target: URL, stage: Stage, timeoutMs: number): RetryableError {
  return retryable('TIMED_OUT', `${target.host} took longer than ${timeoutMs / 1000} s: ${DEADLINE_STAGES[stage]}.`);
}

function retryable(code: string, message: string, cause?: Error): RetryableError {
  return new RetryableError(message, cause === undefined ? { code } : { code, cause });
}
