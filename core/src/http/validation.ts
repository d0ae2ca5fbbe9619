import { Ajv, type Options, type ValidateFunction } from 'ajv';
import ajvFormats from 'ajv-formats';
import type { FastifyInstance } from 'fastify';
import { readBody } from '../event/body.ts';

const MAX_BODY_BYTES = 1_048_576;

const OPTIONS: Options = {
  strict: true,
  strictRequired: false,
  allowUnionTypes: true,
  useDefaults: true,
  discriminator: true,
  logger: false,
};

function compiler(options: Options): (schema: object) => ValidateFunction {
  const ajv = new Ajv({ ...OPTIONS, ...options });
  ajvFormats.default(ajv);
  return (schema) => ajv.compile(schema);
}

/**
 * How the control plane reads requests. Bodies are JSON under the rules of events (depth, no `__proto__`) and are taken at their word: "5" is no number, an unknown
 * field is an error. Queries and paths are texts, so there numbers and booleans are read out of them.
 */
export function readStrictly(scope: FastifyInstance): void {
  const body = compiler({ coerceTypes: false });
  const text = compiler({ coerceTypes: true });
  scope.setValidatorCompiler<object>(({ schema, httpPart }) => (httpPart === 'body' ? body(schema) : text(schema)));
  for (const type of ['application/json', /^application\/[a-z0-9.-]+\+json$/]) {
    scope.addContentTypeParser(type, { parseAs: 'buffer', bodyLimit: MAX_BODY_BYTES }, ({ headers }, raw, done) => {
      try {
        // Clients send the header with every POST, also with those that have no body.
        done(
          null,
          raw.length === 0 ? undefined : readBody(Buffer.from(raw), headers['content-encoding'], MAX_BODY_BYTES),
        );
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)), undefined);
      }
    });
  }
}
