import { Type, type Static } from 'typebox';
import { SwitchyardError } from '../errors.ts';

const NodeId = Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$', description: 'Unique in the definition.' });

const SourceNode = Type.Object(
  { id: NodeId, kind: Type.Literal('source'), source: Type.String({ format: 'uuid' }) },
  { additionalProperties: false },
);
const TransformNode = Type.Object(
  {
    id: NodeId,
    kind: Type.Literal('transform'),
    type: Type.String({ maxLength: 64 }),
    config: Type.Record(Type.String(), Type.Unknown()),
  },
  { additionalProperties: false },
);
const DestinationNode = Type.Object(
  { id: NodeId, kind: Type.Literal('destination'), destination: Type.String({ format: 'uuid' }) },
  { additionalProperties: false },
);

/** A directed graph without circles, from sources to destinations. */
export const PipelineDefinition = Type.Object(
  {
    nodes: Type.Array(Type.Union([SourceNode, TransformNode, DestinationNode]), { maxItems: 200 }),
    edges: Type.Array(Type.Tuple([NodeId, NodeId]), { maxItems: 1000, description: 'From a node to a node, by id.' }),
  },
  { additionalProperties: false },
);
export type PipelineDefinition = Static<typeof PipelineDefinition>;
export type PipelineNode = PipelineDefinition['nodes'][number];
export type TransformNode = Static<typeof TransformNode>;

export interface DefinitionProblem {
  /** The node's id, or null when it is not about one node. */
  readonly node: string | null;
  readonly field: string;
  readonly message: string;
}

/** What a definition may name. */
export interface DefinitionScope {
  readonly sources: ReadonlySet<string>;
  readonly destinations: ReadonlySet<string>;
  /** What is wrong with a transform's type and configuration; the fields are relative to `config`. */
  checkTransform(node: TransformNode): readonly { readonly field: string; readonly message: string }[];
}

/** Throws `PIPELINE_INVALID` with every problem at once, so that a person mends them in one go. */
export function assertDefinition(definition: PipelineDefinition, scope: DefinitionScope): void {
  const problems = [...nodeProblems(definition, scope), ...edgeProblems(definition)];
  // Reachability means nothing while edges are wrong.
  if (problems.length === 0) problems.push(...pathProblems(definition));
  if (problems.length === 0) return;
  const [first] = problems;
  throw new SwitchyardError(
    'PIPELINE_INVALID',
    `The pipeline cannot run: ${first?.message ?? ''}${problems.length > 1 ? ` (and ${problems.length - 1} more)` : ''}`,
    { problems },
  );
}

function nodeProblems({ nodes }: PipelineDefinition, scope: DefinitionScope): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const ids = new Set<string>();
  const ends = new Map<string, string>();
  for (const node of nodes) {
    if (ids.has(node.id)) problems.push({ node: node.id, field: 'id', message: `Two nodes have the id "${node.id}".` });
    ids.add(node.id);
    if (node.kind === 'transform') {
      for (const { field, message } of scope.checkTransform(node))
        problems.push({ node: node.id, field, message: `Node "${node.id}": ${message}` });
      continue;
    }
    const end = node.kind === 'source' ? node.source : node.destination;
    const known = node.kind === 'source' ? scope.sources : scope.destinations;
    if (!known.has(end))
      problems.push({
        node: node.id,
        field: node.kind,
        message: `Node "${node.id}": the project has no ${node.kind} ${end}.`,
      });
    const twin = ends.get(end);
    if (twin !== undefined)
      problems.push({
        node: node.id,
        field: node.kind,
        message: `Nodes "${twin}" and "${node.id}" are the same ${node.kind}: draw more edges instead.`,
      });
    ends.set(end, node.id);
  }
  return problems;
}

function edgeProblems({ nodes, edges }: PipelineDefinition): DefinitionProblem[] {
  const problems: DefinitionProblem[] = [];
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const seen = new Set<string>();
  for (const [index, [from, to]] of edges.entries()) {
    const field = `edges/${index}`;
    const source = byId.get(from);
    const target = byId.get(to);
    if (source === undefined)
      problems.push({ node: from, field, message: `An edge begins at "${from}", which is no node.` });
    if (target === undefined) problems.push({ node: to, field, message: `An edge ends at "${to}", which is no node.` });
    if (source?.kind === 'destination')
      problems.push({
        node: from,
        field,
        message: `An edge begins at the destination "${from}": nothing comes out of a destination.`,
      });
    if (target?.kind === 'source')
      problems.push({ node: to, field, message: `An edge ends at the source "${to}": nothing goes into a source.` });
    if (seen.has(`${from} ${to}`))
      problems.push({ node: from, field, message: `The edge from "${from}" to "${to}" is there twice.` });
    seen.add(`${from} ${to}`);
  }
  return problems;
}

function pathProblems(definition: PipelineDefinition): DefinitionProblem[] {
  const { nodes, edges } = definition;
  const order = sortNodes(definition);
  if (order === null)
    return [{ node: null, field: 'edges', message: 'The edges form a circle: an event would never come out.' }];
  const problems: DefinitionProblem[] = [];
  const reached = new Set(nodes.filter(({ kind }) => kind === 'source').map(({ id }) => id));
  for (const { id } of order) for (const [from, to] of edges) if (from === id && reached.has(from)) reached.add(to);
  for (const { id, kind } of nodes) {
    if (!reached.has(id)) problems.push({ node: id, field: 'edges', message: `No source leads to "${id}".` });
    if (kind !== 'destination' && !edges.some(([from]) => from === id))
      problems.push({ node: id, field: 'edges', message: `"${id}" leads nowhere: connect it to a destination.` });
  }
  if (!nodes.some(({ kind }) => kind === 'destination'))
    problems.push({ node: null, field: 'nodes', message: 'There is no destination.' });
  return problems;
}

/** The nodes so that every edge points forward, in the order of the definition where edges leave a choice; null if they form a circle. */
export function sortNodes({ nodes, edges }: PipelineDefinition): readonly PipelineNode[] | null {
  const waiting = new Map(nodes.map(({ id }) => [id, edges.filter(([, to]) => to === id).length]));
  const sorted: PipelineNode[] = [];
  while (sorted.length < nodes.length) {
    const node = nodes.find(({ id }) => waiting.get(id) === 0);
    if (node === undefined) return null;
    waiting.delete(node.id);
    sorted.push(node);
    for (const [from, to] of edges) if (from === node.id) waiting.set(to, (waiting.get(to) ?? 0) - 1);
  }
  return sorted;
}
