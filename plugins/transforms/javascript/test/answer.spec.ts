import { readAnswer } from '../src/answer.ts';

const event = '{"event_name":"x"}';

it.each([
  ['not JSON', 'nonsense'],
  ['no object', '[]'],
  ['no results', '{"logs":[],"lost":0}'],
  ['more results than events', `{"results":[["drop"],["drop"],["drop"]],"logs":[],"lost":0}`],
  ['a result that is no list', '{"results":[{}],"logs":[],"lost":0}'],
  ['an unknown kind', '{"results":[["explode"]],"logs":[],"lost":0}'],
  ['an unknown code', '{"results":[["fail","FORGED","message","stack"]],"logs":[],"lost":0}'],
  ['a failure without texts', '{"results":[["fail","TRANSFORM_THREW",1,2]],"logs":[],"lost":0}'],
  ['an emit of nothing', '{"results":[["emit"]],"logs":[],"lost":0}'],
  ['no count of lost lines', '{"results":[],"logs":[]}'],
])('takes no answer with %s', (_, text) => {
  expect(readAnswer(text, 2)).toBeNull();
});

it('reads what the harness writes', () => {
  const text = `{"results":[["emit",${event}],["drop"]],"logs":[[1,"log","line"],["forged"]],"lost":3}`;
  expect(readAnswer(text, 2)).toEqual({
    results: [{ kind: 'emit', events: [{ event_name: 'x' }] }, { kind: 'drop' }],
    logs: [{ index: 1, level: 'log', text: 'line' }],
    lostLines: 3,
  });
});

it('faults one output without touching the others', () => {
  const text = `{"results":[["emit",${event}],["emit",${event},{"event_name":"x","metadata":{"__proto__":1}}]],"logs":[],"lost":0}`;
  expect(readAnswer(text, 2)?.results).toMatchObject([
    { kind: 'emit' },
    { kind: 'fail', code: 'TRANSFORM_BAD_OUTPUT' },
  ]);
});
