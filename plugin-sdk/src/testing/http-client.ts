import { request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { HttpClient, HttpRequest, HttpResponse } from '../context.ts';
import { ConfigError, RetryableError, type DeliveryError } from '../errors.ts';

const KEPT_BYTES = 65_536;
const DEFAULT_TIMEOUT_MS = 15_000;
const MAX_TIMEOUT_MS = 60_000;

export interface TestHttpClientOptions {
  /** No exchange takes longer, whatever the plugin asks for: keeps tests of receivers that never answer short. */
  readonly timeoutCapMs?: number;
}

/**
 * An `HttpClient` that keeps every promise of the contract but one: it reaches any address, since a test's receivers
 * live on loopback. Every request has a connection of its own.
 */
export function testHttpClient(options: TestHttpClientOptions = {}): HttpClient {
  const cap = Math.min(options.timeoutCapMs ?? MAX_TIMEOUT_MS, MAX_TIMEOUT_MS);
  return {
    request: (request, signal) =>
      new Exchange(request, Math.min(request.timeoutMs ?? DEFAULT_TIMEOUT_MS, cap)).run(signal),
  };
}

/** One request and its answer; settles exactly once, and leaves neither timer nor socket behind. */
class Exchange {
  readonly #request: HttpRequest;
  readonly #timeoutMs: number;
  readonly #startedAt = performance.now();
  readonly #chunks: Buffer[] = [];
  #kept = 0;

  constructor(request: HttpRequest, timeoutMs: number) {
    this.#request = request;
    this.#timeoutMs = timeoutMs;
  }

  async run(signal: AbortSignal): Promise<HttpResponse> {
    signal.throwIfAborted();
    const outgoing = this.#open();
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    try {
      return await new Promise<HttpResponse>((resolve, reject) => {
        onAbort = () => reject(signal.reason as Error);
        signal.addEventListener('abort', onAbort, { once: true });
        timer = setTimeout(
          () => reject(new RetryableError(`No complete answer within ${this.#timeoutMs} ms.`, { code: 'TIMED_OUT' })),
          this.#timeoutMs,
        );
        outgoing.on('error', (error) => reject(fromNode(error)));
        outgoing.on('response', (incoming) => this.#read(incoming, resolve, reject));
        outgoing.end(this.#request.body);
      });
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      outgoing.destroy();
    }
  }

  #open(): ClientRequest {
    const { method, headers = {} } = this.#request;
    const url = parseUrl(this.#request.url);
    const open = url.protocol === 'https:' ? requestHttps : requestHttp;
    try {
      // No agent: nothing is kept alive between requests.
      return open(url, { method, headers: { 'accept-encoding': 'identity', ...headers }, agent: false });
    } catch (error) {
      throw new ConfigError(`The request cannot be sent: ${error instanceof Error ? error.message : String(error)}`, {
        code: 'REQUEST_INVALID',
        cause: error,
      });
    }
  }

  #read(
    incoming: IncomingMessage,
    resolve: (response: HttpResponse) => void,
    reject: (error: DeliveryError) => void,
  ): void {
    const answer = (truncated: boolean): void =>
      resolve({
        status: incoming.statusCode ?? 0,
        headers: headersOf(incoming),
        body: Buffer.concat(this.#chunks),
        truncated,
        durationMs: performance.now() - this.#startedAt,
      });
    incoming.on('data', (chunk: Buffer) => {
      const room = KEPT_BYTES - this.#kept;
      this.#chunks.push(chunk.subarray(0, room));
      this.#kept += Math.min(chunk.length, room);
      if (chunk.length > room) answer(true);
    });
    incoming.on('end', () => answer(false));
    incoming.on('error', (error) => reject(fromNode(error)));
  }
}

function parseUrl(text: string): URL {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    throw new ConfigError('The address is not an http or https URL.', { code: 'URL_INVALID' });
  }
  if (url.username !== '' || url.password !== '') {
    throw new ConfigError('The address contains a user name or a password: use a header.', { code: 'URL_INVALID' });
  }
  return url;
}

function headersOf(incoming: IncomingMessage): Record<string, string> {
  const headers: Record<string, string> = {};
  for (const [name, values] of Object.entries(incoming.headersDistinct)) headers[name] = (values ?? []).join(', ');
  return headers;
}

function fromNode(error: Error & { readonly code?: string }): RetryableError {
  return new RetryableError(`There was no answer: ${error.message}`, { code: codeOf(error.code ?? ''), cause: error });
}

function codeOf(code: string): string {
  if (code === 'ENOTFOUND' || code.startsWith('EAI_')) return 'DNS_FAILED';
  if (code === 'ECONNREFUSED') return 'CONNECTION_REFUSED';
  if (code === 'ETIMEDOUT') return 'TIMED_OUT';
  if (code.startsWith('HPE_')) return 'RESPONSE_INVALID';
  if (code === 'EPROTO' || code.includes('CERT') || code.includes('TLS') || code.includes('SSL')) return 'TLS_FAILED';
  return 'CONNECTION_LOST';
}
