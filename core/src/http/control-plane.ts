import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { SwitchyardError } from '../errors.ts';
import { guardRoutes } from './access.ts';
import type { ControlPlane, Scope } from './plane.ts';
import { accountingRoutes } from './routes/accounting.ts';
import { apiKeyRoutes } from './routes/api-keys.ts';
import { authRoutes } from './routes/auth.ts';
import { deadLetterRoutes } from './routes/dead-letters.ts';
import { destinationRoutes } from './routes/destinations.ts';
import { eventRoutes } from './routes/events.ts';
import { pipelineRoutes } from './routes/pipelines.ts';
import { pluginRoutes } from './routes/plugins.ts';
import { projectRoutes } from './routes/projects.ts';
import { sourceRoutes } from './routes/sources.ts';
import { secureHeaders } from './secure-headers.ts';
import { readStrictly } from './validation.ts';

/** The API for people and the console. Nothing of it touches the ingestion scope. */
export async function registerControlPlane(app: FastifyInstance, plane: ControlPlane): Promise<void> {
  await app.register(
    async (scope) => {
      await scope.register(secureHeaders);
      readStrictly(scope);
      scope.addHook('onRequest', (request, reply, done) => {
        // Answers hold what only their reader may see.
        reply.header('cache-control', 'no-store');
        // No text in the database holds one, so nothing can be found by it.
        if (request.url.includes('%00', request.url.indexOf('?') + 1 || request.url.length)) {
          done(new SwitchyardError('REQUEST_INVALID', 'A parameter of the request holds a NUL character (%00).'));
          return;
        }
        done(
          plane.lifecycle.stopping
            ? new SwitchyardError('STOPPING', 'This process is shutting down: send the request again.')
            : undefined,
        );
      });
      guardRoutes(scope, plane.tokens, plane.projects);
      const typed: Scope = scope.withTypeProvider<TypeBoxTypeProvider>();
      for (const routes of [
        authRoutes,
        projectRoutes,
        apiKeyRoutes,
        sourceRoutes,
        destinationRoutes,
        pipelineRoutes,
        eventRoutes,
        deadLetterRoutes,
        accountingRoutes,
        pluginRoutes,
      ]) {
        routes(typed, plane);
      }
    },
    { prefix: '/api/v1' },
  );
}
