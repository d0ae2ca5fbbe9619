import type { Kysely } from 'kysely';
import type { PluginMeta } from '../config.ts';
import type { Lifecycle, PluginContext } from '../context.ts';
import { plantCanaries, type Planted } from './canaries.ts';
import { describeThrown, must } from './case.ts';
import { schemaProblem } from './config-schema.ts';
import { testContext, type TestContext, type TestContextOptions } from './context.ts';
import type { KitOptions } from './options.ts';
import type { Scene } from './scene.ts';

/** What definitions of all kinds have in common. */
export interface Definition<Config, Instance extends Lifecycle> extends PluginMeta<Config> {
  readonly kind: 'source' | 'transform' | 'destination';
  validate?(config: Config): void;
  create(config: Config, context: PluginContext): Instance;
}

export interface Made<Instance> {
  readonly instance: Instance;
  readonly context: TestContext;
}

export interface StartOptions<Config> {
  readonly config?: Config;
  readonly context?: TestContextOptions;
}

/** The plugin under test, and how to bring an instance of it up for a case. */
export class Subject<Config, Instance extends Lifecycle> {
  readonly definition: Definition<Config, Instance>;
  readonly options: KitOptions<Config>;
  /** Every secret that an instance has been given so far. */
  readonly canaries = new Set<string>();
  /** The configuration for cases that need none in particular; may set up a receiver for the time of the scene. */
  readonly #everyday: (scene: Scene) => Config | Promise<Config>;

  constructor(
    definition: Definition<Config, Instance>,
    options: KitOptions<Config>,
    everyday?: (scene: Scene) => Config | Promise<Config>,
  ) {
    this.definition = definition;
    this.options = options;
    this.#everyday = everyday ?? (() => options.config ?? definition.examples[0].config);
  }

  get declaresDatabase(): boolean {
    return this.definition.requires?.includes('database') ?? false;
  }

  /** What the schema or `validate` has against a configuration, in one line. */
  problemOf(config: Config): string | null {
    const problem = schemaProblem(this.definition.config, config);
    if (problem !== null) return problem;
    try {
      this.definition.validate?.(config);
      return null;
    } catch (error) {
      return describeThrown(error);
    }
  }

  /** Fills every secret with something that can be found again, and remembers what. */
  plant(config: Config): Planted<Config> {
    const fits = (candidate: Config): boolean => this.problemOf(candidate) === null;
    const planted = plantCanaries(this.definition.config, config, this.options.secrets ?? {}, fits);
    for (const canary of planted.canaries) this.canaries.add(canary);
    return planted;
  }

  async everydayConfig(scene: Scene): Promise<Config> {
    return this.plant(await this.#everyday(scene)).config;
  }

  async contextOptions(overrides: TestContextOptions = {}): Promise<TestContextOptions> {
    return { ...this.options.context, ...(await this.#database()), ...overrides };
  }

  /** Created, not opened. Closed at the end of the scene. */
  async make(scene: Scene, options: StartOptions<Config> = {}): Promise<Made<Instance>> {
    const config = options.config === undefined ? await this.everydayConfig(scene) : this.plant(options.config).config;
    const context = testContext(await this.contextOptions(options.context));
    scene.evidence.add('the log', context.recorded.logs);
    const instance = await scene.hear('create', () => this.definition.create(config, context));
    scene.defer(() => instance.close?.(new AbortController().signal));
    return { instance, context };
  }

  /** Created and opened, as core does before anything else. Closed at the end of the scene. */
  async start(scene: Scene, options: StartOptions<Config> = {}): Promise<Made<Instance>> {
    const made = await this.make(scene, options);
    await scene.hear('open', () => made.instance.open?.(scene.signal));
    return made;
  }

  async #database(): Promise<{ readonly database?: Kysely<unknown> }> {
    if (!this.declaresDatabase) return {};
    must(
      this.options.database !== undefined,
      "the plugin declares requires: ['database']; give the kit one through options.database",
    );
    return { database: await this.options.database() };
  }
}
