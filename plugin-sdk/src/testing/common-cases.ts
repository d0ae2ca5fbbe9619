import type { Lifecycle } from '../context.ts';
import { isDeliveryError } from '../errors.ts';
import { describeThrown, must, settles, type CaseSpec } from './case.ts';
import { openObjects, schemaProblem, unknownKeywords } from './config-schema.ts';
import { sealedContext } from './context.ts';
import { observe } from './purity.ts';
import type { Scene } from './scene.ts';
import type { Subject } from './subject.ts';

const STABILITIES: ReadonlySet<unknown> = new Set(['experimental', 'stable', 'deprecated']);
const CLOSE_MS = 2000;

/** One everyday use of an instance: a transform applies, a destination delivers. */
export type Exercise<Instance> = (scene: Scene, instance: Instance) => Promise<void>;

/** What holds for plugins of every kind. */
export function commonCases<Config, Instance extends Lifecycle>(
  subject: Subject<Config, Instance>,
  exercise: Exercise<Instance>,
): CaseSpec<Scene>[] {
  return [...metaCases(subject), ...lifecycleCases(subject, exercise)];
}

function metaCases<Config, Instance extends Lifecycle>(subject: Subject<Config, Instance>): CaseSpec<Scene>[] {
  const { definition, options } = subject;
  const cases: CaseSpec<Scene>[] = [
    {
      name: 'says what it is',
      rule: 'A definition has a type of lower-case letters, digits and hyphens, a title, a summary of one sentence, a stability, a configVersion of 1 or more, and requires only doors that exist.',
      async body() {
        must(/^[a-z][a-z0-9]*(-[a-z0-9]+)*$/.test(definition.type), `the type is ${JSON.stringify(definition.type)}`);
        must(definition.title.trim() !== '', 'the title is empty');
        must(definition.summary.trim() !== '', 'the summary is empty');
        must(
          !/[.!?]\s+\S/.test(definition.summary) && !definition.summary.includes('\n'),
          `the summary is more than one sentence: ${definition.summary}`,
        );
        must(STABILITIES.has(definition.stability), `the stability is ${JSON.stringify(definition.stability)}`);
        must(
          Number.isInteger(definition.configVersion) && definition.configVersion >= 1,
          `configVersion is ${definition.configVersion}`,
        );
        const unknown = (definition.requires ?? []).filter((door) => door !== 'database');
        must(unknown.length === 0, `it requires ${unknown.join(', ')}, and there is no such door`);
      },
    },
    {
      name: 'takes no configuration key that it does not know',
      rule: 'The configuration schema is an object with additionalProperties: false, and so is every object in it that names its properties.',
      async body() {
        must((definition.config as { readonly type?: unknown }).type === 'object', 'the schema is not of type object');
        const open = openObjects(definition.config);
        must(open.length === 0, `additionalProperties: false is missing at ${open.join(', ')}`);
        const extended = { ...definition.examples[0].config, 'a-key-nobody-knows': 1 };
        must(
          schemaProblem(definition.config, extended) !== null,
          'the schema lets the key "a-key-nobody-knows" through',
        );
      },
    },
    {
      name: 'uses only schema keywords that core knows',
      rule: 'The schema uses JSON Schema keywords, x-secret, x-widget and x-advanced; core validates strictly and refuses a plugin with any other.',
      async body() {
        const unknown = unknownKeywords(definition.config);
        must(unknown.length === 0, `unknown keywords: ${unknown.join(', ')}`);
      },
    },
    {
      name: 'has examples that fit its own schema',
      rule: 'There is at least one example; each has a title, fits the schema, and is accepted by validate.',
      async body() {
        must(definition.examples.length > 0, 'there is no example');
        for (const { title, config } of definition.examples) {
          must(title.trim() !== '', 'an example has no title');
          const problem = subject.problemOf(config);
          must(problem === null, `the example "${title}" is refused: ${problem}`);
        }
      },
    },
  ];
  if (options.wrongConfigs !== undefined) {
    const wrong = options.wrongConfigs;
    cases.push({
      name: 'refuses wrong configurations',
      rule: 'What is wrong with a configuration is said by the schema, or by validate with a ConfigError.',
      async body() {
        for (const config of wrong) {
          const text = JSON.stringify(config)?.slice(0, 200);
          if (schemaProblem(definition.config, config) !== null) continue;
          let thrown: unknown;
          try {
            definition.validate?.(config as Config);
          } catch (error) {
            thrown = error;
          }
          must(thrown !== undefined, `neither the schema nor validate refuses ${text}`);
          must(
            isDeliveryError(thrown) && thrown.kind === 'config',
            `validate refuses ${text} with ${describeThrown(thrown)}, not with a ConfigError`,
          );
        }
      },
    });
  }
  return cases;
}

function lifecycleCases<Config, Instance extends Lifecycle>(
  subject: Subject<Config, Instance>,
  exercise: Exercise<Instance>,
): CaseSpec<Scene>[] {
  const { definition } = subject;
  const close = async (scene: Scene, instance: Instance, when: string): Promise<void> => {
    const end = await settles(
      scene.hear('close', () => instance.close?.(scene.signal)),
      CLOSE_MS,
      `close ${when} was not over after ${CLOSE_MS} ms`,
    );
    must(end.ok, `close ${when} failed: ${end.ok ? '' : describeThrown(end.error)}`);
  };
  const cases: CaseSpec<Scene>[] = [
    {
      name: 'creates an instance without I/O, timers or environment',
      rule: 'create is pure: no I/O, no timers, no environment variables, no global; it may keep references to the doors of its context, not use them.',
      async body(scene) {
        const config = await subject.everydayConfig(scene);
        const context = sealedContext(await subject.contextOptions());
        const { outcome, effects } = await observe(() => definition.create(config, context));
        must(outcome.ok, `create threw ${outcome.ok ? '' : describeThrown(outcome.error)}`);
        scene.defer(() => outcome.value.close?.(new AbortController().signal));
        must(effects.length === 0, `in create, ${effects.join('; ')}`);
        const used: string[] = [...context.recorded.doors].filter((door) => door !== 'database');
        if (context.recorded.queries.length > 0) used.push('database');
        must(used.length === 0, `create used context.${used.join(' and context.')}`);
      },
    },
    {
      name: 'can be closed twice',
      rule: 'close is idempotent: core may call it again.',
      async body(scene) {
        const { instance } = await subject.start(scene);
        await close(scene, instance, 'for the first time');
        await close(scene, instance, 'for the second time');
      },
    },
    {
      name: 'can be closed without having been opened',
      rule: 'close may be called without open, when open never succeeded.',
      async body(scene) {
        const { instance } = await subject.make(scene);
        await close(scene, instance, 'without open');
      },
    },
  ];
  if (!subject.declaresDatabase) {
    cases.push({
      name: 'leaves the database alone',
      rule: "A plugin that does not declare requires: ['database'] never reads context.database.",
      async body(scene) {
        const { instance, context } = await subject.start(scene);
        await exercise(scene, instance).catch(() => {});
        await close(scene, instance, 'after use');
        must(!context.recorded.doors.has('database'), 'it read context.database');
      },
    });
  }
  return cases;
}
