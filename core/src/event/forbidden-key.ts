import { endOfString } from './place.ts';

export interface ForbiddenKey {
  readonly position: number;
  readonly key: '__proto__' | 'constructor.prototype';
}

/** Where valid JSON text uses a key that is refused, however it is spelled. It runs only after a parse refused the text. */
export function findForbiddenKey(text: string): ForbiddenKey | null {
  /** Of each open bracket: the key that it stands under. */
  const parents: string[] = [];
  let key = '';
  for (let at = 0; at < text.length; at += 1) {
    switch (text.charAt(at)) {
      case '"': {
        const end = endOfString(text, at);
        if (isKey(text, end)) {
          key = JSON.parse(text.slice(at, end)) as string;
          if (key === '__proto__') return { position: at, key };
          if (key === 'prototype' && parents.at(-1) === 'constructor')
            return { position: at, key: 'constructor.prototype' };
        }
        at = end - 1;
        break;
      }
      case '{':
        parents.push(key);
        key = '';
        break;
      case '[':
        parents.push('');
        key = '';
        break;
      case ']':
      case '}':
        parents.pop();
        break;
    }
  }
  return null;
}

function isKey(text: string, end: number): boolean {
  let at = end;
  while (' \n\r\t'.includes(text[at] ?? '-')) at += 1;
  return text[at] === ':';
}
