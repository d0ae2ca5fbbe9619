import { ConfigError } from '@switchyard/plugin-sdk';
import { parse, type Program } from 'acorn';
import type { JavaScriptConfig } from './config.ts';

/** Looks at the code without running it. Throws `ConfigError` with the line and column of what is wrong. */
export function validate(config: JavaScriptConfig): void {
  const { body } = parsed(config.code);
  let exportsDefault = false;
  for (const statement of body) {
    if (
      statement.type === 'ImportDeclaration' ||
      statement.type === 'ExportAllDeclaration' ||
      (statement.type === 'ExportNamedDeclaration' && statement.source != null)
    ) {
      refuse(
        'TRANSFORM_IMPORT',
        'The code imports a module: there is nothing to import in the sandbox',
        statement.loc?.start,
      );
    }
    if (statement.type === 'ExportDefaultDeclaration') {
      exportsDefault = true;
      const { declaration } = statement;
      const isGenerator = 'generator' in declaration && declaration.generator;
      if (isGenerator || NEVER_FUNCTIONS.has(declaration.type)) {
        const what = isGenerator ? 'a generator' : 'not a function';
        refuse(
          'TRANSFORM_NO_FUNCTION',
          `The default export is ${what}: export a function that takes an event`,
          declaration.loc?.start,
        );
      }
    }
    if (statement.type === 'ExportNamedDeclaration') {
      exportsDefault ||= statement.specifiers.some(
        ({ exported }) => exported.type === 'Identifier' && exported.name === 'default',
      );
    }
  }
  if (!exportsDefault) {
    refuse(
      'TRANSFORM_NO_FUNCTION',
      'The code exports no function: begin with "export default function transform(event) {"',
    );
  }
}

const NEVER_FUNCTIONS: ReadonlySet<string> = new Set([
  'ArrayExpression',
  'ClassDeclaration',
  'ClassExpression',
  'Literal',
  'ObjectExpression',
  'TemplateLiteral',
]);

function parsed(code: string): Program {
  try {
    return parse(code, { ecmaVersion: 'latest', sourceType: 'module', locations: true });
  } catch (error) {
    if (error instanceof SyntaxError && 'loc' in error) {
      const message = error.message.replace(/ \(\d+:\d+\)$/, '');
      return refuse('TRANSFORM_SYNTAX', `The code does not parse: ${message}`, error.loc as Place);
    }
    if (error instanceof RangeError) return refuse('TRANSFORM_SYNTAX', 'The code is nested too deeply to be parsed');
    throw error;
  }
}

interface Place {
  readonly line: number;
  /** From 0. */
  readonly column: number;
}

function refuse(code: string, message: string, place?: Place): never {
  const where = place === undefined ? '' : `, at line ${place.line}, column ${place.column + 1}`;
  throw new ConfigError(`${message}${where}.`, { code });
}
