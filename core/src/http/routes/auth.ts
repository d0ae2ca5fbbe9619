import { Type } from 'typebox';
import { SwitchyardError } from '../../errors.ts';
import { normaliseEmail } from '../../store/users.ts';
import { LoginLimiter } from '../login-limiter.ts';
import type { ControlPlane, Scope } from '../plane.ts';
import { Id, answers, strict } from '../schemas.ts';

export function authRoutes(app: Scope, { users, tokens }: ControlPlane): void {
  const limiter = new LoginLimiter();
  app.post(
    '/auth/login',
    {
      config: { access: 'public' },
      schema: {
        tags: ['auth'],
        summary: 'Get an access token for an email and a password',
        body: strict({
          email: Type.String({ minLength: 3, maxLength: 320 }),
          password: Type.String({ minLength: 1, maxLength: 1000 }),
        }),
        response: answers({
          200: Type.Object({
            access_token: Type.String(),
            expires_in: Type.Integer({ description: 'In seconds.' }),
            user: Type.Object({ id: Id, email: Type.String() }),
          }),
        }),
      },
    },
    async (request) => {
      const { email, password } = request.body;
      const succeed = limiter.begin(request.ip, normaliseEmail(email));
      const user = await users.authenticate(email, password);
      if (user === null) throw new SwitchyardError('LOGIN_FAILED', 'The email or the password is wrong.');
      succeed();
      const { token, expiresIn } = await tokens.issue(user);
      return { access_token: token, expires_in: expiresIn, user };
    },
  );
}
