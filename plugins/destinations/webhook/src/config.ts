import { ConfigError, Secret, Type } from '@switchyard/plugin-sdk';
import { parseKey } from './signing.ts';

export interface WebhookConfig {
  readonly url: string;
  readonly secret?: string;
  readonly previous_secret?: string;
  readonly authorization?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly timeout_ms?: number;
}

export const DEFAULT_TIMEOUT_MS = 15_000;

const HEADER_NAME = "^[!#$%&'*+\\-.^_`|~0-9A-Za-z]+$";

/** Printable characters and tabs: what a header can carry, and nothing that could begin another header. */
const HEADER_VALUE = '^[\\t\\x20-\\x7e\\x80-\\xff]*$';

export const configSchema = Type.Object(
  {
    url: Type.String({
      title: 'URL',
      description: 'Where events are posted. Redirects are not followed: give the final address.',
      format: 'uri',
      pattern: '^[Hh][Tt][Tt][Pp][Ss]?://',
      maxLength: 2_048,
    }),
    secret: Type.Optional(
      Secret({
        title: 'Signing secret',
        description:
          'Signs every request as Standard Webhooks does. whsec_… (base64) or any other text: HMAC-SHA256. whsk_… (base64): ed25519 private key.',
        minLength: 16,
      }),
    ),
    previous_secret: Type.Optional(
      Secret({
        title: 'Previous signing secret',
        description: 'While a secret is being replaced: requests are signed with both, until this one is taken out.',
        minLength: 16,
      }),
    ),
    authorization: Type.Optional(
      Secret({
        title: 'Authorization header',
        description: 'Sent as it is, for example: Bearer abc123.',
        minLength: 1,
        pattern: HEADER_VALUE,
      }),
    ),
    headers: Type.Optional(
      Type.Record(Type.String({ pattern: HEADER_NAME }), Type.String({ pattern: HEADER_VALUE, maxLength: 4_096 }), {
        title: 'More headers',
        description: 'Sent with every request. They are shown to whoever may see this destination.',
        additionalProperties: false,
        maxProperties: 32,
        'x-advanced': true,
      }),
    ),
    timeout_ms: Type.Optional(
      Type.Integer({
        title: 'Timeout (ms)',
        description: 'How long a whole request may take, connecting and reading the answer included.',
        minimum: 100,
        maximum: 60_000,
        default: DEFAULT_TIMEOUT_MS,
        'x-advanced': true,
      }),
    ),
  },
  { additionalProperties: false },
);

/** The connection's own, and those by which the receiver knows what it got. */
const RESERVED: ReadonlySet<string> = new Set(
  (
    'host connection content-length transfer-encoding keep-alive upgrade te trailer expect proxy-authenticate ' +
    'proxy-authorization proxy-connection http2-settings accept-encoding content-type user-agent webhook-id ' +
    'webhook-timestamp webhook-signature'
  ).split(' '),
);

/** What the schema cannot say. Messages name the field, never a value that may be secret. */
export function validateConfig(config: WebhookConfig): void {
  const { url, secret, previous_secret: previous, authorization, headers = {} } = config;
  if (!URL.canParse(url)) throw new ConfigError('url: this is not a URL.');
  const { protocol, username, password } = new URL(url);
  if (protocol !== 'https:' && protocol !== 'http:') throw new ConfigError('url: only http and https can be reached.');
  if (username !== '' || password !== '') {
    throw new ConfigError('url: take the user name and password out of the address and put them into authorization.');
  }
  if (secret !== undefined) parseKey(secret, 'secret');
  if (previous !== undefined) {
    if (secret === undefined) throw new ConfigError('previous_secret: it only means something beside a secret.');
    if (previous === secret) throw new ConfigError('previous_secret: it is the same as secret.');
    parseKey(previous, 'previous_secret');
  }
  const seen = new Set<string>();
  for (const name of Object.keys(headers)) {
    const lower = name.toLowerCase();
    if (RESERVED.has(lower)) throw new ConfigError(`headers: ${name} is set by the router and cannot be given.`);
    if (seen.has(lower)) throw new ConfigError(`headers: ${name} is there twice.`);
    if (lower === 'authorization' && authorization !== undefined) {
      throw new ConfigError(`headers: ${name} is there, and authorization too. Keep authorization: it is encrypted.`);
    }
    seen.add(lower);
  }
}
