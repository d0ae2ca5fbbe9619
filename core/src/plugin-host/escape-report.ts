import type { Logger } from '@switchyard/plugin-sdk';
import type { CoreMetrics } from '../observability/metrics.ts';
import { describe, stackOf } from './failure.ts';
import { FaultLog } from './fault-log.ts';
import type { EscapeHandlers } from './scope.ts';

/** Counts what plugins let go of outside of every call, and logs it once a while. Never throws, whatever was thrown. */
export function escapeReporter(logger: Logger, metrics: Pick<CoreMetrics, 'pluginFaults'>): EscapeHandlers['plugin'] {
  const log = new FaultLog(logger, () => undefined);
  return ({ kind, type, instance }, thrown) => {
    metrics.pluginFaults.inc({ kind, type, fault: 'escaped' });
    const whose = `The ${kind} plugin "${type}"${instance === null ? '' : ` (instance ${instance})`}`;
    const message = `${whose} let an error go outside of any call: ${describe(thrown)}. It is a bug of the plugin; nothing else is affected.`;
    log.note('escaped', 'none', message, stackOf(thrown));
  };
}
