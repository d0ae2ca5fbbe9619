import { testPlugin } from '@switchyard/plugin-sdk/testing';
import javascript from '../src/index.ts';

testPlugin(javascript, {
  // Starting a child on a busy machine takes a while.
  deadlineMs: 20_000,
  wrongConfigs: [
    {},
    { code: '' },
    { code: 'export default function (' },
    { code: 'const x = 1;' },
    { code: 'import fs from "node:fs"; export default () => null;' },
    { code: 'export default 1;' },
    { code: 'export default () => null;', timeout_ms: 0 },
    { code: 'export default () => null;', memory_mb: 4096 },
  ],
});
