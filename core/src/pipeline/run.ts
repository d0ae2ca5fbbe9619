import {
  isDeliveryError,
  type DeliveryError,
  type Event,
  type EventId,
  type EventOutput,
  type TransformOutcome,
  type TransformOutcomes,
} from '@switchyard/plugin-sdk';
import { PermanentError } from '@switchyard/plugin-sdk';
import { derivedEventId } from '../event/ids.ts';
import { deepFreeze } from '../event/freeze.ts';
import type { LogEvent } from '../log/event-log.ts';
import type { Plan, PlanStep } from './compile.ts';
import { outputEvent } from './output.ts';

/** What one call may make of one event: more than any list within an event has items, less than what fills the memory. */
const MAX_OUTPUTS = 10_000;
const MAX_REASON = 500;

/** A transform that is open, as the runner calls it. */
export interface RunningTransform {
  readonly maxEvents: number;
  /** Rejects only for the whole batch; every id that was given is in the result. */
  apply(batch: readonly Event[], signal: AbortSignal): Promise<TransformOutcomes>;
}

/** `apply` threw something that is none of the three errors: some event of the batch provokes it. */
export class TransformBug extends Error {
  readonly kind = 'bug';
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

interface PlanFailure {
  readonly node: string;
  readonly error: DeliveryError | TransformBug;
}

/**
 * What a plan made of one event: outputs, or, when any branch failed, failures alone. Without either it was filtered, by `drops`.
 */
export interface PlanResult {
  readonly outputs: readonly Event[];
  readonly failures: readonly PlanFailure[];
  /** Node and reason of each branch that ended. */
  readonly drops: readonly string[];
}

/** An event on its way through a plan. `path` tells apart the several that come of one. */
interface Token {
  readonly root: number;
  readonly event: Event;
  readonly path: string;
}

interface Draft {
  readonly tokens: Token[];
  readonly failures: PlanFailure[];
  readonly drops: string[];
}

/**
 * Walks events through a plan, each transform in batches. The result has one entry an event, in order; events of sources that do not lead to
 * the destination must not be among them.
 *
 * Pure as far as the transforms are: run again it gives the same ids, so a redelivery is recognised by its receiver.
 * Rejects when a transform failed as a whole for a reason that is not the events' (it may be tried again), or when `signal` aborts.
 */
export async function runPlan(
  plan: Plan,
  transforms: ReadonlyMap<string, RunningTransform>,
  events: readonly LogEvent[],
  signal: AbortSignal,
): Promise<readonly PlanResult[]> {
  const drafts = events.map((): Draft => ({ tokens: [], failures: [], drops: [] }));
  const emitted = new Map<string, Token[]>();
  for (const id of plan.entries.values()) emitted.set(id, []);
  for (const [root, { source, event }] of events.entries()) {
    emitted.get(plan.entries.get(source) ?? '')?.push({ root, event, path: '' });
  }
  for (const step of plan.steps)
    emitted.set(step.node.id, await runStep(step, transforms, collect(step.inputs, emitted), drafts, signal));
  for (const token of collect(plan.inputs, emitted)) drafts[token.root]?.tokens.push(token);
  return drafts.map(({ tokens, failures, drops }, root) => ({
    // Nothing is sent until every branch has an end: an output that went ahead could turn out to be the only one, and would get another id.
    outputs: failures.length > 0 ? [] : finalEvents(tokens, events[root]?.event),
    failures,
    drops,
  }));
}

/** The tokens of several nodes; one that comes unchanged by two ways is one. */
function collect(inputs: readonly string[], emitted: ReadonlyMap<string, readonly Token[]>): readonly Token[] {
  if (inputs.length === 1) return emitted.get(inputs[0] ?? '') ?? [];
  const seen = new Set<Event>();
  const tokens: Token[] = [];
  for (const input of inputs) {
    for (const token of emitted.get(input) ?? []) {
      if (seen.has(token.event)) continue;
      seen.add(token.event);
      tokens.push({ ...token, path: `${token.path}/${input}` });
    }
  }
  return tokens;
}

async function runStep(
  step: PlanStep,
  transforms: ReadonlyMap<string, RunningTransform>,
  inputs: readonly Token[],
  drafts: readonly Draft[],
  signal: AbortSignal,
): Promise<Token[]> {
  const { id } = step.node;
  const transform = transforms.get(id);
  if (transform === undefined) throw new Error(`The transform "${id}" is not open.`);
  const out: Token[] = [];
  const left = [...batches(withOwnIds(inputs), transform.maxEvents)].reverse();
  for (let batch = left.pop(); batch !== undefined; batch = left.pop()) {
    signal.throwIfAborted();
    let outcomes: TransformOutcomes;
    try {
      outcomes = await transform.apply(
        batch.map(({ event }) => event),
        signal,
      );
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof TransformBug)) throw error;
      // Halved until the event that provokes it stands alone.
      const half = Math.ceil(batch.length / 2);
      if (batch.length > 1) left.push(batch.slice(half), batch.slice(0, half));
      else for (const { root } of batch) drafts[root]?.failures.push({ node: id, error });
      continue;
    }
    // A transform that does not look at its signal gives an answer all the same.
    signal.throwIfAborted();
    for (const token of batch) {
      const draft = drafts[token.root];
      if (draft === undefined) continue;
      const outcome = outcomes.get(token.event.id);
      if (outcome === undefined)
        draft.failures.push({
          node: id,
          error: new PermanentError(`The transform "${id}" returned no outcome for the event.`, {
            code: 'PLUGIN_MISSING_OUTCOME',
          }),
        });
      else settle(outcome, token, id, draft, out);
    }
  }
  return out;
}

function settle(outcome: TransformOutcome, token: Token, node: string, draft: Draft, out: Token[]): void {
  if (outcome.action === 'drop') draft.drops.push(`${node}: ${legible(outcome.reason)}`);
  else if (outcome.action === 'fail') {
    const { error } = outcome;
    draft.failures.push({
      node,
      error: isDeliveryError(error)
        ? error
        : new PermanentError(`The transform "${node}" failed with something that is not an error.`, {
            code: 'PLUGIN_THREW',
          }),
    });
  } else if (outcome.events.length === 0) draft.drops.push(`${node}: emitted nothing`);
  else if (outcome.events.length > MAX_OUTPUTS) {
    draft.failures.push({
      node,
      error: badOutput(node, `${outcome.events.length} events, and one event may become at most ${MAX_OUTPUTS}.`),
    });
  } else {
    const several = outcome.events.length > 1;
    for (const [index, output] of outcome.events.entries()) {
      const path = several ? `${token.path}/${node}:${index}` : token.path;
      const made = output === token.event && !several ? token.event : makeEvent(output, token.event, path, several);
      if (typeof made === 'string')
        draft.failures.push({ node, error: badOutput(node, `something that is not a valid event: ${made}`) });
      else out.push({ root: token.root, event: made, path });
    }
  }
}

const badOutput = (node: string, what: string): DeliveryError =>
  new PermanentError(`The transform "${node}" emitted ${what}`, { code: 'TRANSFORM_BAD_OUTPUT' });

/** A reason is counted by and stored as text. */
const legible = (reason: string): string => reason.slice(0, MAX_REASON).replaceAll('\u0000', '\ufffd').toWellFormed();

function makeEvent(output: EventOutput, parent: Event, path: string, several: boolean): Event | string {
  const made = outputEvent(output, parent, several ? derivedEventId(parent.id, path) : parent.id);
  return typeof made === 'string' ? made : deepFreeze(made);
}

/** A transform sees ids that differ; two versions of one event that meet at a node get ids of their own for that. */
function withOwnIds(tokens: readonly Token[]): readonly Token[] {
  const seen = new Set<EventId>();
  return tokens.map((token) => {
    const { event, path } = token;
    if (!seen.has(event.id)) {
      seen.add(event.id);
      return token;
    }
    let id = event.id;
    while (seen.has(id)) id = derivedEventId(id, path);
    seen.add(id);
    return { ...token, event: Object.freeze({ ...event, id }) };
  });
}

/** A single output is the event itself, under its own id. Several get ids that follow from the event's and from their ways. */
function finalEvents(tokens: readonly Token[], root: Event | undefined): readonly Event[] {
  if (root === undefined) return [];
  const [only] = tokens;
  if (tokens.length === 1 && only !== undefined)
    return [only.event.id === root.id ? only.event : Object.freeze({ ...only.event, id: root.id })];
  return tokens.map(({ event, path }) => Object.freeze({ ...event, id: derivedEventId(root.id, path) }));
}

function* batches<T>(items: readonly T[], size: number): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}
