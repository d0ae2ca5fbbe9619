import { Type, type TObject, type TSchema } from 'typebox';
import { PipelineDefinition } from '../pipeline/definition.ts';

export const Id = Type.String({ format: 'uuid' });
export const Name = Type.String({
  minLength: 1,
  maxLength: 100,
  pattern: '^\\S(?:.*\\S)?$',
  description: 'Unique among its kind in the project.',
});
export const Time = Type.String({ format: 'date-time' });
export const orNull = <Schema extends TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

export const InProject = Type.Object({ project: Id });
export const OneInProject = Type.Object({ project: Id, id: Id });

/** A body or query that refuses what it does not know: a misspelt filter must not silently match everything. */
export const strict = <Properties extends Record<string, TSchema>>(properties: Properties): TObject<Properties> =>
  Type.Object(properties, { additionalProperties: false });

const paging = {
  limit: Type.Integer({ minimum: 1, maximum: 1000, default: 50 }),
  cursor: Type.Optional(
    Type.String({ minLength: 1, maxLength: 500, description: '`next_cursor` of the page before.' }),
  ),
};
export const PageQuery = strict(paging);
export const pageQuery = <Properties extends Record<string, TSchema>>(filters: Properties) =>
  strict({ ...paging, ...filters });

export const listOf = <Item extends TSchema>(item: Item) =>
  Type.Object({ items: Type.Array(item), next_cursor: orNull(Type.String({ description: 'Null on the last page.' })) });

const ErrorAnswer = Type.Object(
  {
    error: Type.Object({
      code: Type.String({ description: 'See docs/errors.md.' }),
      message: Type.String(),
      details: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    }),
  },
  { description: 'Every error has this shape.' },
);

/** The answers of a route: its own, and the errors that any route may give. */
export const answers = <Own extends Record<number, TSchema>>(own: Own) => ({
  ...own,
  '4xx': ErrorAnswer,
  '5xx': ErrorAnswer,
});

export const NoContent = Type.Null({ description: 'Done.' });

/** Any JSON object; what it may hold is the plugin's to say (`GET /api/v1/plugins`). */
export const PluginConfig = Type.Record(Type.String(), Type.Unknown(), {
  description:
    'Validated by the plugin. A secret is sent as text and read as {"set": true}; sending {"set": true} keeps it.',
});

/** The same definition; told by `kind` which node it is, the validator names the field that is wrong instead of every form that does not fit. */
export const Definition = Type.Unsafe<PipelineDefinition>({
  ...PipelineDefinition,
  properties: {
    ...PipelineDefinition.properties,
    nodes: {
      ...PipelineDefinition.properties.nodes,
      items: {
        type: 'object',
        required: ['kind'],
        discriminator: { propertyName: 'kind' },
        oneOf: PipelineDefinition.properties.nodes.items.anyOf,
      },
    },
  },
});
