import { SwitchyardError } from '../errors.ts';

/** What is wrong with one field of a configuration. */
export interface FieldProblem {
  /** A JSON pointer, such as `/url`; empty for the configuration as a whole. */
  readonly field: string;
  /** Completes "FIELD …", such as "must be string". Never holds the field's value. */
  readonly message: string;
}

/** `CONFIG_INVALID` with `details.fields`, for a form to put each message beside its field. */
export function configInvalid(fields: readonly FieldProblem[]): SwitchyardError {
  const text = fields.map(({ field, message }) => (field === '' ? message : `${field} ${message}`)).join('; ');
  return new SwitchyardError('CONFIG_INVALID', `The configuration cannot be used: ${text}.`, { fields });
}
