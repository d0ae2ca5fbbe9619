/**
 * Every error that Switchyard itself answers with or records, in one place. docs/errors.md documents each, and a test
 * holds the two against each other. A code that is retired is never used again. Plugins have codes of their own, documented with them.
 *
 * `status` is the HTTP status of an answer; null for what is only recorded (dead letters, logs, a start that fails).
 */
export const ERRORS = {
  // A request that cannot be read
  BODY_EMPTY: { status: 400, summary: 'The request has no body.' },
  BODY_TOO_LARGE: { status: 413, summary: 'The body, as sent or once inflated, is larger than the limit.' },
  BODY_ENCODING_INVALID: {
    status: 400,
    summary: 'The body says it is compressed, but it cannot be inflated, or it uses an encoding other than gzip.',
  },
  BODY_NOT_UTF8: { status: 400, summary: 'The body is not valid UTF-8.' },
  BODY_NOT_JSON: {
    status: 400,
    summary:
      'The body is not JSON, or holds what JSON can write but nothing can store (a NUL character, half of a surrogate pair, a number beyond 1e308).',
  },
  BODY_TOO_DEEP: { status: 400, summary: 'The body nests deeper than the limit.' },
  BODY_TOO_MANY_KEYS: { status: 400, summary: 'The body has more keys, or a longer key, than the limit.' },
  BODY_FORBIDDEN_KEY: { status: 400, summary: 'The body uses the key `__proto__` or `constructor.prototype`.' },
  BODY_TYPE_UNSUPPORTED: { status: 415, summary: 'The body is not declared as JSON.' },
  HEADERS_TOO_LARGE: { status: 431, summary: 'The headers of the request are larger than the limit.' },
  REQUEST_TIMEOUT: { status: 408, summary: 'The request did not arrive in time.' },
  REQUEST_INVALID: {
    status: 400,
    summary: 'A parameter or a field of the request is missing, unknown or of the wrong shape.',
  },
  NOT_FOUND: { status: 404, summary: 'There is no such route or object, or it is not yours to see.' },
  METHOD_NOT_ALLOWED: { status: 405, summary: 'The route exists, but not with this method.' },

  // Who asks
  KEY_INVALID: { status: 401, summary: 'The API key is missing, malformed, unknown or revoked.' },
  SOURCE_MISMATCH: {
    status: 403,
    summary: 'The API key belongs to a source of another type than this address serves.',
  },
  SOURCE_DISABLED: { status: 403, summary: 'The source that the API key belongs to is disabled.' },
  SOURCE_NOT_READY: {
    status: 503,
    summary: 'The source that the API key belongs to is still being opened, or cannot be started as it is configured.',
  },
  LOGIN_FAILED: { status: 401, summary: 'The email or the password is wrong.' },
  TOKEN_INVALID: {
    status: 401,
    summary: 'The access token is missing, malformed, expired or signed by somebody else.',
  },
  FORBIDDEN: { status: 403, summary: 'Your role in this project does not allow this.' },

  // Events
  EVENT_INVALID: { status: 400, summary: 'An event has a field that is missing, unknown or of the wrong shape.' },
  EVENT_TOO_LARGE: { status: 413, summary: 'One event is larger than the limit.' },
  BATCH_TOO_LARGE: { status: 413, summary: 'A batch holds more events than the limit.' },

  // Overload and outages: try again
  RATE_LIMITED: { status: 429, summary: 'Too many requests. Retry-After says when to try again.' },
  OVERLOADED: {
    status: 503,
    summary:
      'More events are waiting to be written than this process may hold in memory. Nothing of the request was stored; send it again.',
  },
  LOG_UNAVAILABLE: {
    status: 503,
    summary: 'The event log could not write to stable storage. Nothing was acknowledged; send it again.',
  },
  STORE_UNAVAILABLE: { status: 503, summary: 'The database does not answer. Events are still accepted.' },
  STOPPING: { status: 503, summary: 'This process is shutting down.' },
  INTERNAL: { status: 500, summary: 'A bug of ours. The log has the details under the request id.' },

  // Control plane
  PLUGIN_UNKNOWN: { status: 400, summary: 'No plugin of this kind and type is installed.' },
  CONFIG_INVALID: { status: 400, summary: 'The configuration does not fit the plugin. `details` names the fields.' },
  PIPELINE_INVALID: {
    status: 400,
    summary: 'The pipeline definition cannot run. `details` names the node and the field.',
  },
  PIPELINE_NOT_PUBLISHED: { status: 409, summary: 'The pipeline is not published, so it cannot be unpublished.' },
  NAME_TAKEN: { status: 409, summary: 'Another object of this kind in the project has this name.' },
  SOURCE_IN_USE: { status: 409, summary: 'A published pipeline still reads from the source.' },
  DESTINATION_IN_USE: { status: 409, summary: 'A published pipeline still delivers to the destination.' },
  QUERY_UNSUPPORTED: { status: 409, summary: 'No destination of the project can answer this query.' },

  // Recorded with an event
  PLUGIN_MISSING_OUTCOME: {
    status: null,
    summary: 'The plugin returned no outcome for this event. It is a bug of the plugin.',
  },
  PLUGIN_THREW: {
    status: null,
    summary: 'The plugin threw something that is none of the three errors. It is a bug of the plugin.',
  },
  TRANSFORM_BAD_OUTPUT: { status: null, summary: 'A transform emitted something that is not a valid event.' },
  WAITING_FOR_KEY: {
    status: null,
    summary: 'The destination keeps order, and an earlier event of the same key has not been delivered yet.',
  },
  NOT_TRIED: {
    status: null,
    summary: 'The event was not sent, because the process stopped or the destination was disabled first.',
  },
  TRANSFORM_UNAVAILABLE: {
    status: null,
    summary: 'A transform cannot run at the moment, for a reason that is not the event’s.',
  },
  PLUGIN_TIMED_OUT: {
    status: null,
    summary: 'A call of a plugin did not end in time; whether it has done its work is unknown.',
  },
  SECRET_UNREADABLE: {
    status: null,
    summary: 'A stored secret cannot be decrypted: ENCRYPTION_KEY is another one than when it was saved.',
  },
  ADDRESS_BLOCKED: { status: null, summary: 'The address is not public, and EGRESS_ALLOW does not open its range.' },
  URL_INVALID: { status: null, summary: 'The address is not one that a request can go to.' },
  HEADER_INVALID: { status: null, summary: 'A header that the plugin sets cannot be sent.' },
  DNS_NOT_FOUND: { status: null, summary: 'The name of the host does not exist.' },
  DNS_FAILED: { status: null, summary: 'The name server did not answer, or not usably.' },
  ADDRESS_UNREACHABLE: { status: null, summary: 'There is no way to the address from this machine.' },
  CONNECTION_REFUSED: { status: null, summary: 'Nobody listens at the address.' },
  CONNECTION_LOST: {
    status: null,
    summary: 'The connection ended before the answer was whole; the receiver may have taken the event.',
  },
  CONNECT_TIMEOUT: { status: null, summary: 'The connection was not made in time.' },
  TLS_FAILED: { status: null, summary: 'The receiver’s certificate or its TLS cannot be accepted.' },
  TIMED_OUT: { status: null, summary: 'The whole answer was not there in time.' },
  RESPONSE_INVALID: { status: null, summary: 'What came back is not HTTP, or its headers are too large.' },
  OUT_OF_SOCKETS: { status: null, summary: 'This machine has no sockets left.' },
  CLIENT_CLOSED: { status: null, summary: 'The process was stopping.' },
  REQUEST_FAILED: { status: null, summary: 'The request failed in a way that has no code of its own.' },

  // A start that fails
  SETTING_INVALID: {
    status: null,
    summary: 'An environment variable has a value that cannot be used, or one that is needed is missing.',
  },
  PLUGIN_NOT_LOADABLE: {
    status: null,
    summary: 'A plugin package was found but cannot be used: the message names the package, the reason and the fix.',
  },
  DATA_DIR_LOCKED: { status: null, summary: 'Another process has DATA_DIR open.' },
} as const satisfies Readonly<Record<string, { readonly status: number | null; readonly summary: string }>>;

export type ErrorCode = keyof typeof ERRORS;

/** A machine-readable place: which event of a batch, which field, which byte. */
export type ErrorDetails = Readonly<Record<string, unknown>>;

export class SwitchyardError extends Error {
  readonly code: ErrorCode;
  readonly details: ErrorDetails | undefined;

  /** `message` says what happened, where, and what to do. */
  constructor(code: ErrorCode, message: string, details?: ErrorDetails, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SwitchyardError';
    this.code = code;
    this.details = details;
  }

  get status(): number {
    return ERRORS[this.code].status ?? 500;
  }

  /** The shape of every error answer. */
  toBody(): { error: { code: ErrorCode; message: string; details?: ErrorDetails } } {
    const { code, message, details } = this;
    return { error: details === undefined ? { code, message } : { code, message, details } };
  }
}
