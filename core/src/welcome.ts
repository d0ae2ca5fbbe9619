import type { Settings } from './settings.ts';
import type { Bootstrapped } from './bootstrap/bootstrap.ts';

/** Generated credentials are shown at the start that made them and never again: the database holds only their hashes. */
export function credentials(made: Bootstrapped): readonly string[] {
  return [
    '',
    `  Log in as   ${made.email}`,
    `  Password    ${made.generatedPassword ?? '(the one that you set)'}`,
    ...(made.apiKey === null ? [] : [`  API key     ${made.apiKey}`]),
    '',
    '  These are shown this once: keep them.',
  ];
}

/** What a person sees when the router is ready. */
export function welcome(address: string, made: Bootstrapped | null, { notices }: Pick<Settings, 'notices'>): string {
  const lines = ['', `  Switchyard is ready: ${address}`];
  if (made !== null) {
    lines.push(...credentials(made));
    if (made.apiKey !== null)
      lines.push(
        '',
        '  Send your first event:',
        '',
        `  curl ${address}/api/v1/events -H 'Authorization: Bearer ${made.apiKey}' -d '${EXAMPLE}'`,
      );
  }
  for (const notice of notices) lines.push('', `  Note: ${notice}`);
  return `${lines.join('\n')}\n\n`;
}

const EXAMPLE = '{"event_name":"user_signed_up","user_id":"42","metadata":{"plan":"pro"}}';
