import swagger from '@fastify/swagger';
import type { SourceRoute } from '@switchyard/plugin-sdk';
import type { FastifyInstance, FastifySchema } from 'fastify';

/** What the OpenAPI document says of a source's route. Not a schema of Fastify's: that would be checked at each request, and ingress checks drafts itself. */
interface DocumentedRoute {
  readonly source: string;
  readonly route: SourceRoute;
  /** A second spelling of a path that is documented already. */
  readonly hidden: boolean;
}

declare module 'fastify' {
  interface FastifyContextConfig {
    documented?: DocumentedRoute;
  }
}

/** Collects every route that is registered after it. Adds nothing to a request. */
export async function collectRoutes(app: FastifyInstance, version: string): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Switchyard',
        version,
        description: 'A self-hosted event router. Errors are documented in docs/errors.md.',
      },
      components: {
        securitySchemes: {
          token: {
            type: 'http',
            scheme: 'bearer',
            bearerFormat: 'JWT',
            description: 'The access_token of POST /api/v1/auth/login.',
          },
          key: { type: 'http', scheme: 'bearer', description: 'An API key: sy_<id>_<secret>.' },
        },
      },
    },
    transform: ({ schema, url, route }) => {
      const { documented, access } = route.config ?? {};
      if (documented !== undefined) return { schema: ingestionSchema(documented), url };
      const secured: FastifySchema =
        access === undefined || access === 'public' ? schema : { ...schema, security: [{ token: [] }] };
      return { schema: secured, url };
    },
    transformObject: (document) =>
      'openapiObject' in document ? inOwnDialect(document.openapiObject) : document.swaggerObject,
  });
}

/**
 * The schemas are written for the validator (draft-07), the document is read as OpenAPI 3.1 (draft 2020-12): there a tuple is `prefixItems`, and a parameter that has a
 * default need not be sent.
 */
function inOwnDialect<Value>(value: Value): Value {
  if (Array.isArray(value)) return value.map(inOwnDialect) as Value;
  if (typeof value !== 'object' || value === null) return value;
  const { items, additionalItems, ...rest } = value as Readonly<Record<string, unknown>>;
  const tuple = Array.isArray(items)
    ? { prefixItems: items, items: additionalItems ?? {} }
    : items === undefined
      ? {}
      : { items };
  const optional = isQueryWithDefault(value) ? { required: false } : {};
  const fields = Object.entries({ ...rest, ...tuple, ...optional }).map(([name, field]) => [name, inOwnDialect(field)]);
  return Object.fromEntries(fields) as Value;
}

const isQueryWithDefault = (value: object): boolean =>
  'in' in value &&
  value.in === 'query' &&
  'schema' in value &&
  typeof value.schema === 'object' &&
  value.schema !== null &&
  'default' in value.schema;

function ingestionSchema({ source, route, hidden }: DocumentedRoute): FastifySchema {
  const { summary, body, responses } = route;
  return {
    hide: hidden,
    tags: ['ingestion'],
    summary: `${summary} (source "${source}")`,
    security: [{ key: [] }],
    ...(body === undefined ? {} : { body }),
    response: Object.fromEntries(
      Object.entries(responses).map(([status, schema]) => [status, { description: summary, ...schema }]),
    ),
  };
}
