import type { Kysely } from 'kysely';
import { SwitchyardError } from '../errors.ts';
import { validateConfig } from '../plugin-host/config.ts';
import type { PluginRegistry } from '../plugin-host/registry.ts';
import type { Database } from '../store/schema.ts';
import { assertDefinition, type PipelineDefinition, type TransformNode } from './definition.ts';

/** Looks at a definition beside the project that it is for and the plugins that are installed. */
export class DefinitionCheck {
  constructor(
    private readonly db: Kysely<Database>,
    private readonly registry: PluginRegistry,
  ) {}

  /** Throws `PIPELINE_INVALID` with everything that keeps the definition from running. */
  async check(definition: PipelineDefinition, project: string): Promise<void> {
    const [sources, destinations] = await Promise.all([
      this.db.selectFrom('sources').select('id').where('project_id', '=', project).execute(),
      this.db.selectFrom('destinations').select('id').where('project_id', '=', project).execute(),
    ]);
    assertDefinition(definition, {
      sources: new Set(sources.map(({ id }) => id)),
      destinations: new Set(destinations.map(({ id }) => id)),
      checkTransform: (node) => this.transformProblems(node),
    });
  }

  private transformProblems(node: TransformNode): readonly { readonly field: string; readonly message: string }[] {
    const plugin = this.registry.find('transform', node.type);
    if (plugin === undefined) {
      const known = this.registry.all('transform').map(({ definition }) => definition.type);
      return [
        { field: 'type', message: `there is no transform "${node.type}". Installed: ${known.join(', ') || 'none'}.` },
      ];
    }
    try {
      validateConfig(plugin.definition, node.config);
      return [];
    } catch (error) {
      if (!(error instanceof SwitchyardError)) throw error;
      return [{ field: 'config', message: error.message }];
    }
  }
}
