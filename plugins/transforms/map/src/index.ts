import {
  Type,
  defineTransform,
  emit,
  fail,
  isDeliveryError,
  type Event,
  type Static,
  type TransformOutcome,
} from '@switchyard/plugin-sdk';
import { applySteps } from './apply.ts';
import { StepConfig, readStep, type Step } from './steps.ts';

const Config = Type.Object(
  {
    steps: Type.Array(StepConfig, {
      title: 'Steps',
      description: 'Done one after the other. Paths are dotted: metadata.plan, user_id, context.ip_address.',
      minItems: 1,
      maxItems: 100,
    }),
  },
  { additionalProperties: false },
);

function outcomeOf(event: Event, steps: readonly Step[]): TransformOutcome {
  try {
    return emit(applySteps(event, steps));
  } catch (error) {
    if (isDeliveryError(error)) return fail(error);
    throw error;
  }
}

export default defineTransform<Static<typeof Config>>({
  type: 'map',
  title: 'Map',
  summary: 'Sets, copies, renames and removes fields of events',
  stability: 'stable',
  config: Config,
  configVersion: 1,
  examples: [
    {
      title: 'Tidy up and anonymise',
      config: {
        steps: [
          { rename: { 'metadata.Plan': 'metadata.plan' } },
          { set: { 'metadata.source': 'web' } },
          { remove: ['context.ip_address', 'metadata.email'] },
        ],
      },
    },
    {
      title: 'Keep two fields only',
      config: { steps: [{ copy: { 'metadata.customer': 'user_id' } }, { keep: ['metadata.plan', 'metadata.seats'] }] },
    },
  ],
  batch: { maxEvents: 500 },
  validate({ steps }) {
    for (const [index, step] of steps.entries()) readStep(step, index);
  },
  create(config) {
    const steps = config.steps.map(readStep);
    return { apply: (batch) => new Map(batch.map((event) => [event.id, outcomeOf(event, steps)])) };
  },
});
