import type { Json } from '../event.ts';
import type { DraftResult, Receipt, SourceReply } from '../source.ts';
import { anEventId } from './events.ts';
import { jsonProblem } from './json-value.ts';

/** All stored, none stored, and each one alone not stored. */
export function mixesOf(count: number): readonly (readonly DraftResult[])[] {
  const mix = (failed: (index: number) => boolean): DraftResult[] =>
    Array.from({ length: count }, (_, index) =>
      failed(index)
        ? { ok: false, error: { code: 'KIT_REFUSED', message: `The kit refused draft number ${index}.` } }
        : { ok: true, id: anEventId() },
    );
  const single =
    count === 1 ? [] : Array.from({ length: Math.min(count, 20) }, (_, failed) => mix((index) => index === failed));
  return [mix(() => false), mix(() => true), ...single];
}

export function summaryOf(results: readonly DraftResult[]): string {
  return `${results.filter((result) => result.ok).length} of ${results.length} drafts stored`;
}

export function claimsByStatusOrError(reply: SourceReply, index: number, results: readonly DraftResult[]): boolean {
  const result = results[index];
  if (result === undefined || result.ok || reply.status >= 400) return false;
  const text = JSON.stringify(reply.body);
  return !text.includes(result.error.code) && !text.includes(result.error.message);
}

export function idsIn(body: Json): readonly string[] {
  return JSON.stringify(body).match(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi) ?? [];
}

export function receiptProblem(receipt: Receipt): string | null {
  switch (receipt.action) {
    case 'accept':
      if (!Array.isArray(receipt.drafts)) return 'the drafts of the receipt are no array';
      return typeof receipt.reply === 'function' ? null : 'the receipt has no reply';
    case 'reject':
      if (!Number.isInteger(receipt.status) || receipt.status < 400 || receipt.status > 599)
        return `it is rejected with the status ${receipt.status}`;
      if (!/^[A-Z][A-Z0-9_]*$/.test(receipt.code))
        return `it is rejected with the code ${JSON.stringify(receipt.code)}, which is not in UPPER_SNAKE`;
      return receipt.message.trim() === '' ? 'it is rejected without a message' : null;
    case 'challenge':
      return replyProblem(receipt.reply);
    default:
      return `the receipt has the action ${JSON.stringify((receipt as { readonly action: unknown }).action)}`;
  }
}

export function replyProblem(reply: SourceReply): string | null {
  if (!Number.isInteger(reply.status) || reply.status < 200 || reply.status > 599)
    return `the reply has the status ${reply.status}`;
  if (reply.status >= 300 && reply.status < 400)
    return `the reply has the status ${reply.status}: clients take a redirect for success`;
  for (const [name, value] of Object.entries(reply.headers ?? {})) {
    if (!/^[A-Za-z0-9-]+$/.test(name) || typeof value !== 'string' || /[\r\n\0]/.test(value))
      return `the reply's header ${JSON.stringify(name)} is not well-formed`;
  }
  const problem = jsonProblem(reply.body, 'body');
  return problem === null ? null : `in the reply, ${problem}`;
}
