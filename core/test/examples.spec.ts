import { execFile, spawnSync } from 'node:child_process';
import { cp, symlink } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import type { Router } from '../src/router.ts';
import { Api, call } from './support/api.ts';
import { eventually } from './support/eventually.ts';
import { aFolder } from './support/folder.ts';
import { Receiver } from './support/receiver.ts';
import { ADMIN, API_KEY, aRouter } from './support/router.ts';

const run = promisify(execFile);
const root = path.join(import.meta.dirname, '../..');
const examples = path.join(root, 'examples');
const ntfy = path.join(examples, 'plugins/destination-ntfy');

/** The walk is a bash script around curl. A machine that lacks one of them cannot run it either. */
const hasTools = ['bash', 'curl'].every((tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0);
const describeWithTools = hasTools ? describe : describe.skip;

let folder: Awaited<ReturnType<typeof aFolder>>;
let router: Router;
let receiver: Receiver;

beforeAll(async () => {
  folder = await aFolder();
  receiver = await Receiver.open();
  router = await aRouter(path.join(folder.path, 'data'), { PLUGINS: ntfy });
}, 60_000);
afterAll(async () => {
  await router.stop(5_000);
  await receiver.close();
  await folder.remove();
});

describe('the example plugin', () => {
  test('is found by PLUGINS, and an event goes through it', async () => {
    const api = await Api.login(router.address, ADMIN.email, ADMIN.password);
    const config = { url: receiver.url, token: 'tk_of_the_test', text: '{user_id} did {event_name}' };
    const { destination } = await api.connect('ntfy', config);
    const shown = await api.get(`destinations/${destination}`);
    expect(shown).toMatchObject({ type: 'ntfy', config: { ...config, token: { set: true } } });

    const { id } = await call<{ id: string }>(`${router.address}/api/v1/events`, 'POST', API_KEY, {
      event_name: 'signup',
      user_id: 'u-7',
    });
    const request = await eventually(async () => receiver.requests.find(({ headers }) => headers['x-event-id'] === id));
    expect(request.body).toBe('u-7 did signup');
    expect(request.headers.authorization).toBe('Bearer tk_of_the_test');
  }, 30_000);

  test('is built outside of this repository, with its own settings, to a module that plain Node loads', async () => {
    const copy = path.join(folder.path, 'ntfy');
    await cp(ntfy, copy, { recursive: true, filter: (file) => !/dist|node_modules/.test(path.relative(ntfy, file)) });
    await symlink(path.join(root, 'node_modules'), path.join(copy, 'node_modules'));
    const node = path.join(root, 'node_modules/.bin/node');
    await run(node, [path.join(root, 'node_modules/.bin/tsc'), '-p', copy]);
    const { stdout } = await run(node, [
      '--input-type=module',
      '--eval',
      'const { default: made } = await import(process.argv[1]); process.stdout.write(`${made.kind} ${made.type}`)',
      path.join(copy, 'dist/index.js'),
    ]);
    expect(stdout).toBe('destination ntfy');
  }, 60_000);
});

describeWithTools('examples/first-event.sh', () => {
  test('goes from a login to a replayed dead letter', async () => {
    const env = {
      ...process.env,
      SWITCHYARD_URL: router.address,
      EMAIL: ADMIN.email,
      PASSWORD: ADMIN.password,
      API_KEY,
      WEBHOOK_URL: receiver.url,
    };
    const { stdout } = await run('bash', [path.join(examples, 'first-event.sh')], { env });
    const ids = [...stdout.matchAll(/^\{"id":"([^"]+)"\}$/gm)].map(([, id]) => id);
    expect(ids).toHaveLength(2);
    expect(new Set(ids).size).toBe(1);
    expect(stdout).toContain('{"matched":1,"replayed":1}');
    expect(receiver.requests.filter(({ headers }) => headers['webhook-id'] === ids[0])).toHaveLength(1);
  }, 60_000);

  test('says what it needs when it is not given', async () => {
    const { PATH = '' } = process.env;
    await expect(run('bash', [path.join(examples, 'first-event.sh')], { env: { PATH } })).rejects.toMatchObject({
      stderr: expect.stringContaining('PASSWORD'),
    });
  });

  test('shows the answer that stopped it', async () => {
    const env = {
      ...process.env,
      SWITCHYARD_URL: router.address,
      PASSWORD: 'not the password',
      API_KEY,
      WEBHOOK_URL: receiver.url,
    };
    await expect(run('bash', [path.join(examples, 'first-event.sh')], { env })).rejects.toMatchObject({
      stdout: expect.stringContaining('Log in'),
      stderr: expect.stringContaining('LOGIN_FAILED'),
    });
  });
});
