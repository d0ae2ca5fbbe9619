import { ConfigError } from '@switchyard/plugin-sdk';
import { Ajv, type ValidateFunction } from 'ajv';
import ajvFormats from 'ajv-formats';
import { SwitchyardError } from '../errors.ts';
import { callAtOnce } from './call.ts';
import { fieldProblems } from './config-errors.ts';
import type { Definition } from './definition.ts';
import { configInvalid } from './field-problem.ts';
import { addressFields, keptSecrets, pointer } from './secret-fields.ts';
import { maskSecrets, type SecretBox } from './secrets.ts';

const compiled = new WeakMap<Definition, ValidateFunction>();

/** Compiles a plugin's schema, once. Throws what is not strict JSON Schema: an unknown keyword, a default that has no effect. */
export function compileConfig(definition: Definition): ValidateFunction {
  const known = compiled.get(definition);
  if (known !== undefined) return known;
  // A compiler for each plugin: one plugin's $id must not meet another's.
  const ajv = new Ajv({
    strict: true,
    strictRequired: false,
    allowUnionTypes: true,
    allErrors: true,
    verbose: true,
    useDefaults: true,
    logger: false,
  });
  ajvFormats.default(ajv);
  ajv.addVocabulary(['x-secret', 'x-advanced', 'x-widget']);
  const validate = ajv.compile(definition.config);
  compiled.set(definition, validate);
  return validate;
}

/**
 * A copy of a configuration in plain text with the schema's defaults filled in. Throws `CONFIG_INVALID` with what to mend in
 * `details.fields`; `PLUGIN_THREW` when the plugin's own `validate` throws anything but one of the three errors.
 */
export function validateConfig(definition: Definition, config: unknown): unknown {
  const validate = compileConfig(definition);
  const copy: unknown = config === undefined ? {} : JSON.parse(JSON.stringify(config));
  if (!validate(copy)) throw configInvalid(fieldProblems(validate.errors ?? []));
  if (definition.validate === undefined) return copy;
  const { kind, type } = definition;
  const result = callAtOnce({ kind, type, instance: null }, `"validate" of the ${kind} plugin "${type}"`, () =>
    definition.validate?.(copy),
  );
  if (result.ok) return copy;
  const { failure } = result;
  if (failure.reason === 'failed') throw configInvalid([{ field: '', message: withoutStop(failure.error.message) }]);
  throw failure.reason === 'bug'
    ? failure.error
    : new SwitchyardError('INTERNAL', `"validate" ended as "${failure.reason}".`);
}

/** Configurations on their way from the API into the database, from there to a plugin, and back to the API. */
export class PluginConfigs {
  readonly #secrets: SecretBox;
  readonly #addressProblem: (url: string) => string | null;

  /** `addressProblem` says what is wrong with an address that requests would go to; null when it may be reached. */
  constructor(secrets: SecretBox, addressProblem: (url: string) => string | null) {
    this.#secrets = secrets;
    this.#addressProblem = addressProblem;
  }

  /**
   * Checks what a person sent and gives back what to store. `previousSealed` is what is stored at present: a secret that was sent as
   * `{"set": true}` is taken from it. Throws `CONFIG_INVALID`.
   */
  accept(definition: Definition, config: unknown, instanceId: string, previousSealed?: unknown): unknown {
    const plain = this.#reportUnreadable(() =>
      this.#secrets.restore(config, definition.config, instanceId, previousSealed),
    );
    const valid = validateConfig(definition, plain);
    const problems = addressFields(definition.config, valid).flatMap(({ path, url }) => {
      const message = this.#addressProblem(url);
      return message === null ? [] : [{ field: pointer(path), message: withoutStop(message) }];
    });
    if (problems.length > 0) throw configInvalid(problems);
    if (previousSealed !== undefined) assertSecretsStay(definition, config, valid, previousSealed);
    return this.#secrets.seal(valid, definition.config, instanceId);
  }

  /**
   * What is stored, in plain text and valid, for the plugin alone. Throws only `ConfigError`, also when a newer version of the
   * plugin no longer takes the configuration: it becomes the status of the instance.
   */
  open(definition: Definition, sealed: unknown, instanceId: string): unknown {
    const plain = this.#secrets.unseal(sealed, definition.config, instanceId);
    try {
      return validateConfig(definition, plain);
    } catch (error) {
      if (!(error instanceof SwitchyardError)) throw error;
      throw new ConfigError(error.message, { code: error.code, cause: error });
    }
  }

  /** What the API shows. */
  mask(definition: Definition, sealed: unknown): unknown {
    return maskSecrets(definition.config, sealed);
  }

  /** A secret that is to be kept but does not open: for the person who saves it is a field to fill in again. */
  #reportUnreadable<Value>(run: () => Value): Value {
    try {
      return run();
    } catch (error) {
      if (error instanceof ConfigError) throw configInvalid([{ field: '', message: withoutStop(error.message) }]);
      throw error;
    }
  }
}

/**
 * A stored secret goes only where it went before: who may change the address of a destination must not get to read its secret by sending it to a
 * server of their own.
 */
function assertSecretsStay(definition: Definition, sent: unknown, valid: unknown, previousSealed: unknown): void {
  const before = new Set(addressFields(definition.config, previousSealed).map(({ url }) => originOf(url)));
  if (addressFields(definition.config, valid).every(({ url }) => before.has(originOf(url)))) return;
  const kept = keptSecrets(definition.config, sent);
  if (kept.length === 0) return;
  throw configInvalid(
    kept.map((path) => ({ field: pointer(path), message: 'the address changed, so the secret must be sent again' })),
  );
}

const originOf = (url: string): string => (URL.canParse(url) ? new URL(url).origin : url);

function withoutStop(message: string): string {
  return message.replace(/\.$/, '');
}
