import path from 'node:path';
import { SwitchyardError } from '../src/errors.ts';
import { readSettings } from '../src/settings.ts';

function problemOf(env: Record<string, string>): string {
  try {
    readSettings(env);
  } catch (error) {
    if (error instanceof SwitchyardError && error.code === 'SETTING_INVALID') return error.message;
    throw error;
  }
  throw new Error('The settings were accepted.');
}

describe('settings', () => {
  it('need nothing: an empty environment starts everything on the embedded stores', () => {
    expect(readSettings({})).toEqual({
      host: '127.0.0.1',
      port: 3000,
      dataDir: path.resolve('data'),
      databaseUrl: null,
      roles: ['ingest', 'worker', 'console'],
      adminEmail: 'admin@localhost',
      adminPassword: null,
      bootstrapApiKey: null,
      jwtSecret: null,
      encryptionKey: null,
      egressAllow: [],
      plugins: [],
      logLevel: 'info',
      ingestMaxBodyBytes: 1_048_576,
      ingestMaxBatch: 500,
      notices: [],
    });
  });

  it('take an empty variable for an unset one, as compose files pass it on', () => {
    expect(readSettings({ PORT: '', DATABASE_URL: ' ', ROLES: '', REDIS_URL: '', JWT_SECRET: '' })).toEqual(
      readSettings({}),
    );
  });

  it('are read and brought into one form', () => {
    const settings = readSettings({
      HOST: '0.0.0.0',
      PORT: '0',
      DATA_DIR: '/var/lib/switchyard/',
      DATABASE_URL: 'postgresql://user:secret@db:5432/switchyard',
      ADMIN_EMAIL: 'ops@example.com',
      ADMIN_PASSWORD: ' with spaces ',
      BOOTSTRAP_API_KEY: 'sy_dev_0123456789abcdef',
      JWT_SECRET: 'j'.repeat(32),
      ENCRYPTION_KEY: 'é'.repeat(16),
      EGRESS_ALLOW: '10.0.0.0/8, fd00::/8,127.0.0.1',
      PLUGINS: './mine, /opt/plugin,@acme/destination-x',
      LOG_LEVEL: 'DEBUG',
      INGEST_MAX_BODY_BYTES: '2048',
      INGEST_MAX_BATCH: '10',
    });
    expect(settings).toMatchObject({
      host: '0.0.0.0',
      port: 0,
      dataDir: '/var/lib/switchyard',
      databaseUrl: 'postgresql://user:secret@db:5432/switchyard',
      adminEmail: 'ops@example.com',
      adminPassword: ' with spaces ',
      egressAllow: ['10.0.0.0/8', 'fd00::/8', '127.0.0.1/32'],
      plugins: ['./mine', '/opt/plugin', '@acme/destination-x'],
      logLevel: 'debug',
      ingestMaxBodyBytes: 2048,
      ingestMaxBatch: 10,
    });
  });

  it('cannot be changed afterwards', () => {
    const settings = readSettings({});
    expect(Object.isFrozen(settings)).toBe(true);
    expect(Object.isFrozen(settings.roles)).toBe(true);
  });

  it.each([
    ['PORT', '65536', 'PORT="65536": must be a whole number from 0 to 65535.'],
    ['PORT', '3e3', 'whole number'],
    ['PORT', '-1', 'whole number'],
    ['HOST', 'http://localhost', 'HOST="http://localhost": must be an IP address or a host name'],
    ['ROLES', 'ingest,works', 'must be one or more of ingest, worker, console'],
    ['ROLES', ',', 'must be one or more of'],
    ['ADMIN_EMAIL', 'admin', 'must be an email address'],
    ['LOG_LEVEL', 'verbose', 'must be one of debug, info, warn, error, silent'],
    [
      'EGRESS_ALLOW',
      '10.0.0.5/8',
      '"10.0.0.5/8" has bits set behind its prefix. Write 10.0.0.0/8 for the range or 10.0.0.5 for the one address.',
    ],
    ['EGRESS_ALLOW', '10.1/16', '"10.1/16" is not a range in CIDR notation'],
    ['EGRESS_ALLOW', '10.0.0.0/33', 'not a range'],
    ['EGRESS_ALLOW', 'localhost', 'not a range'],
    ['PLUGINS', 'Not A Package', 'is neither a path'],
    ['INGEST_MAX_BATCH', '0', 'INGEST_MAX_BATCH="0": must be a whole number from 1 to 10000.'],
    ['INGEST_MAX_BODY_BYTES', '1MB', 'INGEST_MAX_BODY_BYTES="1MB": must be a whole number'],
  ])('%s=%s is refused with what is allowed', (name, value, expected) => {
    expect(problemOf({ [name]: value })).toContain(expected);
  });

  it.each([
    ['DATABASE_URL', 'mysql://root:hunter2@db/x'],
    ['ADMIN_PASSWORD', 'hunter2'],
    ['BOOTSTRAP_API_KEY', 'hunter2'],
    ['JWT_SECRET', 'hunter2'],
    ['ENCRYPTION_KEY', 'hunter2'],
    ['REDIS_URL', 'redis://:hunter2@cache'],
    ['EVENT_STORE_URLS', 'postgres://root:hunter2@db/x'],
  ])('%s is refused by name; its value is not repeated', (name, value) => {
    const message = problemOf({ [name]: value });
    expect(message).toContain(name);
    expect(message).not.toContain('hunter2');
  });

  it('report all problems together', () => {
    const message = problemOf({ PORT: 'x', LOG_LEVEL: 'x', JWT_SECRET: 'short' });
    expect(message).toContain('3 settings');
    for (const name of ['PORT', 'LOG_LEVEL', 'JWT_SECRET']) expect(message).toContain(`\n  - ${name}`);
  });

  it('refuse a variable that would silently do nothing where events depend on it', () => {
    expect(problemOf({ REDIS_URL: 'redis://cache' })).toMatch(
      /REDIS_URL: this version keeps the event log in DATA_DIR only.*Unset REDIS_URL/,
    );
    expect(problemOf({ EVENT_STORE_URLS: 'postgres://a/b' })).toMatch(/EVENT_STORE_URLS: .*Unset EVENT_STORE_URLS/);
  });

  it('refuse roles in several processes that share nothing, and say what is missing', () => {
    expect(problemOf({ ROLES: 'ingest' })).toContain('REDIS_URL and DATABASE_URL are not set');
    expect(problemOf({ ROLES: 'worker,console', DATABASE_URL: 'postgres://a/b' })).toContain('REDIS_URL is not set');
    expect(readSettings({ ROLES: 'console, worker, ingest' }).roles).toEqual(['ingest', 'worker', 'console']);
  });

  it('tell of a variable that other programs share and that has no effect here', () => {
    expect(readSettings({ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://collector:4318' }).notices).toEqual([
      expect.stringContaining('OTEL_EXPORTER_OTLP_ENDPOINT'),
    ]);
  });

  it('cut a value that would flood the terminal and escape control characters', () => {
    const message = problemOf({ LOG_LEVEL: `\u001b[2J${'x'.repeat(10_000)}` });
    expect(message.length).toBeLessThan(400);
    expect(message).not.toContain('\u001b');
  });
});
