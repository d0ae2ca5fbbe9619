import { defineTransform, type Event } from '@switchyard/plugin-sdk';
import { configSchema, type JavaScriptConfig } from './config.ts';
import { JavaScriptTransform } from './javascript-transform.ts';
import { BATCH_MAX_EVENTS } from './limits.ts';
import { programOf } from './program.ts';
import { SandboxPool } from './sandbox/pool.ts';
import { testRun as testRunIn, type TestRun } from './test-run.ts';
import { validate } from './validate.ts';

export type { JavaScriptConfig } from './config.ts';
export type { TestRun, TestedEvent } from './test-run.ts';

/** One for the process: instances share its children. Without instances it is nothing but an object. */
const pool = new SandboxPool();

/** Runs code that is not saved on the events given, and says for each what became of it, what it logged and where it failed. */
export function testRun(config: JavaScriptConfig, events: readonly Event[], signal: AbortSignal): Promise<TestRun> {
  return testRunIn(pool, config, events, signal);
}

export default defineTransform<JavaScriptConfig>({
  type: 'javascript',
  title: 'JavaScript',
  summary: 'Changes, splits or drops events with a JavaScript function that you write.',
  stability: 'stable',
  config: configSchema,
  configVersion: 1,
  examples: [
    {
      title: 'Add a field',
      config: {
        code: [
          'export default function transform(event) {',
          '  event.metadata.total_cents = Math.round((event.metadata.total ?? 0) * 100);',
          '  return event;',
          '}',
          '',
        ].join('\n'),
      },
    },
    {
      title: 'Drop internal users, one event for each item of an order',
      config: {
        code: [
          'export default function transform(event) {',
          "  if (event.user_id?.endsWith('@example.com')) return null;",
          "  if (event.event_name !== 'order_completed') return event;",
          '  const { items = [], ...order } = event.metadata;',
          "  return items.map((item) => ({ ...event, event_name: 'item_ordered', metadata: { ...order, ...item } }));",
          '}',
          '',
        ].join('\n'),
      },
    },
  ],
  batch: { maxEvents: BATCH_MAX_EVENTS },
  validate,
  create: (config, context) => new JavaScriptTransform(pool, programOf(config), context),
});
