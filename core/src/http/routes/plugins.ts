import { Type } from 'typebox';
import type { ControlPlane, Scope } from '../plane.ts';
import { answers, listOf } from '../schemas.ts';

const Plugin = Type.Object({
  kind: Type.Union([Type.Literal('source'), Type.Literal('transform'), Type.Literal('destination')]),
  type: Type.String(),
  title: Type.String(),
  summary: Type.String(),
  stability: Type.String(),
  package: Type.String(),
  version: Type.String(),
  config: Type.Unknown({ description: 'JSON Schema of its configuration.' }),
  config_version: Type.Integer(),
  examples: Type.Array(Type.Object({ title: Type.String(), config: Type.Unknown() })),
  capabilities: Type.Unknown(),
});

export function pluginRoutes(app: Scope, { registry }: ControlPlane): void {
  app.get(
    '/plugins',
    {
      config: { access: 'user' },
      schema: {
        tags: ['plugins'],
        summary: 'Every installed plugin, with the schema of its configuration',
        response: answers({ 200: listOf(Plugin) }),
      },
    },
    () => ({
      items: registry.list().map((plugin) => ({ ...plugin, examples: [...plugin.examples] })),
      next_cursor: null,
    }),
  );
}
