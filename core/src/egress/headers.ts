import { ConfigError } from '@switchyard/plugin-sdk';

/** The connection's own, and the body's length: whoever sets these decides where one request ends and the next begins. */
const RESERVED: ReadonlySet<string> = new Set([
  'accept-encoding',
  'connection',
  'content-length',
  'expect',
  'host',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/**
 * The headers as undici takes them, name after value. Refuses, with `ConfigError`, what could change the meaning of the request
 * or smuggle a second one. A value is never part of a message: it may be a password.
 */
export function wireHeaders(headers: Readonly<Record<string, string>> | undefined): string[] {
  // Nothing is inflated, so nothing may come compressed.
  const wire = ['accept-encoding', 'identity'];
  let hasUserAgent = false;
  for (const name in headers) {
    const value = headers[name];
    const lower = name.toLowerCase();
    if (!TOKEN.test(name)) throw invalid(`${JSON.stringify(name)} is not the name of a header.`);
    if (RESERVED.has(lower)) throw invalid(`The header ${name} belongs to the connection and cannot be set.`);
    if (typeof value !== 'string' || !VALUE.test(value)) {
      throw invalid(`The value of the header ${name} holds a character that headers cannot carry.`);
    }
    if (lower === 'user-agent') hasUserAgent = true;
    wire.push(name, value);
  }
  if (!hasUserAgent) wire.push('user-agent', 'Switchyard');
  return wire;
}

function invalid(message: string): ConfigError {
  return new ConfigError(message, { code: 'HEADER_INVALID' });
}
