import type { ErrorObject } from 'ajv';
import { pointer } from './secret-fields.ts';
import type { FieldProblem } from './field-problem.ts';

type Fields = Readonly<Record<string, unknown>>;

/** What ajv found, as sentences for the person who fills in the form. Values are never repeated: they may be secrets. */
export function fieldProblems(errors: readonly ErrorObject[]): FieldProblem[] {
  const unions = errors.filter(isUnion);
  const top = errors.filter((error) => !unions.some((union) => union !== error && isBranchOf(union, error)));
  const problems = top.map((error) => ({ field: fieldOf(error), message: messageOf(error, errors) }));
  return problems.filter(
    (one, index) => problems.findIndex((other) => other.field === one.field && other.message === one.message) === index,
  );
}

function isUnion(error: ErrorObject): boolean {
  return error.keyword === 'anyOf' || error.keyword === 'oneOf';
}

/** ajv reports each branch that did not fit, and then the union. */
function isBranchOf(union: ErrorObject, error: ErrorObject): boolean {
  return error.schemaPath.startsWith(`${union.schemaPath}/`) && error.instancePath.startsWith(union.instancePath);
}

function fieldOf({ instancePath, keyword, params }: ErrorObject): string {
  const fields: Fields = params;
  const name =
    keyword === 'required'
      ? fields['missingProperty']
      : keyword === 'additionalProperties'
        ? fields['additionalProperty']
        : undefined;
  return typeof name === 'string' ? instancePath + pointer([name]) : instancePath;
}

function messageOf(error: ErrorObject, all: readonly ErrorObject[]): string {
  const params: Fields = error.params;
  switch (error.keyword) {
    case 'required':
      return 'is required';
    case 'additionalProperties':
      return `is not a field here; there are: ${known(error.parentSchema)}`;
    case 'enum':
      return `must be one of: ${words(params['allowedValues'])}`;
    case 'const':
      return `must be ${JSON.stringify(params['allowedValue'])}`;
    case 'format':
      return `must be a valid ${String(params['format'])}`;
    case 'anyOf':
    case 'oneOf':
      return unionMessage(error, all);
    default:
      return error.message ?? `breaks the rule "${error.keyword}"`;
  }
}

function unionMessage(union: ErrorObject, all: readonly ErrorObject[]): string {
  const branches: readonly unknown[] = Array.isArray(union.schema) ? union.schema : [];
  const constants = branches.flatMap((branch) =>
    typeof branch === 'object' && branch !== null && 'const' in branch ? [branch.const] : [],
  );
  if (constants.length > 0 && constants.length === branches.length) return `must be one of: ${words(constants)}`;
  const reasons = all
    .filter((error) => error !== union && isBranchOf(union, error) && !isUnion(error))
    .map((error) => `${fieldOf(error).slice(union.instancePath.length)} ${messageOf(error, all)}`.trim());
  return `fits none of the allowed forms: ${[...new Set(reasons)].join(', or ')}`;
}

function known(parent: unknown): string {
  const properties =
    typeof parent === 'object' && parent !== null && 'properties' in parent ? parent.properties : undefined;
  return typeof properties === 'object' && properties !== null ? Object.keys(properties).join(', ') : 'none';
}

function words(values: unknown): string {
  return Array.isArray(values) ? values.map(String).join(', ') : String(values);
}
