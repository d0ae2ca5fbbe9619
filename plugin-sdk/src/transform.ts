import type { PluginMeta } from './config.ts';
import type { Lifecycle, PluginContext } from './context.ts';
import type { DeliveryError } from './errors.ts';
import type { Event, EventId, EventOutput } from './event.ts';

/**
 * What became of one event: passed on as one or several, dropped with the reason a person will read, or failed.
 * There is no fourth way: an event is never passed on and flagged.
 */
export type TransformOutcome =
  | { readonly action: 'emit'; readonly events: readonly EventOutput[] }
  | { readonly action: 'drop'; readonly reason: string }
  | { readonly action: 'fail'; readonly error: DeliveryError };

/**
 * Passes the event on unchanged, changed, or as several: at least one, since an event does not end without a reason. Handing on the very object that came
 * in costs nothing.
 */
export function emit(...events: readonly EventOutput[]): TransformOutcome {
  return { action: 'emit', events };
}

/** Ends the event's way here. Drops are counted by `reason`, so it must not differ from event to event. */
export function drop(reason: string): TransformOutcome {
  return { action: 'drop', reason };
}

export function fail(error: DeliveryError): TransformOutcome {
  return { action: 'fail', error };
}

export type TransformOutcomes = ReadonlyMap<EventId, TransformOutcome>;

export interface Transform extends Lifecycle {
  /**
   * Called with one or more events whose ids differ; any number of calls may be under way. The result has an outcome for every id: a
   * missing one fails its event with `PLUGIN_MISSING_OUTCOME`. A throw fails the whole batch by the rules of the three errors.
   * After `signal` aborts, the result is not looked at.
   */
  apply(batch: readonly Event[], signal: AbortSignal): TransformOutcomes | Promise<TransformOutcomes>;
}

export interface TransformDefinition<Config> extends PluginMeta<Config> {
  readonly kind: 'transform';
  /** How many events one call gets at most. */
  readonly batch: { readonly maxEvents: number };
  /**
   * Looks at a configuration beyond what the schema can say (compiles a rule, parses code) without I/O; throws `ConfigError` with what is
   * wrong and where. Called when a pipeline is saved and again before `create`.
   */
  validate?(config: Config): void;
  /** Pure: no I/O, no timers. */
  create(config: Config, context: PluginContext): Transform;
}

export function defineTransform<Config>(
  definition: Omit<TransformDefinition<Config>, 'kind'>,
): TransformDefinition<Config> {
  return { kind: 'transform', ...definition };
}
