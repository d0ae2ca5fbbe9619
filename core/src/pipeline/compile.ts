import { sortNodes, type PipelineDefinition, type TransformNode } from './definition.ts';

/** A node of a plan. `inputs` are the nodes before it, in the order of the definition's edges. */
export interface PlanStep {
  readonly node: TransformNode;
  readonly inputs: readonly string[];
}

/**
 * What leads to one destination: the part of the graph that an event passes on its way there, in an order that can be walked from front to
 * back. Compiled once per published version.
 */
export interface Plan {
  readonly destination: string;
  /** Node id of each source instance that leads there. */
  readonly entries: ReadonlyMap<string, string>;
  readonly steps: readonly PlanStep[];
  /** The nodes that the destination takes from. */
  readonly inputs: readonly string[];
}

/** One plan a destination. The definition passed `assertDefinition`. */
export function compilePlans(definition: PipelineDefinition): readonly Plan[] {
  const order = sortNodes(definition) ?? [];
  const inputsOf = (id: string): readonly string[] =>
    definition.edges.filter(([, to]) => to === id).map(([from]) => from);
  return order
    .filter((node) => node.kind === 'destination')
    .map((end) => {
      const needed = new Set<string>([end.id]);
      for (const node of order.toReversed())
        if (needed.has(node.id)) for (const input of inputsOf(node.id)) needed.add(input);
      const entries = new Map<string, string>();
      const steps: PlanStep[] = [];
      for (const node of order) {
        if (!needed.has(node.id)) continue;
        if (node.kind === 'source') entries.set(node.source, node.id);
        else if (node.kind === 'transform') steps.push({ node, inputs: inputsOf(node.id) });
      }
      return { destination: end.destination, entries, steps, inputs: inputsOf(end.id) };
    });
}
