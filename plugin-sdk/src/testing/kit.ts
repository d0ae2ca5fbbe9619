import type { Lifecycle } from '../context.ts';
import type { DestinationDefinition } from '../destination.ts';
import type { SourceDefinition } from '../source.ts';
import type { TransformDefinition } from '../transform.ts';
import { Broken, ContractViolation, describeThrown, must, within, type Case, type CaseSpec } from './case.ts';
import { hasSecrets } from './config-schema.ts';
import { destinationCases } from './destination-cases.ts';
import { Evidence, formsOf } from './evidence.ts';
import type { DestinationKitOptions, KitOptions, SourceKitOptions, TransformKitOptions } from './options.ts';
import { Scene } from './scene.ts';
import { sourceCases } from './source-cases.ts';
import type { Subject } from './subject.ts';
import { transformCases } from './transform-cases.ts';

const DEADLINE_MS = 5000;

type AnyDefinition<Config> = SourceDefinition<Config> | TransformDefinition<Config> | DestinationDefinition<Config>;

/**
 * The whole contract as cases against one plugin. The cases are independent: any of them may run alone and in any order, one after the other.
 * A plugin that never answers fails its case at the deadline; only one that blocks the event loop can hold up the kit.
 */
export function contractCases<Config>(definition: SourceDefinition<Config>, options?: SourceKitOptions<Config>): Case[];
export function contractCases<Config>(
  definition: TransformDefinition<Config>,
  options?: TransformKitOptions<Config>,
): Case[];
export function contractCases<Config>(
  definition: DestinationDefinition<Config>,
  options?: DestinationKitOptions<Config>,
): Case[];
export function contractCases<Config>(definition: AnyDefinition<Config>, options: KitOptions<Config> = {}): Case[] {
  return casesOf(definition, options);
}

function casesOf<Config>(definition: AnyDefinition<Config>, options: KitOptions<Config>): Case[] {
  switch (definition.kind) {
    case 'source': {
      const { subject, cases } = sourceCases(definition, options);
      return assemble(subject, cases);
    }
    case 'transform': {
      const { subject, cases } = transformCases(definition, options);
      return assemble(subject, cases);
    }
    case 'destination': {
      const { subject, cases } = destinationCases(definition, options);
      return assemble(subject, cases);
    }
  }
}

function assemble<Config, Instance extends Lifecycle>(
  subject: Subject<Config, Instance>,
  specs: readonly CaseSpec<Scene>[],
): Case[] {
  const deadlineMs = subject.options.deadlineMs ?? DEADLINE_MS;
  const evidence = new Evidence();
  const done = new Set<CaseSpec<Scene>>();
  const perform = async (spec: CaseSpec<Scene>): Promise<void> => {
    done.add(spec);
    await runSpec(spec, new Scene(evidence), deadlineMs);
  };
  const all = [...specs];
  if (hasSecrets(subject.definition.config)) {
    all.push(
      secretsCase(subject, evidence, async () => {
        // Cases that ran before have left their evidence; how they ended is told by themselves.
        for (const spec of specs) if (!done.has(spec)) await perform(spec).catch(() => {});
      }),
    );
  }
  const waived = subject.options.waive ?? {};
  for (const name of Object.keys(waived)) {
    if (!all.some((spec) => spec.name === name))
      throw new Error(`There is no case "${name}" to waive. There are: ${all.map((spec) => spec.name).join('; ')}.`);
  }
  return all.map((spec) => {
    const reason = waived[spec.name];
    const run = {
      name: spec.name,
      rule: spec.rule,
      run: () => (specs.includes(spec) ? perform(spec) : runSpec(spec, new Scene(evidence), deadlineMs * specs.length)),
    };
    return reason === undefined ? run : { ...run, waived: reason };
  });
}

function secretsCase<Config, Instance extends Lifecycle>(
  subject: Subject<Config, Instance>,
  evidence: Evidence,
  runTheRest: () => Promise<void>,
): CaseSpec<Scene> {
  return {
    name: 'keeps its secrets',
    rule: 'A secret of the configuration appears in no log, result, error, exchange or check, in no encoding.',
    async body(scene) {
      await runTheRest();
      const planted = subject.plant(await subject.everydayConfig(scene));
      must(
        planted.unplanted.length === 0,
        `the kit found no value for the secret at ${planted.unplanted.join(', ')}: give one through options.secrets`,
      );
      must(
        planted.canaries.length > 0,
        'the configuration that is tried has no secret in it: give one that does through options.config',
      );
      const where = evidence.find([...subject.canaries].flatMap(formsOf));
      must(where === null, `a secret appeared in ${where ?? ''}`);
    },
  };
}

async function runSpec(spec: CaseSpec<Scene>, scene: Scene, deadlineMs: number): Promise<void> {
  try {
    await within(spec.body(scene), deadlineMs, () => new Broken(`it was not over after ${deadlineMs} ms`));
  } catch (error) {
    if (error instanceof Broken) throw new ContractViolation(spec, error.message);
    throw new ContractViolation(spec, `the plugin threw ${describeThrown(error)}`, error);
  } finally {
    await scene.end();
  }
}

/** What the kit needs of a test runner; Jest and Vitest have it as globals. */
interface Runner {
  describe(name: string, body: () => void): void;
  it: ((name: string, body: () => Promise<void>, timeoutMs: number) => void) & {
    skip(name: string, body: () => Promise<void>): void;
  };
}

/** Registers the whole contract with the test runner whose `describe` and `it` are global. */
export function testPlugin<Config>(definition: SourceDefinition<Config>, options?: SourceKitOptions<Config>): void;
export function testPlugin<Config>(
  definition: TransformDefinition<Config>,
  options?: TransformKitOptions<Config>,
): void;
export function testPlugin<Config>(
  definition: DestinationDefinition<Config>,
  options?: DestinationKitOptions<Config>,
): void;
export function testPlugin<Config>(definition: AnyDefinition<Config>, options: KitOptions<Config> = {}): void {
  const { describe, it } = globalThis as unknown as Partial<Runner>;
  if (describe === undefined || it === undefined)
    throw new Error('testPlugin needs global describe and it; without them, run the cases of contractCases yourself.');
  const cases = casesOf(definition, options);
  // Longer than the kit's own deadlines, which say what went wrong.
  const timeoutMs = (options.deadlineMs ?? DEADLINE_MS) * (cases.length + 1);
  describe(`the contract of the ${definition.kind} "${definition.type}"`, () => {
    for (const { name, waived, run } of cases) {
      if (waived === undefined) it(name, run, timeoutMs);
      else it.skip(`${name} (waived: ${waived})`, run);
    }
  });
}
