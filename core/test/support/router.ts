import path from 'node:path';
import { startRouter, type Router } from '../../src/router.ts';
import { readSettings } from '../../src/settings.ts';

export const API_KEY = 'sy_testkey000001_0123456789abcdefghijABCDEFGHIJ0123456789abc';
export const ADMIN = { email: 'admin@localhost', password: 'correct horse battery' } as const;
export const PLUGINS = path.join(import.meta.dirname, '../../../plugins');

/** A whole router on a free port, with short retry steps. Webhooks may reach loopback. */
export function aRouter(dataDir: string, env: Readonly<Record<string, string>> = {}): Promise<Router> {
  const settings = readSettings({
    PORT: '0',
    DATA_DIR: dataDir,
    EGRESS_ALLOW: '127.0.0.0/8',
    LOG_LEVEL: 'error',
    ADMIN_PASSWORD: ADMIN.password,
    BOOTSTRAP_API_KEY: API_KEY,
    ...env,
  });
  return startRouter({
    settings,
    pluginsDirectory: PLUGINS,
    schedule: [100, 200, 400],
    onMade: () => undefined,
    onFatal: (error) => {
      throw error;
    },
  });
}
