import { once } from 'node:events';
import https from 'node:https';
import tls from 'node:tls';
import type { HttpResponse } from '@switchyard/plugin-sdk';
import { createHttpClient, type HttpClientHandle } from '../../src/egress/client.ts';
import { closeServers, listen, serveBytes, serveHttp } from './servers.ts';

// Made for these tests, for the name good.test; it protects nothing.
const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg+tRtAnm6UuOv4pfh
I23hyivFkFgDa5aPiEyoFBVD7oOhRANCAAR586ppnk3GWVnlXVBGruZeEoadIq+l
+yX13oY14NAckPsBGK1aCzXq0DORxdwQfvhhB7oZNYqNTBHebKY1ylVd
-----END PRIVATE KEY-----`;
const cert = `-----BEGIN CERTIFICATE-----
MIIBlTCCATugAwIBAgIUU5UXYd0JgALkPBKS2etBr1C1ilQwCgYIKoZIzj0EAwIw
FDESMBAGA1UEAwwJZ29vZC50ZXN0MCAXDTI2MTEyMzE0MTkyN1oYDzIxMjYxMDMw
MTQxOTI3WjAUMRIwEAYDVQQDDAlnb29kLnRlc3QwWTATBgcqhkjOPQIBBggqhkjO
PQMBBwNCAAR586ppnk3GWVnlXVBGruZeEoadIq+l+yX13oY14NAckPsBGK1aCzXq
0DORxdwQfvhhB7oZNYqNTBHebKY1ylVdo2kwZzAdBgNVHQ4EFgQURWN1zBCnBPU1
xJN3Kf+ZF5+haJIwHwYDVR0jBBgwFoAURWN1zBCnBPU1xJN3Kf+ZF5+haJIwDwYD
VR0TAQH/BAUwAwEB/zAUBgNVHREEDTALgglnb29kLnRlc3QwCgYIKoZIzj0EAwID
SAAwRQIgRMGwf3uuQh9CdMADuwbOUzzmqB0H1r+8MxtsBjP9s8MCIQDAGogeE0yZ
pqL0wnM0j5F4f5lWnrgMGWxMvlar2ykCVA==
-----END CERTIFICATE-----`;

let handle: HttpClientHandle;
const authorities = tls.getCACertificates('default');

beforeEach(() => {
  handle = createHttpClient({ allow: ['127.0.0.0/8'], lookup: async () => ['127.0.0.1'] });
});
afterEach(async () => {
  tls.setDefaultCACertificates(authorities);
  await closeServers();
  await handle.close();
});

function post(url: string): Promise<HttpResponse> {
  return handle.client.request({ method: 'POST', url, body: '{}', timeoutMs: 3_000 }, new AbortController().signal);
}

function serveTls(): ReturnType<typeof listen> {
  return listen(https.createServer({ key, cert }, (_request, response) => response.end('secret')));
}

test('a certificate that a trusted authority gave for the name: the answer comes', async () => {
  tls.setDefaultCACertificates([...authorities, cert]);
  const { port } = await serveTls();
  const answers = await Promise.all(Array.from({ length: 10 }, () => post(`https://good.test:${port}/`)));
  expect(answers.map((answer) => answer.status)).toEqual(answers.map(() => 200));
});

test.each([
  ['that nobody trusts', 'good.test', false, /self-signed/],
  ['for another name', 'evil.test', true, /evil\.test/],
])('a certificate %s: nothing is sent', async (_what, name, trusted, message) => {
  if (trusted) tls.setDefaultCACertificates([...authorities, cert]);
  let requests = 0;
  const server = await listen(https.createServer({ key, cert }, () => (requests += 1)));
  const request = post(`https://${name}:${server.port}/`);
  await expect(request).rejects.toMatchObject({ kind: 'retryable', code: 'TLS_FAILED' });
  await expect(request).rejects.toThrow(message);
  expect(requests).toBe(0);
});

test('a server that speaks plain HTTP on the port', async () => {
  const server = await serveHttp((_request, response) => response.end());
  await expect(post(`https://good.test:${server.port}/`)).rejects.toMatchObject({ code: 'TLS_FAILED' });
});

test('a server that hangs up in the handshake', async () => {
  const server = await serveBytes((socket) => socket.destroy());
  await expect(post(`https://good.test:${server.port}/`)).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
});

test('a server that is silent in the handshake costs the deadline, and its socket is closed', async () => {
  const server = await serveBytes(() => undefined);
  const request = handle.client.request(
    { method: 'POST', url: `https://good.test:${server.port}/`, timeoutMs: 200 },
    new AbortController().signal,
  );
  await expect(request).rejects.toMatchObject({ code: 'TIMED_OUT', message: expect.stringContaining('connection') });
  const [socket] = server.sockets;
  if (socket !== undefined && !socket.closed) await once(socket, 'close');
}, 10_000);
