import type { FastifyInstance, FastifyRequest } from 'fastify';
import { SwitchyardError } from '../errors.ts';
import { isUuid } from '../store/page.ts';
import type { MemberRole } from '../store/schema.ts';
import type { AccessTokens, Caller } from './tokens.ts';

/**
 * Who may use a route: everybody, whoever is logged in, or members of the project in the path who have at least this role.
 */
type Access = 'public' | 'user' | MemberRole;

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Every route of the control plane has one; a route without does not start. */
    access?: Access;
  }
  interface FastifyRequest {
    caller: Caller | null;
  }
}

const RANK: Readonly<Record<MemberRole, number>> = { viewer: 0, developer: 1, admin: 2 };

const PROJECT_PATH = /\/projects\/:project(?:\/|$)/;

/** What decides who is a member of what. */
interface Members {
  roleOf(project: string, user: string): Promise<MemberRole | null>;
}

/**
 * Guards every route of the scope before anything of the request is parsed. Guarantees: a route says who may use it or the server does not start; a
 * project that is not the caller's looks exactly like one that does not exist.
 */
export function guardRoutes(scope: FastifyInstance, tokens: AccessTokens, members: Members): void {
  scope.decorateRequest('caller', null);
  scope.addHook('onRoute', ({ config, url }) => {
    const access = config?.access;
    if (access === undefined) throw new Error(`The route ${url} does not say who may use it.`);
    const inProject = PROJECT_PATH.test(url);
    if (inProject === (access === 'public' || access === 'user'))
      throw new Error(
        `The route ${url} ${inProject ? 'is inside' : 'is outside'} of a project: "${access}" cannot guard it.`,
      );
  });
  scope.addHook('onRequest', async (request) => {
    const { access } = request.routeOptions.config;
    // A path that no route serves is answered with 404 whoever asks.
    if (access === undefined || access === 'public') return;
    const caller = await tokens.verify(bearerOf(request));
    request.caller = caller;
    if (access === 'user') return;
    const { project } = request.params as { readonly project: string };
    const role = isUuid(project) ? await members.roleOf(project, caller.id) : null;
    if (role === null) throw new SwitchyardError('NOT_FOUND', 'There is no such project, or it is not yours to see.');
    if (RANK[role] < RANK[access])
      throw new SwitchyardError(
        'FORBIDDEN',
        `This takes the role "${access}" in the project, and yours is "${role}": ask an admin of the project.`,
      );
  });
}

/** The caller of a route that is not public. */
export function callerOf(request: FastifyRequest): Caller {
  if (request.caller === null) throw new Error('The route is public: it has no caller.');
  return request.caller;
}

function bearerOf(request: FastifyRequest): string {
  const match = /^Bearer +([^ ]+) *$/i.exec(request.headers.authorization ?? '');
  if (match?.[1] === undefined)
    throw new SwitchyardError(
      'TOKEN_INVALID',
      'Log in (POST /api/v1/auth/login) and send "Authorization: Bearer <access_token>".',
    );
  return match[1];
}
