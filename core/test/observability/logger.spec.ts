import { createLogger, type CoreLogger } from '../../src/observability/logger.ts';

function recorder(level: 'debug' | 'info' | 'silent' = 'info'): {
  logger: CoreLogger;
  lines: () => Record<string, unknown>[];
  text: () => string;
} {
  let text = '';
  const logger = createLogger(level, { write: (line: string) => void (text += line) });
  return {
    logger,
    text: () => text,
    lines: () =>
      text
        .split('\n')
        .filter(Boolean)
        .map((line): Record<string, unknown> => JSON.parse(line)),
  };
}

describe('the log', () => {
  it('is a JSON object a line, with time, level, labels and fields', () => {
    const { logger, lines } = recorder();
    logger.child({ plugin: 'webhook' }).child({ instance: 'i1' }).warn('slow', { ms: 12 });
    expect(lines()).toEqual([
      {
        level: 'warn',
        time: expect.stringMatching(/^\d{4}-.*Z$/),
        pid: process.pid,
        plugin: 'webhook',
        instance: 'i1',
        ms: 12,
        msg: 'slow',
      },
    ]);
  });

  it('leaves out what is below its level', () => {
    const { logger, lines } = recorder('info');
    logger.debug('details');
    logger.info('news');
    expect(lines().map(({ msg }) => msg)).toEqual(['news']);
    const silent = recorder('silent');
    silent.logger.error('nothing');
    expect(silent.text()).toBe('');
  });

  it('never shows secrets: by the name of the field, at any depth, and inside texts', () => {
    const { logger, text } = recorder();
    logger.error('cannot reach postgres://user:hunter2@db/x with sy_abc_hunter2hunter2', {
      Authorization: 'hunter2',
      headers: { 'set-cookie': ['hunter2'], cookie: 'hunter2' },
      config: {
        apiKey: 'hunter2',
        api_key: 'hunter2',
        JWT_SECRET: 'hunter2',
        password: { value: 'hunter2' },
        access_token: 'hunter2',
        secrets: ['hunter2'],
      },
      error: new Error('redis://:hunter2@cache refused', { cause: new Error('postgres://u:hunter2@db') }),
    });
    expect(text()).not.toContain('hunter2');
    expect(text()).toContain('sy_abc_[redacted]');
    expect(text()).toContain('postgres://user:[redacted]@db/x');
  });

  it('keeps fields whose name only resembles a secret', () => {
    const { logger, lines } = recorder();
    logger.info('x', { key_id: 'a', keyword: 'b', monkey: 'c', tokens_used_total: 5 });
    expect(lines()[0]).toMatchObject({ key_id: 'a', keyword: 'b', monkey: 'c', tokens_used_total: 5 });
  });

  it('shows an error with its type, code, stack and cause', () => {
    const { logger, lines } = recorder();
    logger.error('x', { error: Object.assign(new TypeError('bad', { cause: new Error('why') }), { code: 'E_BAD' }) });
    expect(lines()[0]).toMatchObject({
      error: {
        type: 'TypeError',
        message: 'bad',
        code: 'E_BAD',
        stack: expect.stringContaining('logger.spec'),
        cause: { message: 'why' },
      },
    });
  });

  it('never throws and never grows without end, whatever it is given', () => {
    const { logger, text } = recorder();
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    logger.info('circle', circle);
    logger.info('huge', { text: 'x'.repeat(1_000_000), list: Array.from({ length: 100_000 }, (_, i) => i) });
    logger.info('odd', {
      big: 10n,
      call: () => 1,
      symbol: Symbol('s'),
      bytes: Buffer.alloc(1000),
      date: new Date(Number.NaN),
      map: new Map([['a', 1]]),
      set: new Set([1]),
    });
    logger.info('throws', {
      get bad(): never {
        throw new Error('getter');
      },
    });
    const { logger: broken } = {
      logger: createLogger('info', {
        write: () => {
          throw new Error('ENOSPC');
        },
      }),
    };
    broken.info('no room');
    expect(text().length).toBeLessThan(20_000);
    expect(text()).toContain('nested too deeply');
  });
});
