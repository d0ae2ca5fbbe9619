import type { Logger, PullSource, PushSource, Receipt, SourceDefinition, SourceRequest } from '@switchyard/plugin-sdk';
import { SwitchyardError } from '../errors.ts';
import type { CallResult } from '../plugin-host/failure.ts';
import type { PluginHost } from '../plugin-host/host.ts';
import type { PluginInstance } from '../plugin-host/instance.ts';
import type { KeyGrant } from '../store/api-keys.ts';

interface Running {
  readonly revision: number;
  readonly instance: PluginInstance<PushSource | PullSource>;
}

/** How long a request waits for a source that is being opened: nearly all are open in the same instant. */
const PATIENCE_MS = 1_000;
const CLOSE_MS = 5_000;

/**
 * One running instance of each push source that is in use: made at its first request, and again when its configuration changes. Until it is open, requests get
 * `SOURCE_NOT_READY`, which is worth a retry. What is wrong with a source is its owner's to know and not the sender's: it goes to the log.
 */
export class SourceInstances {
  private readonly running = new Map<string, Running>();

  constructor(
    private readonly host: Pick<PluginHost, 'source'>,
    private readonly logger: Logger,
  ) {}

  /** The source, open. Answers without a promise when it is. */
  get(definition: SourceDefinition<unknown>, { project, source }: KeyGrant): OpenSource | Promise<OpenSource> {
    let running = this.running.get(source.id);
    if (running === undefined || running.revision !== source.revision) {
      if (running !== undefined) void running.instance.close(CLOSE_MS);
      const identity = { project, id: source.id, name: source.name };
      running = { revision: source.revision, instance: this.host.source(definition, identity, source.config) };
      this.running.set(source.id, running);
      running.instance.start();
    }
    const { instance } = running;
    return instance.status.state === 'open'
      ? new OpenSource(instance, source.name, this.logger)
      : this.opened(instance, source.name);
  }

  async close(): Promise<void> {
    const all = [...this.running.values()];
    this.running.clear();
    await Promise.all(all.map(({ instance }) => instance.close(CLOSE_MS)));
  }

  private async opened(instance: PluginInstance<PushSource | PullSource>, name: string): Promise<OpenSource> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, PATIENCE_MS, 'late');
    });
    const state = await Promise.race([instance.ready, late]);
    clearTimeout(timer);
    if (state === 'open') return new OpenSource(instance, name, this.logger);
    throw notReady(name);
  }
}

const notReady = (name: string): SwitchyardError =>
  new SwitchyardError(
    'SOURCE_NOT_READY',
    `The source "${name}" cannot take requests at the moment: send the request again. If this lasts, its owner finds the reason in the log.`,
  );

/** Calls into a source's plugin, with every fault of it turned into an answer. */
export class OpenSource {
  constructor(
    private readonly instance: PluginInstance<PushSource | PullSource>,
    private readonly name: string,
    private readonly logger: Logger,
  ) {}

  receive(request: SourceRequest): Receipt {
    return this.answer(
      this.instance.callAtOnce('receive', (source) => {
        if (!('receive' in source)) throw new Error('has routes but no receive');
        return source.receive(request);
      }),
    );
  }

  /** Runs what a receipt left to be called later. */
  reply<Reply>(make: () => Reply): Reply {
    return this.answer(this.instance.callAtOnce('reply', make));
  }

  private answer<Value>(result: CallResult<Value>): Value {
    if (result.ok) return result.value;
    const { failure } = result;
    if (failure.reason === 'aborted' || failure.reason === 'not_open') throw notReady(this.name);
    this.logger.error('a source failed while it read a request', {
      source: this.instance.scope.instance,
      error: failure.error,
    });
    if (failure.reason === 'failed' && failure.error.kind === 'retryable') throw notReady(this.name);
    throw new SwitchyardError(
      'INTERNAL',
      `The source "${this.name}" failed while it read the request: it is a bug of its plugin.`,
      undefined,
      { cause: failure.error },
    );
  }
}
