export { ContractViolation, type Case } from './case.ts';
export {
  testContext,
  type Door,
  type LogEntry,
  type MetricSample,
  type Recorded,
  type TestContext,
  type TestContextOptions,
} from './context.ts';
export { aBatch, aRequest, anEvent, anEventId, deepFreeze, hostileEvents } from './events.ts';
export {
  answer,
  dropConnection,
  dropMidBody,
  endlessBody,
  faultServer,
  neverAnswer,
  type Answer,
  type FaultServer,
  type ReceivedRequest,
  type Treatment,
} from './fault-server.ts';
export { testHttpClient, type TestHttpClientOptions } from './http-client.ts';
export { contractCases, testPlugin } from './kit.ts';
export type {
  DestinationKitOptions,
  HttpDestinationOptions,
  KitOptions,
  RequestSample,
  SourceKitOptions,
  TransformKitOptions,
} from './options.ts';
