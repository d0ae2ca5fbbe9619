import type { Exchange, HttpResponse } from '@switchyard/plugin-sdk';

/** How much of either body is kept with an attempt. */
const KEPT_BODY = 16_384;
const MASK = '***';

/** Shorter texts turn up by chance, and masking them would make nonsense of an answer. */
const MASKABLE = 8;

const SECRET_NAME = /auth|cookie|token|secret|key|password|passwd|credential|session/i;

const decoder = new TextDecoder();

/**
 * Puts what was said on the wire into words that may be kept: header values that may be passwords are masked, and so is
 * every secret wherever an answer repeats it (some receivers echo the request).
 */
export class Recorder {
  readonly #target: string;
  readonly #fixedHeaders: string;
  readonly #secrets: readonly string[];

  /** `fixed` are the headers that every request has; `secrets` the texts that must not be kept. */
  constructor(url: URL, fixed: Readonly<Record<string, string>>, secrets: readonly string[]) {
    const isSecret = ([name]: [string, string]): boolean => SECRET_NAME.test(name);
    const entries = Object.entries(fixed);
    this.#target = `POST ${url.pathname}${url.search} HTTP/1.1\nhost: ${url.host}\n`;
    this.#fixedHeaders = entries.map((entry) => `${entry[0]}: ${isSecret(entry) ? MASK : entry[1]}\n`).join('');
    const hidden = [...secrets, ...entries.filter(isSecret).map(([, value]) => value)];
    // Also without the word in front (Bearer, whsec_): an answer may repeat only what follows.
    const bare = hidden.map((text) => text.replace(/^(?:whsec_|whsk_|[A-Za-z]+ +)/, ''));
    this.#secrets = [...new Set([...hidden, ...bare])].filter((text) => text.length >= MASKABLE);
  }

  request(ownHeaders: Readonly<Record<string, string>>, body: string): Exchange {
    let text = this.#target + this.#fixedHeaders;
    for (const name in ownHeaders) text += `${name}: ${ownHeaders[name]}\n`;
    return { request: `${text}\n${clipped(body)}` };
  }

  withResponse(exchange: Exchange, response: HttpResponse): Exchange {
    return { ...exchange, response: { status: response.status, body: this.#masked(textOf(response)) } };
  }

  withMaskedLocation(response: HttpResponse): HttpResponse {
    const location = response.headers['location'];
    if (location === undefined) return response;
    return { ...response, headers: { ...response.headers, location: this.#masked(location) } };
  }

  #masked(text: string): string {
    return this.#secrets.reduce((masked, secret) => masked.replaceAll(secret, MASK), text);
  }
}

function clipped(text: string): string {
  if (text.length <= KEPT_BODY) return text;
  return `${text.slice(0, KEPT_BODY).toWellFormed()}… (${text.length - KEPT_BODY} more characters)`;
}

function textOf({ body, headers, truncated }: HttpResponse): string {
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity') return `(${body.length} bytes, ${encoding}: not decoded)`;
  // Databases cannot keep a NUL in a text.
  const text = decoder.decode(body.subarray(0, KEPT_BODY)).replaceAll('\0', '\ufffd');
  return truncated || body.length > KEPT_BODY ? `${text}… (cut off)` : text;
}
