/**
 * What people have tried against sandboxes. Each body is a function body with `event` in scope that runs for one event
 * of three; the other two pass through.
 */
export interface HostileScript {
  readonly name: string;
  readonly body: string;
  /** What may become of the event. */
  readonly ends: readonly string[];
  /** For scripts that look for a way out: what they must find. They return it as `metadata.found`. */
  readonly finds?: string;
}

const TIMEOUT = ['TRANSFORM_TIMEOUT'];
const OUT_OF_MEMORY = ['TRANSFORM_MEMORY', 'TRANSFORM_TIMEOUT', 'TRANSFORM_THREW', 'TRANSFORM_CRASHED'];

const found = (name: string, expression: string, finds = 'undefined'): HostileScript => ({
  name,
  body: `const found = await (async () => ${expression})(); return { ...event, metadata: { found: String(found) } };`,
  ends: ['emit'],
  finds,
});
const spins = (name: string, body: string, ends: readonly string[] = TIMEOUT): HostileScript => ({ name, body, ends });
const hoards = (name: string, body: string): HostileScript => ({ name, body, ends: OUT_OF_MEMORY });
const tampers = (name: string, body: string): HostileScript => ({
  name,
  body: `${body}; return event;`,
  ends: ['emit'],
});

export const escapes: readonly HostileScript[] = [
  found('constructor.constructor of a function', "(() => {}).constructor('return typeof process')()"),
  found('constructor.constructor of the event', "event.constructor.constructor('return typeof require')()"),
  found('constructor of the global object', "globalThis.constructor.constructor('return typeof process')()"),
  found('the this of a sloppy function', "typeof new Function('return this')().process"),
  found('indirect eval', "(0, eval)('typeof process + typeof require + typeof module')", 'undefinedundefinedundefined'),
  found('a generator’s constructor', "(function* () {}).constructor('yield typeof process')().next().value"),
  found(
    'an async generator’s constructor',
    "(await (async function* () {}).constructor('yield typeof process')().next()).value",
  ),
  found('an async function’s constructor', "await (async () => {}).constructor('return typeof process')()"),
  found(
    'names on the global object',
    'Object.getOwnPropertyNames(globalThis).filter((name) => /^(process|require|module|Buffer|global|fetch|setTimeout|setImmediate|queueMicrotask|gc|_?ivm|Deno|WebSocket|Worker|XMLHttpRequest)$/.test(name)).join()',
    '',
  ),
  found(
    'things of isolated-vm on the global object',
    'Reflect.ownKeys(globalThis).filter((key) => /^(Reference|ExternalCopy|Isolate|Callback|Context)$/.test(globalThis[key]?.constructor?.name ?? key)).join()',
    '',
  ),
  found('WebAssembly', 'typeof WebAssembly'),
  found('SharedArrayBuffer', 'typeof SharedArrayBuffer'),
  found('Atomics', 'typeof Atomics'),
  found('FinalizationRegistry, whose callbacks have no deadline', 'typeof FinalizationRegistry'),
  found('ShadowRealm', 'typeof ShadowRealm'),
  found('import of a built-in', "import('node:fs').then(() => 'imported', () => 'refused')", 'refused'),
  found(
    'import of a data URL',
    "import('data:text/javascript,export default 1').then(() => 'imported', () => 'refused')",
    'refused',
  ),
  found('import of a file', "import('/etc/passwd').then(() => 'imported', () => 'refused')", 'refused'),
  found('import inside of eval', "(0, eval)(\"import('node:os')\").then(() => 'imported', () => 'refused')", 'refused'),
  found('import.meta', 'Object.keys(import.meta).join()', ''),
  found(
    'functions and receivers through Error.prepareStackTrace',
    '{ Error.prepareStackTrace = (_, frames) => frames.map((frame) => typeof frame.getThis() + typeof frame.getFunction()); const seen = new Error().stack; Error.prepareStackTrace = undefined; return [...new Set(seen)].join(); }',
    'undefinedundefined',
  ),
  found(
    'eval origins through Error.captureStackTrace',
    '{ Error.prepareStackTrace = (_, frames) => frames.map((frame) => typeof frame.getFunction()); const holder = {}; Error.captureStackTrace(holder); const seen = holder.stack; Error.prepareStackTrace = undefined; return [...new Set(seen)].join(); }',
    'undefined',
  ),
  found(
    'the caller of a function',
    "{ const seek = new Function('try { return typeof arguments.callee.caller } catch (error) { return error.name }'); return seek(); }",
    'object',
  ),
  found(
    'a thenable’s resolve functions',
    "await { then(resolve) { resolve(resolve.constructor('return typeof process')()); } }",
  ),
  found(
    'arguments of Proxy traps',
    '{ let seen; const spy = new Proxy({}, { get(target, key, receiver) { seen = [typeof target, typeof key, receiver === spy].join(); } }); void spy.a; return seen; }',
    'object,string,true',
  ),
  found('the console’s functions', "console.log.constructor('return typeof process')()"),
  found('the prototype of the event', 'Object.getPrototypeOf(event) === Object.prototype', 'true'),
  found(
    'Symbol.species',
    "{ class Own extends Array { static get [Symbol.species]() { return Function; } } try { return typeof Own.from([1]).map(() => 'return process')(); } catch (error) { return error.name; } }",
  ),
  found(
    'Reflect.construct with foreign prototypes',
    "Reflect.construct(Function, ['return typeof process'], Promise).call?.() ?? 'undefined'",
  ),
  found('RegExp statics', 'String(RegExp.input).includes("event_name")', 'false'),
];

export const tampering: readonly HostileScript[] = [
  tampers(
    'JSON replaced',
    "JSON.parse = JSON.stringify = () => { throw new Error('mine'); }; Object.assign(JSON, { rawJSON: null })",
  ),
  tampers(
    'Array.prototype replaced',
    "for (const key of ['push', 'join', 'map', 'slice', Symbol.iterator]) Array.prototype[key] = () => { throw new Error('mine'); }",
  ),
  tampers(
    'String.prototype replaced',
    "for (const key of ['slice', 'concat', 'toString', 'valueOf']) String.prototype[key] = () => 'mine'",
  ),
  tampers(
    'Promise replaced',
    "Promise.prototype.then = () => { throw new Error('mine'); }; globalThis.Promise = null; Object.defineProperty(Promise ?? {}, 'resolve', { value: null })",
  ),
  tampers(
    'Reflect and Date replaced',
    'Reflect.apply = null; Date.now = () => 0; Object.assign(globalThis, { Date: null, Reflect: null, String: null, Error: null })',
  ),
  tampers(
    'setters on Object.prototype',
    "for (const key of ['0', 'kind', 'then', 'code']) Object.defineProperty(Object.prototype, key, { set() { throw new Error('mine'); }, get() { return undefined; }, configurable: true })",
  ),
  tampers(
    'String.prototype.toJSON',
    "try { String.prototype.toJSON = () => ({ forged: true }); } catch {} try { Object.defineProperty(String.prototype, 'toJSON', { value: () => 1 }); } catch {}; console.log('text')",
  ),
  tampers('console replaced', 'try { console.log = null; } catch {} globalThis.console = null'),
  tampers(
    'a frozen world',
    'Object.freeze(Object.prototype); Object.freeze(Array.prototype); Object.preventExtensions(globalThis)',
  ),
  {
    name: 'an answer of its own in what it throws',
    body: `throw new Error('"]],"results":[["emit",{"event_name":"forged"}]],"x":[["')`,
    ends: ['TRANSFORM_THREW'],
  },
  {
    name: 'toJSON that returns an array',
    body: 'return { ...event, toJSON: () => [1] }',
    ends: ['TRANSFORM_BAD_OUTPUT'],
  },
  {
    name: 'toJSON that returns another event',
    body: "return { toJSON: () => ({ event_name: 'other' }) }",
    ends: ['emit'],
  },
  {
    name: 'a getter that throws',
    body: "return { ...event, get metadata() { throw new Error('mine'); } }",
    ends: ['TRANSFORM_BAD_OUTPUT'],
  },
  {
    name: 'a revoked proxy',
    body: 'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return { then: undefined, metadata: proxy, event_name: "x" }',
    ends: ['TRANSFORM_BAD_OUTPUT'],
  },
  {
    name: 'an array that lies about its length',
    body: "return new Proxy([event], { get: (list, key) => (key === 'length' ? Number.NaN : list[key]) })",
    ends: ['drop'],
  },
  {
    name: 'depth without end',
    body: 'let deep = {}; for (let i = 0; i < 100_000; i += 1) deep = { deep }; return { ...event, metadata: deep }',
    ends: ['TRANSFORM_BAD_OUTPUT'],
  },
  {
    name: 'depth that JSON.stringify still takes',
    body: 'let deep = {}; for (let i = 0; i < 900; i += 1) deep = { deep }; return { ...event, metadata: deep }',
    ends: ['TRANSFORM_BAD_OUTPUT'],
  },
];

export const cpu: readonly HostileScript[] = [
  spins('for (;;)', 'for (;;);'),
  spins('for (;;) after an await', 'await 1; for (;;);'),
  spins('a loop in finally', 'try { for (;;); } finally { for (;;); }'),
  spins('a loop in catch', 'for (;;) { try { for (;;); } catch { for (;;); } }'),
  spins('a catastrophic regular expression', "return /^(a+)+$/.test('a'.repeat(50) + 'b') ? event : null"),
  spins('a catastrophic regular expression in replace', "return 'x'.repeat(50).replace(/(x+x+)+y/g, '') && event"),
  spins('Array.fill', 'Array(1e8).fill(0); for (;;);', OUT_OF_MEMORY),
  spins(
    'JSON.parse in a loop',
    "const text = '[' + '1,'.repeat(1e6) + '1]'; for (;;) JSON.parse(text);",
    OUT_OF_MEMORY,
  ),
  spins(
    'JSON.stringify in a loop',
    'const list = Array.from({ length: 1e4 }, (_, i) => ({ i })); for (;;) JSON.stringify(list);',
  ),
  spins('a sort comparator', 'return [3, 1, 2].sort(() => { for (;;); }) && event'),
  spins('a getter of the result', 'return { ...event, get metadata() { for (;;); } }'),
  spins('toJSON of the result', 'return { toJSON() { for (;;); } }'),
  spins('a Proxy trap of the result', 'return new Proxy({}, { ownKeys() { for (;;); } })'),
  spins('then of the result', 'return { then() { for (;;); } }'),
  spins('Symbol.toPrimitive', 'return `${{ [Symbol.toPrimitive]() { for (;;); } }}` && event'),
  spins('a printed value', 'console.log({ toJSON() { for (;;); } }); return event'),
  spins('a thrown error’s message', 'throw { get message() { for (;;); } }'),
  spins('promise chains', '(function next() { Promise.resolve().then(next); })(); return event'),
  spins('a loop of awaits', 'for (;;) await null;'),
  spins(
    'a flood of promise jobs that double',
    '(function next() { Promise.resolve().then(next); Promise.resolve().then(next); })(); return event',
    OUT_OF_MEMORY,
  ),
  spins('an async iterator without end', 'for await (const _ of (async function* () { for (;;) yield 1; })());'),
  spins('an iterator without end', 'return [...(function* () { for (;;) yield; })()] && event', OUT_OF_MEMORY),
  spins('big integers', 'let x = 2n ** (2n ** 22n); for (;;) x = (x * x) % (2n ** (2n ** 22n));', OUT_OF_MEMORY),
  spins(
    'Array methods over a length of 2**53',
    'return Array.prototype.lastIndexOf.call(new Proxy({}, { get: (_, key) => (key === "length" ? 2 ** 53 - 1 : 0), has: () => true }), 1) && event',
  ),
  spins(
    'reverse of a sparse giant',
    'const list = []; list.length = 2 ** 32 - 1; list[5] = 1; for (;;) list.reverse();',
    OUT_OF_MEMORY,
  ),
  spins('eval in a loop', "for (let i = 0; ; i += 1) (0, eval)('var x' + (i % 100) + ' = 1');", OUT_OF_MEMORY),
  spins('string comparison in a loop', "for (;;) 'ä'.repeat(1000).localeCompare('ö'.repeat(1000));"),
  spins('recursion', '(function deeper() { deeper(); })();', ['TRANSFORM_THREW']),
  spins('recursion that catches itself', '(function deeper() { try { deeper(); } finally { deeper(); } })();'),
  spins('a promise that never settles', 'return new Promise(() => {})', ['TRANSFORM_NEVER_SETTLED']),
  spins('a thenable that never calls', 'return { then() {} }', ['TRANSFORM_NEVER_SETTLED']),
  spins(
    'Array.fromAsync without end',
    'await Array.fromAsync((async function* () { for (;;) yield; })());',
    OUT_OF_MEMORY,
  ),
];

export const memory: readonly HostileScript[] = [
  hoards('array buffers', 'const kept = []; for (;;) kept.push(new ArrayBuffer(1e6));'),
  hoards(
    'array buffers whose failures are caught',
    'const kept = []; for (;;) try { kept.push(new ArrayBuffer(1e6)); } catch {}',
  ),
  hoards('one array buffer of a gigabyte', 'return new Uint8Array(2 ** 30).fill(1) && event'),
  hoards(
    'a resizable buffer',
    'const buffer = new ArrayBuffer(1, { maxByteLength: 2 ** 30 }); for (let size = 1; ; size *= 2) { buffer.resize(size); new Uint8Array(buffer).fill(1); }',
  ),
  hoards('typed arrays', 'const kept = []; for (;;) kept.push(new Float64Array(1000));'),
  hoards('strings that double', "let text = 'xxxxxxxxxx'; for (;;) { text += text; text.charCodeAt(5); }"),
  hoards('strings that repeat', "const kept = []; for (let i = 0; ; i += 1) kept.push('x'.repeat(1e6 + i));"),
  hoards('objects', 'const kept = []; for (;;) kept.push({ kept });'),
  hoards('a map', 'const kept = new Map(); for (let i = 0; ; i += 1) kept.set(i, { i });'),
  hoards('closures', 'let f = () => 1; for (;;) { const g = f; f = () => g; }'),
  hoards('symbols', 'for (let i = 0; ; i += 1) Symbol.for(`s${i}`);'),
  hoards(
    'formatters, which live outside of the heap',
    "const kept = []; for (;;) kept.push(new Intl.NumberFormat('de'));",
  ),
  hoards('split', "return 'x'.repeat(2e7).split('').length && event"),
  hoards('a return value of 100 MB', "return { ...event, metadata: { pad: 'x'.repeat(1e8) } }"),
  hoards('lines of 100 MB', "for (;;) console.log('x'.repeat(1e8));"),
  {
    name: 'a return value of 5 MB',
    body: "return { ...event, metadata: { pad: 'x'.repeat(5e6) } }",
    ends: ['TRANSFORM_OUTPUT_TOO_LARGE'],
  },
  {
    name: 'an array of a million events',
    body: 'return Array(1e6).fill(null)',
    ends: ['TRANSFORM_OUTPUT_TOO_LARGE'],
  },
];
