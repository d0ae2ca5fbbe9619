export { Type, type Static } from 'typebox';
export {
  SECRET_KEYWORD,
  Secret,
  type ConfigExample,
  type ConfigSchema,
  type PluginMeta,
  type Stability,
} from './config.ts';
export type {
  HttpClient,
  HttpRequest,
  HttpResponse,
  Lifecycle,
  Logger,
  Metrics,
  PluginContext,
  PluginState,
} from './context.ts';
export {
  defineDestination,
  delivered,
  failed,
  type BatchPosition,
  type CheckResult,
  type DeliveryBatch,
  type DeliveryItem,
  type DeliveryOutcome,
  type DeliveryOutcomes,
  type Destination,
  type DestinationCapabilities,
  type DestinationDefinition,
  type Exchange,
  type Ordering,
} from './destination.ts';
export {
  ConfigError,
  PermanentError,
  RetryableError,
  isDeliveryError,
  type DeliveryError,
  type FailureKind,
  type FailureOptions,
} from './errors.ts';
export type { Event, EventContext, EventDraft, EventId, EventOutput, Json, JsonObject } from './event.ts';
export { errorFromStatus, parseRetryAfter } from './http-status.ts';
export type { EventQuery, Page, SeriesPoint, SeriesQuery } from './query.ts';
export { isRawNumber, type RawNumber } from './raw-json.ts';
export {
  defineSource,
  type DraftResult,
  type PullSource,
  type PushSource,
  type Receipt,
  type SourceDefinition,
  type SourceReply,
  type SourceRequest,
  type SourceRoute,
} from './source.ts';
export {
  defineTransform,
  drop,
  emit,
  fail,
  type Transform,
  type TransformDefinition,
  type TransformOutcome,
  type TransformOutcomes,
} from './transform.ts';
export {
  claimIds,
  movePosition,
  readStore,
  storeBatch,
  storeScope,
  type BatchStore,
  type StoreWrite,
} from './store-batch.ts';
