import { DummyDriver, Kysely, PostgresAdapter, PostgresIntrospector, PostgresQueryCompiler } from 'kysely';
import { Type, defineTransform, emit, type PluginContext, type TransformDefinition } from '../src/index.ts';
import { contractCases } from '../src/testing/index.ts';
import { failures } from './verdict.ts';

type Tables = Record<'seen', { id: string }>;

/** A database that takes every query and holds nothing. */
const database = new Kysely<unknown>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

const rows = (context: PluginContext): Promise<unknown> =>
  context.database.withTables<Tables>().selectFrom('seen').selectAll().execute();

function plugin(onCreate: (context: PluginContext) => void): TransformDefinition<object> {
  return defineTransform<object>({
    type: 'stores',
    title: 'Stores',
    summary: 'Looks into the database',
    stability: 'stable',
    config: Type.Object({}, { additionalProperties: false }),
    configVersion: 1,
    examples: [{ title: 'One', config: {} }],
    requires: ['database'],
    batch: { maxEvents: 5 },
    create: (_config, context) => {
      onCreate(context);
      return {
        apply: async (batch) => {
          await rows(context);
          return new Map(batch.map((event) => [event.id, emit(event)]));
        },
      };
    },
  });
}

describe('the kit against plugins with a database', () => {
  it('finds nothing wrong with one that builds a query in create and runs it later', async () => {
    const builds = plugin(({ database: door }) => void door.withTables<Tables>().selectFrom('seen').selectAll());
    expect(await failures(contractCases(builds, { database: () => database }))).toEqual([]);
  });

  it('blames one that runs a query in create', async () => {
    const runs = plugin((context) => void rows(context));
    expect(await failures(contractCases(runs, { database: () => database }))).toEqual([
      'creates an instance without I/O, timers or environment',
    ]);
  });
});
