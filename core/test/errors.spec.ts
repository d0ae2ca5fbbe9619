import { glob, readFile } from 'node:fs/promises';
import path from 'node:path';
import { ERRORS, SwitchyardError } from '../src/errors.ts';

/** `### \`CODE\` (400)`, what it means, and what to do. */
const ENTRY =
  /^### `(?<code>[A-Z0-9_]+)`(?: \((?<status>\d{3})\))?\n\n(?<summary>.+)\n\n\*\*Do:\*\* (?<advice>\S.*)$/gm;

it('docs/errors.md and errors.ts agree, both ways', async () => {
  const text = await readFile(path.join(import.meta.dirname, '../../docs/errors.md'), 'utf8');
  const documented = [...text.matchAll(ENTRY)].map(({ groups = {} }) => ({
    code: groups['code'],
    status: groups['status'] === undefined ? null : Number(groups['status']),
    summary: groups['summary'],
  }));
  expect(documented).toEqual(Object.entries(ERRORS).map(([code, { status, summary }]) => ({ code, status, summary })));
  // An entry that is not quite in the form would be missing above; a heading that is none of ours would not.
  expect(text.match(/^### /gm)).toHaveLength(documented.length);
});

it('an error tells its code, message and details, and nothing of its cause', () => {
  const error = new SwitchyardError('NAME_TAKEN', 'Taken.', { id: '1' }, { cause: new Error('secret') });
  expect(error.status).toBe(409);
  expect(JSON.parse(JSON.stringify(error.toBody()))).toEqual({
    error: { code: 'NAME_TAKEN', message: 'Taken.', details: { id: '1' } },
  });
  expect(new SwitchyardError('STOPPING', 'Bye.').toBody()).toEqual({ error: { code: 'STOPPING', message: 'Bye.' } });
});

it('every code that core records with an event is one of them', async () => {
  const folder = path.join(import.meta.dirname, '../src');
  const unknown: string[] = [];
  let seen = 0;
  for await (const file of glob('**/*.ts', { cwd: folder })) {
    const text = await readFile(path.join(folder, file), 'utf8');
    // A code has an underscore; what Node calls its errors (ECONNRESET) has none.
    for (const [, code = ''] of text.matchAll(/\bcode: '([A-Z]+_[A-Z_]+)'/g)) {
      seen += 1;
      if (!(code in ERRORS)) unknown.push(`${file}: ${code}`);
    }
  }
  expect(unknown).toEqual([]);
  expect(seen).toBeGreaterThan(10);
});
