import { testPlugin } from '@switchyard/plugin-sdk/testing';
import analytics from '../src/index.ts';
import { databases } from './databases.ts';

describe.each(databases)('on $name', ({ open }) => {
  const database = open();
  afterAll(async () => (await database).close());

  testPlugin(analytics, {
    database: async () => (await database).db,
    wrongConfigs: [{ url: 'postgres://elsewhere' }, null, 'counts'],
  });
});
