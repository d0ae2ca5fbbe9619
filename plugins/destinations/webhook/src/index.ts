import { defineDestination } from '@switchyard/plugin-sdk';
import { configSchema, validateConfig, type WebhookConfig } from './config.ts';
import { Webhook } from './webhook.ts';

export default defineDestination<WebhookConfig>({
  type: 'webhook',
  title: 'Webhook',
  summary: 'Posts each event as JSON to a URL, signed as Standard Webhooks does.',
  stability: 'stable',
  config: configSchema,
  configVersion: 1,
  examples: [
    {
      title: 'Signed',
      config: { url: 'https://example.com/hooks/switchyard', secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw' },
    },
    {
      title: 'With a token of the receiver',
      config: {
        url: 'https://example.com/api/events',
        authorization: 'Bearer an-example-token',
        headers: { 'x-environment': 'production' },
        timeout_ms: 5_000,
      },
    },
  ],
  capabilities: { batch: { maxEvents: 1 }, concurrency: 50, ordering: 'none' },
  validate: validateConfig,
  create: (config, context) => new Webhook(config, context),
});
