// Who may import whom. The paths are those of the sources: imports between our packages resolve to src, not to dist.
const test = String.raw`\.spec\.ts$|/test/`;

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: 'sdk-imports-nothing-of-ours',
      comment: 'A plugin author gets the SDK and nothing else: it must stand alone.',
      severity: 'error',
      from: { path: '^plugin-sdk/' },
      to: { path: '^(core|migrations|plugins|bench|test-support)/' },
    },
    {
      name: 'plugins-import-only-the-sdk',
      comment: 'Our plugins use the door that everybody else has: no core, no other plugin.',
      severity: 'error',
      from: { path: '^(plugins/[^/]+/[^/]+)/', pathNot: test },
      to: { path: '^(core|migrations|plugins|bench)/', pathNot: '^$1/' },
    },
    {
      name: 'plugin-tests-know-no-core',
      comment: 'The tests of a store make its tables; they need nothing else of ours.',
      severity: 'error',
      from: { path: '^(plugins/[^/]+/[^/]+)/(?:.*[.]spec[.]ts$|test/)' },
      to: { path: '^(core|plugins|bench)/', pathNot: '^$1/' },
    },
    {
      name: 'test-support-knows-no-core',
      comment: 'Through it, the tests of a plugin would know core.',
      severity: 'error',
      from: { path: '^test-support/' },
      to: { path: '^(core|plugins|bench)/' },
    },
    {
      name: 'only-tests-import-test-support',
      comment: 'It is not built: at run time it is missing.',
      severity: 'error',
      from: { path: '.', pathNot: `^test-support/|${test}` },
      to: { path: '^test-support/' },
    },
    {
      name: 'core-knows-no-plugin',
      comment: 'Plugins are discovered at run time. core/src may import the SDK and the migrations.',
      severity: 'error',
      from: { path: '^core/src/', pathNot: test },
      to: { path: '^(plugins|bench)/' },
    },
    {
      name: 'migrations-import-only-kysely',
      comment: 'A migration that is years old must still run: it may not depend on code that changes.',
      severity: 'error',
      from: { path: '^migrations/src/', pathNot: test },
      to: { pathNot: '^migrations/src/|/node_modules/kysely/|^node_modules/kysely/', dependencyTypesNot: ['core'] },
    },
    {
      name: 'no-circles',
      comment: 'In a circle of modules, who runs first depends on who was imported first.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'no-undeclared-dependency',
      comment: "What a package imports is in that package's own package.json.",
      severity: 'error',
      from: {},
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown', 'unknown'] },
    },
    {
      name: 'no-dev-dependency-at-run-time',
      comment: 'It would be missing where the package is installed.',
      severity: 'error',
      from: { path: '^(plugin-sdk|migrations|core|plugins/[^/]+/[^/]+|bench)/src/', pathNot: test },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['npm', 'type-only'] },
    },
    {
      name: 'no-import-of-tests',
      comment: 'Tests are not part of the packages.',
      severity: 'error',
      from: { path: '/src/', pathNot: test },
      to: { path: test, pathNot: 'node_modules' },
    },
    {
      name: 'no-unresolvable-import',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^(plugin-sdk|migrations|core|plugins/[^/]+/[^/]+|bench)/dist/' },
    tsPreCompilationDeps: true,
    combinedDependencies: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@switchyard/source', 'import', 'types', 'node', 'default'],
      extensions: ['.ts', '.js', '.mjs', '.json', '.d.ts'],
    },
  },
};
