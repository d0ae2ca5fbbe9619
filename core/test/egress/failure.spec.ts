import { deadlinePassed, toFailure } from '../../src/egress/failure.ts';

const target = new URL('https://hooks.example:8443/services/T0/secret-path');

test.each([
  ['EHOSTUNREACH', 'ADDRESS_UNREACHABLE'],
  ['ENETUNREACH', 'ADDRESS_UNREACHABLE'],
  ['ETIMEDOUT', 'CONNECT_TIMEOUT'],
  ['UND_ERR_CONNECT_TIMEOUT', 'CONNECT_TIMEOUT'],
  ['EPIPE', 'CONNECTION_LOST'],
  ['EMFILE', 'OUT_OF_SOCKETS'],
  ['CERT_HAS_EXPIRED', 'TLS_FAILED'],
  ['ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR', 'TLS_FAILED'],
  ['UND_ERR_DESTROYED', 'CLIENT_CLOSED'],
])('%s while connecting is %s', (systemCode, code) => {
  const failure = toFailure(Object.assign(new Error('low-level words'), { code: systemCode }), target, 'connecting');
  expect(failure).toMatchObject({ kind: 'retryable', code });
});

test('what nobody foresaw is retried under one code, whatever it says', () => {
  expect(toFailure(new Error('odd 12345'), target, 'waiting')).toMatchObject({
    kind: 'retryable',
    code: 'REQUEST_FAILED',
  });
});

test('messages name the host, and not the path: a path may be a password', () => {
  const messages = [
    toFailure(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), target, 'connecting').message,
    toFailure(new Error('x'), target, 'reading').message,
    deadlinePassed(target, 'reading', 1_500).message,
  ];
  for (const message of messages) {
    expect(message).toContain('hooks.example:8443');
    expect(message).not.toContain('secret-path');
  }
  expect(messages[2]).toContain('1.5 s');
});
