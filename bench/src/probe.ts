import type { EmbeddedLog } from '../../core/src/log/embedded/embedded-log.ts';
type Log = typeof import('../../core/src/log/embedded/embedded-log.ts');
export async function f(): Promise<EmbeddedLog> {
  const m = (await import(new URL('../../core/dist/log/embedded/embedded-log.js', import.meta.url).href)) as Log;
  return m.EmbeddedLog.open({ directory: 'x', logger: console as never });
}
