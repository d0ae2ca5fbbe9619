import { ConfigError, PermanentError, RetryableError, type DeliveryError } from './errors.ts';
import type { HttpResponse } from './context.ts';

const DAY_MS = 86_400_000;

/**
 * `Retry-After` (RFC 9110, section 10.2.3) in milliseconds: seconds or an HTTP date. Undefined for anything else, for the past and for negative
 * numbers; at most a day, so that a broken receiver cannot park its events for a year.
 */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  const text = value.trim();
  if (/^\d{1,15}$/.test(text)) return Math.min(Number(text) * 1000, DAY_MS);
  if (!/^[A-Za-z]{3,9},? /.test(text)) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at) || at <= nowMs) return undefined;
  return Math.min(at - nowMs, DAY_MS);
}

/**
 * What a status means for delivery, or null when it was delivered (2xx).
 *
 * 401, 403, 404 and 410 speak of the destination, not of the event: credentials are wrong or the endpoint is gone, and every event would meet the
 * same answer, so the destination is paused and keeps its events. A redirect is never followed and is the owner's to
 * mend. Other 4xx speak of this event: sending it again changes nothing, except for 408, 425 and 429.
 */
export function errorFromStatus(response: HttpResponse, nowMs: number = Date.now()): DeliveryError | null {
  const { status } = response;
  if (status >= 200 && status < 300) return null;
  const code = `HTTP_${status}`;
  if (status === 401 || status === 403 || status === 404 || status === 410) {
    return new ConfigError(`The endpoint answered ${status}: check its address and credentials.`, { code });
  }
  if (status >= 300 && status < 400) {
    const location = response.headers['location'];
    return new ConfigError(
      `The endpoint answered ${status}${location === undefined ? '' : ` to ${location}`}: redirects are not followed, use the final address.`,
      { code },
    );
  }
  if (status >= 500 || status === 408 || status === 425 || status === 429) {
    const retryAfterMs = parseRetryAfter(response.headers['retry-after'], nowMs);
    return new RetryableError(
      `The endpoint answered ${status}.`,
      retryAfterMs === undefined ? { code } : { code, retryAfterMs },
    );
  }
  return new PermanentError(`The endpoint answered ${status}: it will not take this event.`, { code });
}
