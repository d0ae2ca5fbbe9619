// Run through `npm test`, which gives Node the flags that this needs (scripts/test.mjs).
export default {
  testEnvironment: 'node',
  // Our packages resolve to their sources: tests need no build.
  testEnvironmentOptions: { customExportConditions: ['@switchyard/source', 'node', 'node-addons'] },
  testMatch: ['**/*.spec.ts'],
  extensionsToTreatAsEsm: ['.ts'],
  transform: { '\\.ts$': '@swc/jest' },
  setupFiles: ['reflect-metadata'],
  // A built package has a second copy of everything.
  modulePathIgnorePatterns: ['/dist/'],
};
