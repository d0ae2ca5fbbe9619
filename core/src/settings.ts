import { isIP } from 'node:net';
import path from 'node:path';
import ipaddr from 'ipaddr.js';
import { SwitchyardError } from './errors.ts';
import { LOG_LEVELS, type LogLevel } from './observability/logger.ts';
import { parseApiKey } from './store/api-key-format.ts';

const ROLES = ['ingest', 'worker', 'console'] as const;
type Role = (typeof ROLES)[number];

/** All that an operator can set. Nothing else in the process reads an environment variable of ours. */
export interface Settings {
  readonly host: string;
  /** 0 takes any free port: for tests. */
  readonly port: number;
  /** Absolute. */
  readonly dataDir: string;
  /** Null: the embedded database in `dataDir`. May hold a password. */
  readonly databaseUrl: string | null;
  readonly roles: readonly Role[];
  readonly adminEmail: string;
  /** Null: to be generated and shown once. */
  readonly adminPassword: string | null;
  /** Null: to be generated and shown once. */
  readonly bootstrapApiKey: string | null;
  /** Null: to be generated into `dataDir`; see secrets-file.ts. */
  readonly jwtSecret: string | null;
  /** Null: to be generated into `dataDir`; see secrets-file.ts. */
  readonly encryptionKey: string | null;
  /** CIDR notation with the host bits zero. */
  readonly egressAllow: readonly string[];
  /** Paths of plugin packages (absolute, or relative to the working directory) and package names. */
  readonly plugins: readonly string[];
  readonly logLevel: LogLevel;
  readonly ingestMaxBodyBytes: number;
  readonly ingestMaxBatch: number;
  /** What a person should be told at start: settings that are valid but have no effect. */
  readonly notices: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

const MEBIBYTE = 1024 * 1024;
const SECRET_MIN_BYTES = 32;
const PASSWORD_MIN_LENGTH = 8;
const HOST_NAME = /^(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$/;
const PACKAGE_NAME = /^(@[a-z0-9][a-z0-9._~-]*\/)?[a-z0-9][a-z0-9._~-]*$/;

/**
 * Reads and checks every setting. Throws one `SETTING_INVALID` that lists every problem, so that a person mends them in
 * one go; a value that may be a secret is never part of the message. An empty variable counts as unset, because that is how compose files
 * and shells pass on what they do not have.
 */
export function readSettings(env: Environment): Settings {
  const reader = new Reader(env);
  const settings: Settings = {
    host: reader.read('HOST', '127.0.0.1', host),
    port: reader.read('PORT', '3000', (text) => integer(text, 0, 65_535)),
    dataDir: path.resolve(reader.text('DATA_DIR') ?? './data'),
    databaseUrl: reader.secret('DATABASE_URL', databaseUrl),
    roles: reader.read('ROLES', ROLES.join(','), roles),
    adminEmail: reader.read('ADMIN_EMAIL', 'admin@localhost', email),
    adminPassword: reader.secret('ADMIN_PASSWORD', password),
    bootstrapApiKey: reader.secret('BOOTSTRAP_API_KEY', apiKey),
    jwtSecret: reader.secret('JWT_SECRET', longEnough),
    encryptionKey: reader.secret('ENCRYPTION_KEY', longEnough),
    egressAllow: reader.read('EGRESS_ALLOW', '', (text) => list(text).map(cidr)),
    plugins: reader.read('PLUGINS', '', (text) => list(text).map(pathOrPackage)),
    logLevel: reader.read('LOG_LEVEL', 'info', logLevel),
    ingestMaxBodyBytes: reader.read('INGEST_MAX_BODY_BYTES', String(MEBIBYTE), (text) =>
      integer(text, 1024, 64 * MEBIBYTE),
    ),
    ingestMaxBatch: reader.read('INGEST_MAX_BATCH', '500', (text) => integer(text, 1, 10_000)),
    notices: notices(reader),
  };
  refuseWhatIsNotThere(reader, settings);
  reader.finish();
  for (const value of Object.values(settings)) if (Array.isArray(value)) Object.freeze(value);
  return Object.freeze(settings);
}

/** Says what a value must be. The message completes "NAME=value: …". */
class Unusable extends Error {}

class Reader {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  text(name: string): string | undefined {
    const text = this.#env[name]?.trim();
    return text === '' ? undefined : text;
  }

  read<Value>(name: string, fallback: string, parse: (text: string) => Value): Value {
    const text = this.text(name) ?? fallback;
    try {
      return parse(text);
    } catch (error) {
      this.refuse(`${name}=${shown(text)}`, error);
      return parse(fallback);
    }
  }

  /** As it stands, spaces included: a password may begin with one. */
  secret(name: string, check: (text: string) => void): string | null {
    const text = this.#env[name];
    if (text === undefined || text.trim() === '') return null;
    try {
      check(text);
    } catch (error) {
      this.refuse(name, error);
    }
    return text;
  }

  refuse(what: string, error: unknown): void {
    if (!(error instanceof Unusable)) throw error;
    this.#problems.push(`${what}: ${error.message}`);
  }

  finish(): void {
    const [first, ...more] = this.#problems;
    if (first === undefined) return;
    const message =
      more.length === 0
        ? first
        : `${this.#problems.length} settings:${this.#problems.map((problem) => `\n  - ${problem}`).join('')}`;
    throw new SwitchyardError(
      'SETTING_INVALID',
      `Switchyard cannot start with these environment variables. ${message}`,
    );
  }
}

/** Keeps a pasted file or a control character out of the terminal. */
function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text);
}

/**
 * A set variable that does nothing would let a person believe that events are shared or replicated when they are not,
 * so the start is refused rather than the variable ignored.
 */
function refuseWhatIsNotThere(reader: Reader, settings: Settings): void {
  const redis = reader.text('REDIS_URL') !== undefined;
  if (redis) {
    reader.refuse(
      'REDIS_URL',
      new Unusable(
        'this version keeps the event log in DATA_DIR only and would not use Redis. Unset REDIS_URL and run one process.',
      ),
    );
  }
  if (reader.text('EVENT_STORE_URLS') !== undefined) {
    reader.refuse(
      'EVENT_STORE_URLS',
      new Unusable(
        'this version keeps the event archive in the one database and would not use further ones. Unset EVENT_STORE_URLS; DATABASE_URL names the database.',
      ),
    );
  }
  const missing = [...(redis ? [] : ['REDIS_URL']), ...(settings.databaseUrl === null ? ['DATABASE_URL'] : [])];
  if (settings.roles.length < ROLES.length && missing.length > 0) {
    reader.refuse(
      `ROLES=${shown(settings.roles.join(','))}`,
      new Unusable(
        `roles in different processes must share a log and a database, and ${missing.join(' and ')} ${missing.length === 1 ? 'is' : 'are'} not set. ` +
          'Unset ROLES to run everything in this process.',
      ),
    );
  }
}

function notices(reader: Reader): readonly string[] {
  if (reader.text('OTEL_EXPORTER_OTLP_ENDPOINT') === undefined) return [];
  return ['OTEL_EXPORTER_OTLP_ENDPOINT is set, but this version exports no traces: it has no effect.'];
}

function list(text: string): string[] {
  const items = text.split(',').map((item) => item.trim());
  return [...new Set(items.filter((item) => item !== ''))];
}

function integer(text: string, min: number, max: number): number {
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new Unusable(`must be a whole number from ${min} to ${max}.`);
  return value;
}

function host(text: string): string {
  if (isIP(text) === 0 && !HOST_NAME.test(text)) {
    throw new Unusable('must be an IP address or a host name, without port or scheme, such as 127.0.0.1 or 0.0.0.0.');
  }
  return text;
}

function roles(text: string): readonly Role[] {
  const wanted = list(text);
  const unknown = wanted.filter((name) => !ROLES.some((role) => role === name));
  if (unknown.length > 0 || wanted.length === 0)
    throw new Unusable(`must be one or more of ${ROLES.join(', ')}, separated by commas.`);
  return ROLES.filter((role) => wanted.includes(role));
}

function email(text: string): string {
  if (!/^[^\s@]{1,64}@[^\s@]{1,255}$/.test(text))
    throw new Unusable('must be an email address, such as admin@example.com.');
  return text;
}

function logLevel(text: string): LogLevel {
  const level = LOG_LEVELS.find((candidate) => candidate === text.toLowerCase());
  if (level === undefined) throw new Unusable(`must be one of ${LOG_LEVELS.join(', ')}.`);
  return level;
}

function cidr(text: string): string {
  const withPrefix = text.includes('/') ? text : `${text}/${isIP(text) === 6 ? 128 : 32}`;
  const address = withPrefix.slice(0, withPrefix.indexOf('/'));
  // isIP as well: the library also takes 10.1 and octal numbers, which people read differently.
  if (isIP(address) === 0 || !ipaddr.isValidCIDR(withPrefix)) {
    throw new Unusable(
      `${shown(text)} is not a range in CIDR notation. Write ranges such as 10.0.0.0/8 or fd00::/8, separated by commas.`,
    );
  }
  const [, bits] = ipaddr.parseCIDR(withPrefix);
  const network =
    isIP(address) === 6
      ? ipaddr.IPv6.networkAddressFromCIDR(withPrefix)
      : ipaddr.IPv4.networkAddressFromCIDR(withPrefix);
  const canonical = `${network.toString()}/${bits}`;
  if (ipaddr.parse(address).toString() !== network.toString()) {
    throw new Unusable(
      `${shown(text)} has bits set behind its prefix. Write ${canonical} for the range or ${address} for the one address.`,
    );
  }
  return canonical;
}

function pathOrPackage(text: string): string {
  if (text.startsWith('.') || path.isAbsolute(text) || PACKAGE_NAME.test(text)) return text;
  throw new Unusable(
    `${shown(text)} is neither a path (beginning with ./ or /) nor a package name. Separate several with commas.`,
  );
}

function databaseUrl(text: string): void {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    throw new Unusable(
      'must be a URL of the form postgres://user:password@host:5432/database (its value is not shown, it may hold a password).',
    );
  }
}

function password(text: string): void {
  if (text.length < PASSWORD_MIN_LENGTH)
    throw new Unusable(`must have at least ${PASSWORD_MIN_LENGTH} characters. Unset it to have one generated.`);
}

function apiKey(text: string): void {
  if (parseApiKey(text) === null) {
    throw new Unusable(
      'must look like sy_<id>_<secret>: an id of letters and digits, a secret of at least 16 letters, digits, - or _. Unset it to have one generated.',
    );
  }
}

function longEnough(text: string): void {
  if (Buffer.byteLength(text) < SECRET_MIN_BYTES) {
    throw new Unusable(
      `must have at least ${SECRET_MIN_BYTES} bytes; "openssl rand -base64 32" makes one. Unset it to have one generated into DATA_DIR.`,
    );
  }
}
