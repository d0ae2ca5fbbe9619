import map from '../src/index.ts';
import type { StepConfig } from '../src/steps.ts';

const fine: StepConfig = { set: { 'metadata.ok': true } };
const deep = Array.from({ length: 31 }).reduce<unknown>((inner) => ({ inner }), 1);

describe('steps are refused when they are saved, with the step and the path', () => {
  it.each<readonly [string, StepConfig, string]>([
    ['set the id', { set: { id: 'x' } }, 'Step 2 (set): "id" cannot be changed'],
    ['copy to received_at', { copy: { timestamp: 'received_at' } }, 'Step 2 (copy): "received_at" cannot be changed'],
    ['rename to the id', { rename: { 'metadata.a': 'id' } }, 'Step 2 (rename): "id" cannot be changed'],
    [
      'remove the name',
      { remove: ['event_name'] },
      'Step 2 (remove): every event has "event_name": it cannot be taken away',
    ],
    [
      'rename the timestamp away',
      { rename: { timestamp: 'metadata.at' } },
      'Step 2 (rename): every event has "timestamp"',
    ],
    [
      'begin a path with no field',
      { set: { plan: 'pro' } },
      'Step 2 (set): the path "plan" does not begin with a field of an event (id, event_name, user_id',
    ],
    ['go into a text', { remove: ['user_id.first'] }, 'Step 2 (remove): the path "user_id.first" goes into user_id'],
    [
      'have an empty part',
      { copy: { 'metadata..a': 'metadata.b' } },
      'Step 2 (copy): the path "metadata..a" has an empty part',
    ],
    ['have a path that is too long', { remove: [`metadata${'.a'.repeat(32)}`] }, 'has more than 32 parts'],
    [
      'write through __proto__',
      { set: { 'metadata.__proto__.polluted': 1 } },
      'Step 2 (set): the path "metadata.__proto__.polluted" contains "__proto__", which is refused',
    ],
    [
      'write through constructor',
      { copy: { 'metadata.a': 'metadata.constructor.prototype.a' } },
      'contains "constructor", which is refused',
    ],
    [
      'read from a prototype',
      { copy: { 'metadata.prototype': 'metadata.a' } },
      'contains "prototype", which is refused',
    ],
    ['remove through __proto__', { remove: ['metadata.__proto__'] }, 'contains "__proto__", which is refused'],
    ['keep through __proto__', { keep: ['metadata.__proto__'] }, 'contains "__proto__", which is refused'],
    [
      'hide __proto__ in a value',
      { set: { 'metadata.a': JSON.parse('[{"__proto__": 1}]') } },
      'Step 2 (set): the value of "metadata.a" contains the key "__proto__", which is refused',
    ],
    [
      'have a value that nests too deeply',
      { set: { 'metadata.a': deep } },
      'Step 2 (set): the value of "metadata.a" nests deeper than 30 levels',
    ],
    [
      'set the name to a number',
      { set: { event_name: 7 } },
      'Step 2 (set): "event_name" must be a text that is not empty',
    ],
    ['set the user to nothing', { set: { user_id: '' } }, '"user_id" must be a text that is not empty, or null'],
    ['set the time to a word', { set: { timestamp: 'now' } }, '"timestamp" must be a date and time with its offset'],
    ['set metadata to a list', { set: { metadata: [] } }, '"metadata" must be an object'],
    [
      'set the address to a number',
      { set: { 'context.ip_address': 7 } },
      '"context.ip_address" must be a text or null',
    ],
    [
      'set a field and what is inside it',
      { set: { 'metadata.a': {}, 'metadata.a.b': 1 } },
      'Step 2 (set): "metadata.a" and "metadata.a.b" overlap; use two steps',
    ],
    [
      'write to one place twice',
      { rename: { 'metadata.a': 'metadata.c', 'metadata.b': 'metadata.c' } },
      '"metadata.c" and "metadata.c" overlap',
    ],
    [
      'take from one place twice',
      { rename: { 'metadata.a': 'metadata.b', 'metadata.a.x': 'metadata.c' } },
      '"metadata.a" and "metadata.a.x" overlap',
    ],
    [
      'move a field into itself',
      { rename: { 'metadata.a': 'metadata.a.b' } },
      '"metadata.a" and "metadata.a.b" lie inside each other',
    ],
    [
      'keep a field of the event',
      { keep: ['user_id'] },
      'Step 2 (keep): the path "user_id" must lie inside metadata or context',
    ],
    ['keep all of metadata', { keep: ['metadata'] }, 'the path "metadata" must lie inside metadata or context'],
  ])('that %s', (_what, step, message) => {
    expect(() => map.validate?.({ steps: [fine, step] })).toThrow(
      expect.objectContaining({
        kind: 'config',
        code: 'MAP_INVALID',
        message: expect.stringContaining(message) as unknown,
      }) as Error,
    );
  });

  it('but not without reason', () => {
    const steps: StepConfig[] = [
      fine,
      { rename: { 'metadata.a': 'metadata.b', 'metadata.b': 'metadata.a' } },
      { copy: { id: 'metadata.id', 'context.ip_address': 'metadata.ip' } },
      { set: { timestamp: '2024-01-30T10:00:00+01:00' } },
    ];
    expect(() => map.validate?.({ steps })).not.toThrow();
  });
});
