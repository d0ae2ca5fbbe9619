import helmet from '@fastify/helmet';
import plugin from 'fastify-plugin';

/** No page of ours loads anything, is framed, or runs a script. Registered in a scope, it holds for all routes of that scope. */
export const secureHeaders = plugin(
  async (scope) => {
    await scope.register(helmet, {
      contentSecurityPolicy: {
        useDefaults: false,
        directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
      },
      // Whether there is TLS in front is the operator's business; over plain HTTP the header means nothing.
      strictTransportSecurity: false,
      referrerPolicy: { policy: 'no-referrer' },
    });
  },
  { name: 'switchyard-secure-headers', fastify: '5.x' },
);
