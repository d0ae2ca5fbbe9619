import helmet from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** No page of ours loads anything, is framed, or runs a script. */
export async function secureHeaders(scope: FastifyInstance): Promise<void> {
  await scope.register(helmet, {
    contentSecurityPolicy: {
      useDefaults: false,
      directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
    },
    // Whether there is TLS in front is the operator's business; over plain HTTP the header means nothing.
    strictTransportSecurity: false,
    referrerPolicy: { policy: 'no-referrer' },
  });
}
