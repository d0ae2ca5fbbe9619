import { PermanentError, isRawNumber, type Event, type Json, type JsonObject } from '@switchyard/plugin-sdk';
import { isContainer, only, read, without, written, type Path } from './path.ts';
import { misfit, type Step } from './steps.ts';

/**
 * What copying may add to an event, in characters or values: copies of copies double with each step. Moving something further down counts
 * too, since it has to be looked through.
 */
const COPY_BUDGET = 1_000_000;
/** As many levels as ingress takes. */
const MAX_DEPTH = 64;

/** The event after all steps: the very same one when they changed nothing. Never touches the event that came in. */
export function applySteps(event: Event, steps: readonly Step[]): Event {
  const editor = new Editor(event);
  for (const step of steps) editor.apply(step);
  return editor.event;
}

class Editor {
  event: Event;
  #copyBudget = COPY_BUDGET;

  constructor(event: Event) {
    this.event = event;
  }

  apply(step: Step): void {
    switch (step.action) {
      case 'set':
        for (const { to, value } of step.values) this.#write(to, value, step.where);
        return;
      case 'copy':
      case 'rename': {
        // Everything is read before anything is written: two fields can change places.
        const found = step.moves
          .map(({ from, to }) => ({ from, to, value: read(this.event as unknown as JsonObject, from) }))
          .filter(({ value }) => value !== undefined);
        if (step.action === 'rename') for (const { from } of found) this.#remove(from);
        for (const { from, to, value = null } of found) {
          if (step.action === 'copy' || to.length > from.length) this.#pay(value, to.length + 1, step.where);
          this.#write(to, this.#fitted(to, value), step.where);
        }
        return;
      }
      case 'remove':
        for (const path of step.paths) this.#remove(path);
        return;
      case 'keep':
        for (const { root, paths } of step.kept)
          this.#replace({ [root]: withClient(root, only(this.event[root], paths)) });
    }
  }

  #write(to: Path, value: Json, where: string): void {
    const problem = misfit(to, value);
    if (problem !== null) throw new PermanentError(`${where}: "${to.join('.')}" ${problem}.`, { code: 'MAP_TYPE' });
    const [root, ...rest] = to;
    if (rest.length === 0) {
      if (this.event[root] !== value)
        this.#replace({ [root]: isContainer(root) ? withClient(root, value as JsonObject) : value });
      return;
    }
    const object = written(this.event[root] as JsonObject, rest, value);
    if (object === undefined)
      throw new PermanentError(`${where}: on the way to "${to.join('.')}" stands something that is no object.`, {
        code: 'MAP_PATH',
      });
    this.#replace({ [root]: object });
  }

  #remove([root, ...rest]: Path): void {
    if (isContainer(root))
      this.#replace({ [root]: withClient(root, rest.length === 0 ? {} : without(this.event[root], rest)) });
    else if (root === 'user_id') this.#replace({ user_id: null });
  }

  #replace(fields: Partial<Record<keyof Event, Json>>): void {
    const changed = Object.entries(fields).some(([name, value]) => this.event[name as keyof Event] !== value);
    if (changed) this.event = { ...this.event, ...fields } as Event;
  }

  /** A number that is to be a text, such as a numeric user id, is written with its own digits. */
  #fitted([root, ...rest]: Path, value: Json): Json {
    if (rest.length > 0 || isContainer(root)) return value;
    if (isRawNumber(value)) return value.rawJSON;
    return typeof value === 'number' ? String(value) : value;
  }

  #pay(value: Json, depth: number, where: string): void {
    this.#copyBudget -= typeof value === 'string' ? value.length : 1;
    if (this.#copyBudget < 0)
      throw new PermanentError(`${where}: the copies are longer than ${COPY_BUDGET} characters.`, {
        code: 'MAP_BUDGET',
      });
    if (typeof value !== 'object' || value === null) return;
    if (depth > MAX_DEPTH)
      throw new PermanentError(`${where}: the event would nest deeper than ${MAX_DEPTH} levels.`, {
        code: 'MAP_BUDGET',
      });
    for (const part of Object.values(value)) this.#pay(part, depth + 1, where);
  }
}

/** A context always names the client, if only to say that it is unknown. */
function withClient(root: 'metadata' | 'context', object: JsonObject): JsonObject {
  if (root === 'metadata' || (Object.hasOwn(object, 'ip_address') && Object.hasOwn(object, 'user_agent')))
    return object;
  return { ip_address: null, user_agent: null, ...object };
}
