import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { compilePlans } from '../../src/pipeline/compile.ts';
import {
  assertDefinition,
  sortNodes,
  type DefinitionProblem,
  type DefinitionScope,
  type PipelineDefinition,
  type PipelineNode,
} from '../../src/pipeline/definition.ts';
import { thrown } from '../support/thrown.ts';

const [SOURCE, SOURCE_2, ARCHIVE, HOOK, STRANGER] = Array.from({ length: 5 }, () => randomUUID()) as [
  string,
  string,
  string,
  string,
  string,
];
const source = (id: string, of: string = SOURCE): PipelineNode => ({ id, kind: 'source', source: of });
const transform = (id: string, type = 'filter'): PipelineNode => ({ id, kind: 'transform', type, config: {} });
const destination = (id: string, of: string = ARCHIVE): PipelineNode => ({ id, kind: 'destination', destination: of });
const define = (nodes: PipelineNode[], ...edges: [string, string][]): PipelineDefinition => ({ nodes, edges });

const scope: DefinitionScope = {
  sources: new Set([SOURCE, SOURCE_2]),
  destinations: new Set([ARCHIVE, HOOK]),
  checkTransform: ({ type }) =>
    type === 'filter' ? [] : [{ field: 'type', message: `no plugin "${type}" is installed.` }],
};
const problemsOf = (definition: PipelineDefinition): readonly DefinitionProblem[] => {
  const { code, details } = thrown(() => assertDefinition(definition, scope));
  expect(code).toBe('PIPELINE_INVALID');
  return details?.['problems'] as readonly DefinitionProblem[];
};

describe('a definition', () => {
  test.each<[string, PipelineDefinition]>([
    ['a line', define([source('s'), transform('t'), destination('d')], ['s', 't'], ['t', 'd'])],
    ['no transform', define([source('s'), destination('d')], ['s', 'd'])],
    [
      'a diamond',
      define(
        [source('s'), transform('a'), transform('b'), destination('d')],
        ['s', 'a'],
        ['s', 'b'],
        ['a', 'd'],
        ['b', 'd'],
      ),
    ],
    [
      'several sources and destinations',
      define(
        [source('s'), source('s2', SOURCE_2), destination('d'), destination('h', HOOK)],
        ['s', 'd'],
        ['s2', 'd'],
        ['s', 'h'],
      ),
    ],
  ])('with %s can run', (_name, definition) => expect(() => assertDefinition(definition, scope)).not.toThrow());

  test.each<[string, PipelineDefinition, DefinitionProblem[]]>([
    [
      'two nodes of one id',
      define([source('s'), transform('x'), transform('x'), destination('d')], ['s', 'x'], ['x', 'd']),
      [{ node: 'x', field: 'id', message: 'Two nodes have the id "x".' }],
    ],
    [
      'a source of somebody else',
      define([source('s', STRANGER), destination('d')], ['s', 'd']),
      [{ node: 's', field: 'source', message: `Node "s": the project has no source ${STRANGER}.` }],
    ],
    [
      'a destination of somebody else',
      define([source('s'), destination('d', STRANGER)], ['s', 'd']),
      [{ node: 'd', field: 'destination', message: `Node "d": the project has no destination ${STRANGER}.` }],
    ],
    [
      'a source twice',
      define([source('s'), source('t'), destination('d')], ['s', 'd'], ['t', 'd']),
      [{ node: 't', field: 'source', message: 'Nodes "s" and "t" are the same source: draw more edges instead.' }],
    ],
    [
      'a destination twice',
      define([source('s'), destination('d'), destination('e')], ['s', 'd'], ['s', 'e']),
      [
        {
          node: 'e',
          field: 'destination',
          message: 'Nodes "d" and "e" are the same destination: draw more edges instead.',
        },
      ],
    ],
    [
      'a transform that cannot run',
      define([source('s'), transform('t', 'nope'), destination('d')], ['s', 't'], ['t', 'd']),
      [{ node: 't', field: 'type', message: 'Node "t": no plugin "nope" is installed.' }],
    ],
    [
      'an edge from nowhere',
      define([source('s'), destination('d')], ['s', 'd'], ['x', 'd']),
      [{ node: 'x', field: 'edges/1', message: 'An edge begins at "x", which is no node.' }],
    ],
    [
      'an edge to nowhere',
      define([source('s'), destination('d')], ['s', 'x'], ['s', 'd']),
      [{ node: 'x', field: 'edges/0', message: 'An edge ends at "x", which is no node.' }],
    ],
    [
      'an edge out of a destination',
      define([source('s'), transform('t'), destination('d')], ['s', 'd'], ['d', 't']),
      [
        {
          node: 'd',
          field: 'edges/1',
          message: 'An edge begins at the destination "d": nothing comes out of a destination.',
        },
      ],
    ],
    [
      'an edge into a source',
      define([source('s'), source('s2', SOURCE_2), destination('d')], ['s', 'd'], ['s', 's2']),
      [{ node: 's2', field: 'edges/1', message: 'An edge ends at the source "s2": nothing goes into a source.' }],
    ],
    [
      'an edge twice',
      define([source('s'), destination('d')], ['s', 'd'], ['s', 'd']),
      [{ node: 's', field: 'edges/1', message: 'The edge from "s" to "d" is there twice.' }],
    ],
    [
      'a circle',
      define(
        [source('s'), transform('a'), transform('b'), destination('d')],
        ['s', 'a'],
        ['a', 'b'],
        ['b', 'a'],
        ['b', 'd'],
      ),
      [{ node: null, field: 'edges', message: 'The edges form a circle: an event would never come out.' }],
    ],
    [
      'a circle of one',
      define([source('s'), transform('a'), destination('d')], ['s', 'a'], ['a', 'a'], ['a', 'd']),
      [{ node: null, field: 'edges', message: 'The edges form a circle: an event would never come out.' }],
    ],
    [
      'what no source leads to',
      define([source('s'), transform('t'), destination('d')], ['s', 'd'], ['t', 'd']),
      [{ node: 't', field: 'edges', message: 'No source leads to "t".' }],
    ],
    [
      'what leads nowhere',
      define([source('s'), transform('t'), destination('d')], ['s', 'd'], ['s', 't']),
      [{ node: 't', field: 'edges', message: '"t" leads nowhere: connect it to a destination.' }],
    ],
    ['nothing at all', define([]), [{ node: null, field: 'nodes', message: 'There is no destination.' }]],
  ])('with %s cannot, and the place is named', (_name, definition, problems) =>
    expect(problemsOf(definition)).toEqual(problems),
  );

  test('says everything that is wrong at once', () => {
    const definition = define(
      [source('s', STRANGER), transform('t', 'nope'), destination('d'), destination('d', HOOK)],
      ['s', 't'],
      ['t', 'x'],
      ['d', 't'],
    );
    expect(problemsOf(definition).map(({ node, field }) => `${node}:${field}`)).toEqual([
      's:source',
      't:type',
      'd:id',
      'x:edges/1',
      'd:edges/2',
    ]);
    expect(thrown(() => assertDefinition(definition, scope)).message).toMatch(
      /^The pipeline cannot run: Node "s": .* \(and 4 more\)$/,
    );
  });

  test('says everything that leads nowhere at once', () => {
    expect(
      problemsOf(define([source('s'), transform('a'), transform('b')], ['a', 'b'])).map(({ message }) => message),
    ).toEqual([
      '"s" leads nowhere: connect it to a destination.',
      'No source leads to "a".',
      'No source leads to "b".',
      '"b" leads nowhere: connect it to a destination.',
      'There is no destination.',
    ]);
  });
});

describe('compiled plans', () => {
  const definition = define(
    [
      destination('h', HOOK),
      destination('d'),
      transform('join'),
      transform('b'),
      transform('a'),
      transform('other'),
      source('s2', SOURCE_2),
      source('s'),
    ],
    ['s', 'a'],
    ['s', 'b'],
    ['a', 'join'],
    ['b', 'join'],
    ['join', 'd'],
    ['s2', 'other'],
    ['s', 'other'],
    ['other', 'h'],
    ['s2', 'b'],
  );

  test('hold only what leads to their destination, in an order that can be walked', () => {
    expect(() => assertDefinition(definition, scope)).not.toThrow();
    const plans = new Map(compilePlans(definition).map((plan) => [plan.destination, plan]));
    expect([...plans.keys()].sort()).toEqual([ARCHIVE, HOOK].sort());
    const archive = plans.get(ARCHIVE);
    expect(archive?.steps.map(({ node, inputs }) => [node.id, inputs])).toEqual([
      ['b', ['s', 's2']],
      ['a', ['s']],
      ['join', ['a', 'b']],
    ]);
    expect(archive?.inputs).toEqual(['join']);
    expect(new Map(archive?.entries)).toEqual(
      new Map([
        [SOURCE, 's'],
        [SOURCE_2, 's2'],
      ]),
    );
    const hook = plans.get(HOOK);
    expect(hook?.steps.map(({ node }) => node.id)).toEqual(['other']);
    expect(hook?.inputs).toEqual(['other']);
  });

  test('leave out a source that does not lead there', () => {
    const [plan] = compilePlans(
      define([source('s'), source('s2', SOURCE_2), destination('d'), destination('h', HOOK)], ['s', 'd'], ['s2', 'h']),
    ).filter(({ destination: end }) => end === ARCHIVE);
    expect(plan?.entries).toEqual(new Map([[SOURCE, 's']]));
    expect(plan).toMatchObject({ steps: [], inputs: ['s'] });
  });

  test('put every node behind all that it takes from, in any graph without circles', () => {
    const graph = fc.integer({ min: 2, max: 12 }).chain((size) =>
      fc.tuple(
        fc.shuffledSubarray(
          Array.from({ length: size }, (_, index) => index),
          { minLength: size },
        ),
        fc.uniqueArray(
          fc.tuple(fc.nat(size - 1), fc.nat(size - 1)).filter(([from, to]) => from < to),
          { selector: String },
        ),
      ),
    );
    fc.assert(
      fc.property(graph, ([order, edges]) => {
        const any = define(
          order.map((index) => transform(`n${index}`)),
          ...edges.map(([from, to]): [string, string] => [`n${from}`, `n${to}`]),
        );
        const sorted = sortNodes(any)?.map(({ id }) => id) ?? [];
        expect([...sorted].sort()).toEqual(any.nodes.map(({ id }) => id).sort());
        for (const [from, to] of any.edges) expect(sorted.indexOf(from)).toBeLessThan(sorted.indexOf(to));
        const back = any.edges[0];
        expect(back === undefined || sortNodes({ ...any, edges: [...any.edges, [back[1], back[0]]] }) === null).toBe(
          true,
        );
      }),
    );
  });
});
