import { setImmediate as nextTurn } from 'node:timers/promises';
import {
  PermanentError,
  Type,
  defineTransform,
  drop,
  emit,
  fail,
  type Event,
  type EventId,
  type Static,
  type TransformOutcome,
  type TransformOutcomes,
} from '@switchyard/plugin-sdk';
import { OverBudget } from './budget.ts';
import { checkRule, compileRule, type Evaluate } from './rule.ts';

/** Some milliseconds of work. An everyday rule needs about ten units. */
const UNITS_PER_EVENT = 50_000;
/** Beyond this, a batch lets others have their turn before it goes on. */
const UNITS_PER_TURN = 50_000;

const Config = Type.Object(
  {
    rule: Type.Unknown({
      title: 'Rule',
      description: 'JSON Logic over the event: events for which it is true pass, the others are dropped.',
      'x-widget': 'json',
    }),
  },
  { additionalProperties: false },
);

const FILTERED = drop('filtered by rule');

interface Judgement {
  readonly outcome: TransformOutcome;
  readonly units: number;
}

function judge(event: Event, evaluate: Evaluate): Judgement {
  try {
    const { value, units } = evaluate(event, UNITS_PER_EVENT);
    return { outcome: value ? emit(event) : FILTERED, units };
  } catch (error) {
    return { outcome: fail(errorOf(error)), units: UNITS_PER_EVENT };
  }
}

function errorOf(error: unknown): PermanentError {
  if (error instanceof OverBudget) {
    return new PermanentError(`The rule needs more than ${UNITS_PER_EVENT} steps for this event.`, {
      code: 'RULE_BUDGET',
    });
  }
  const message = error instanceof Error ? error.message : String(error);
  return new PermanentError(`The rule failed on this event: ${message}`, { code: 'RULE_FAILED', cause: error });
}

export default defineTransform<Static<typeof Config>>({
  type: 'filter',
  title: 'Filter',
  summary: 'Keeps the events that a JSON Logic rule is true for, and drops the others',
  stability: 'stable',
  config: Config,
  configVersion: 1,
  examples: [
    { title: 'Only sign-ups', config: { rule: { '==': [{ var: 'event_name' }, 'signup'] } } },
    {
      title: 'Paying customers, without our own tests',
      config: {
        rule: {
          and: [
            { in: [{ var: 'metadata.plan' }, ['pro', 'team']] },
            { '!': [{ in: ['@example.com', { var: ['user_id', ''] }] }] },
          ],
        },
      },
    },
  ],
  batch: { maxEvents: 200 },
  validate: ({ rule }) => checkRule(rule),
  create({ rule }) {
    const evaluate = compileRule(rule);

    const judgeFrom = (
      start: number,
      batch: readonly Event[],
      outcomes: Map<EventId, TransformOutcome>,
      signal: AbortSignal,
    ): TransformOutcomes | Promise<TransformOutcomes> => {
      let spent = 0;
      for (const [offset, event] of batch.slice(start).entries()) {
        if (spent > UNITS_PER_TURN)
          return nextTurn(undefined, { signal }).then(() => judgeFrom(start + offset, batch, outcomes, signal));
        const { outcome, units } = judge(event, evaluate);
        outcomes.set(event.id, outcome);
        spent += units;
      }
      return outcomes;
    };
    return { apply: (batch, signal) => judgeFrom(0, batch, new Map(), signal) };
  },
});
