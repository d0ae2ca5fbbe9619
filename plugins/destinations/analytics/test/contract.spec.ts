import { testPlugin } from '@switchyard/plugin-sdk/testing';
import { databases } from '@switchyard/test-support/databases';
import analytics from '../src/index.ts';

describe.each(databases)('on $name', ({ open }) => {
  const database = open();
  afterAll(async () => (await database).close());

  testPlugin(analytics, {
    database: async () => (await database).db,
    wrongConfigs: [{ url: 'postgres://elsewhere' }, null, 'counts'],
  });
});
