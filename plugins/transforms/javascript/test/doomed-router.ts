// A process of its own, to be killed. Its code spins with a budget longer than the test: until then its child hears no message.
import { programOf } from '../src/program.ts';
import { SandboxPool } from '../src/sandbox/pool.ts';

const pool = new SandboxPool();
const program = { ...programOf({ code: 'export default () => { for (;;); }' }), timeoutMs: 60_000 };
await pool.run(program, '[]', 1, new AbortController().signal);
void pool.run(program, '[{}]', 1, new AbortController().signal);
console.log('ready');
