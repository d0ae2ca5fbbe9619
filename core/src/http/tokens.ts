import { createSecretKey, type KeyObject } from 'node:crypto';
import { SignJWT, jwtVerify } from 'jose';
import { SwitchyardError } from '../errors.ts';

/** Who makes a request. */
export interface Caller {
  readonly id: string;
  readonly email: string;
}

const ISSUER = 'switchyard';
const AUDIENCE = 'switchyard-api';
/** RFC 9068: a token of another use, signed with the same secret, is no access token. */
const TYPE = 'at+jwt';
const ALGORITHM = 'HS256';
const LIFETIME_S = 900;
const MAX_LENGTH = 2048;

/** Short-lived access tokens. One algorithm: a token's own header never decides how it is checked. */
export class AccessTokens {
  private readonly secret: KeyObject;

  constructor(
    secret: Uint8Array,
    private readonly now: () => number = Date.now,
  ) {
    this.secret = createSecretKey(secret);
  }

  async issue(user: Caller): Promise<{ readonly token: string; readonly expiresIn: number }> {
    const issuedAt = Math.floor(this.now() / 1000);
    const token = await new SignJWT({ email: user.email })
      .setProtectedHeader({ alg: ALGORITHM, typ: TYPE })
      .setIssuer(ISSUER)
      .setAudience(AUDIENCE)
      .setSubject(user.id)
      .setIssuedAt(issuedAt)
      .setExpirationTime(issuedAt + LIFETIME_S)
      .sign(this.secret);
    return { token, expiresIn: LIFETIME_S };
  }

  /** Throws `TOKEN_INVALID`, which does not say what was wrong with it: only its maker could use that. */
  async verify(token: string): Promise<Caller> {
    if (token.length <= MAX_LENGTH) {
      try {
        const { payload } = await jwtVerify(token, this.secret, {
          algorithms: [ALGORITHM],
          issuer: ISSUER,
          audience: AUDIENCE,
          typ: TYPE,
          requiredClaims: ['exp', 'iat', 'sub'],
          maxTokenAge: LIFETIME_S,
          currentDate: new Date(this.now()),
        });
        const { sub, email } = payload;
        if (typeof sub === 'string' && typeof email === 'string') return { id: sub, email };
      } catch {
        // Whatever it was, it is not a token of ours.
      }
    }
    throw new SwitchyardError(
      'TOKEN_INVALID',
      'The access token is malformed, expired or not ours: log in again (POST /api/v1/auth/login).',
    );
  }
}
