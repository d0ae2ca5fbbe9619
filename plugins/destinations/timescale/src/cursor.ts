import { PermanentError } from '@switchyard/plugin-sdk';

/** The last event of a page: the next page begins after it. */
interface Place {
  readonly at: string;
  readonly id: string;
}

/** Opaque to clients, and no secret: it says where to go on within what the reader may see anyway. */
export function encodeCursor({ at, id }: Place): string {
  return Buffer.from(`${at} ${id}`, 'latin1').toString('base64url');
}

export function decodeCursor(cursor: string): Place {
  const [, at, id] = PLACE.exec(Buffer.from(cursor, 'base64url').toString('latin1')) ?? [];
  if (at === undefined || id === undefined || !isRealTime(at)) {
    throw new PermanentError(
      'The cursor is not one of ours: pass next_cursor of the page before as it came, or leave it out to start at the newest event.',
      {
        code: 'CURSOR_INVALID',
      },
    );
  }
  return { at, id };
}

const PLACE = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

/** `Date` turns the 30th of February into March. */
function isRealTime(at: string): boolean {
  const date = new Date(at);
  return !Number.isNaN(date.getTime()) && date.toISOString().slice(0, 19) === at.slice(0, 19);
}
