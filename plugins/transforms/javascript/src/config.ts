import { Type } from '@switchyard/plugin-sdk';
import { CODE_MAX_CHARS, MEMORY_MB, TIMEOUT_MS } from './limits.ts';

export interface JavaScriptConfig {
  readonly code: string;
  readonly timeout_ms?: number;
  readonly memory_mb?: number;
}

export const configSchema = Type.Object(
  {
    code: Type.String({
      title: 'Code',
      description:
        'An ES module with "export default function transform(event)". Return the event, an array of events, or null to drop it.',
      minLength: 1,
      maxLength: CODE_MAX_CHARS,
      'x-widget': 'code',
    }),
    timeout_ms: Type.Optional(
      Type.Integer({
        title: 'Time for one event (ms)',
        description: 'An event that takes longer fails; its neighbours do not.',
        ...TIMEOUT_MS,
        'x-advanced': true,
      }),
    ),
    memory_mb: Type.Optional(
      Type.Integer({
        title: 'Memory (MB)',
        description: 'What the code and the events of a batch may hold together.',
        ...MEMORY_MB,
        'x-advanced': true,
      }),
    ),
  },
  { additionalProperties: false },
);
