import { testPlugin } from '@switchyard/plugin-sdk/testing';
import { databases } from '@switchyard/test-support/databases';
import timescale from '../src/index.ts';

describe.each(databases)('on $name', ({ open }) => {
  const database = open();
  afterAll(async () => (await database).close());

  testPlugin(timescale, {
    database: async () => (await database).db,
    wrongConfigs: [{ url: 'postgres://elsewhere' }, null, 'events'],
  });
});
