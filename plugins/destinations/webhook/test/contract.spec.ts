import { testPlugin } from '@switchyard/plugin-sdk/testing';
import webhook from '../src/index.ts';

const seed = Buffer.alloc(32, 7).toString('base64');

testPlugin(webhook, {
  http: {
    config: (url) => ({
      url,
      secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      previous_secret: `whsk_${seed}`,
      authorization: 'Bearer a-token-of-the-receiver',
      headers: { 'x-environment': 'test' },
      timeout_ms: 1_000,
    }),
  },
  wrongConfigs: [
    {},
    { url: 'ftp://example.com/' },
    { url: 'not a url' },
    { url: 'https://user:password@example.com/' },
    { url: 'https://example.com/', secret: 'too short' },
    { url: 'https://example.com/', secret: 'whsec_c2hvcnQ=AAAAAAAA' },
    { url: 'https://example.com/', secret: 'whsec_not*base64*at*all' },
    { url: 'https://example.com/', secret: 'whsec_c2hvcnRrZXk=' },
    { url: 'https://example.com/', secret: `whsk_${Buffer.alloc(31).toString('base64')}` },
    { url: 'https://example.com/', secret: `whsk_${Buffer.alloc(64, 1).toString('base64')}` },
    { url: 'https://example.com/', previous_secret: 'a secret that was used before' },
    { url: 'https://example.com/', secret: 'the same secret, twice', previous_secret: 'the same secret, twice' },
    { url: 'https://example.com/', headers: { Host: 'other.example' } },
    { url: 'https://example.com/', headers: { 'Webhook-Signature': 'v1,x' } },
    { url: 'https://example.com/', headers: { 'Content-Length': '1' } },
    { url: 'https://example.com/', headers: { 'transfer-encoding': 'chunked' } },
    { url: 'https://example.com/', headers: { 'x-a': 'b\r\nx-injected: 1' } },
    { url: 'https://example.com/', headers: { 'x a': 'b' } },
    { url: 'https://example.com/', headers: { 'x-a': '1', 'X-A': '2' } },
    { url: 'https://example.com/', headers: { Authorization: 'x' }, authorization: 'y' },
    { url: 'https://example.com/', authorization: 'Bearer a\r\nx-injected: 1' },
    { url: 'https://example.com/', timeout_ms: 99 },
    { url: 'https://example.com/', timeout_ms: 60_001 },
    { url: 'https://example.com/', unknown: true },
  ],
});
