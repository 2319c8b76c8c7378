import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, expect, it } from 'vitest';
import { keepLoopbackDirect } from '../../local/loopback.ts';

describe('the exceptions from proxies', () => {
  it.each([
    ['are the names of this machine', {}, '127.0.0.1,localhost,::1,[::1]'],
    [
      'keep what the user set',
      { NO_PROXY: 'a.example, b.example' },
      'a.example,b.example,127.0.0.1,localhost,::1,[::1]',
    ],
    [
      'are read from the lower-case name first, as Node does',
      { no_proxy: 'a', NO_PROXY: 'b' },
      'a,127.0.0.1,localhost,::1,[::1]',
    ],
  ])('%s', (_case, given: Record<string, string>, expected) => {
    const environment: Record<string, string | undefined> = { ...given };
    keepLoopbackDirect(environment);
    expect(environment).toMatchObject({ no_proxy: expected, NO_PROXY: expected });
  });

  it('stay everything where the user excepts everything', () => {
    const environment: Record<string, string | undefined> = { NO_PROXY: '*' };
    keepLoopbackDirect(environment);
    expect(environment).toEqual({ NO_PROXY: '*' });
  });
});

it('no command sends what is for this machine through a proxy', async () => {
  const seen: (string | undefined)[] = [];
  const proxy = createServer((request, response) => response.end(void seen.push(request.url)));
  proxy.on('connect', (request, socket) => socket.end('HTTP/1.1 502 No\r\n\r\n', () => void seen.push(request.url)));
  const service = createServer((_request, response) => response.writeHead(404).end('{}'));
  for (const server of [proxy, service]) await once(server.listen(0, '127.0.0.1'), 'listening');
  const urlOf = (server: typeof proxy): string => `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const child = spawn(
    process.execPath,
    [path.resolve(import.meta.dirname, '../../commands/audit/main.ts'), '--url', urlOf(service)],
    {
      env: {
        PATH: process.env['PATH'],
        COUNTERSIGN_JWT: 'aGVhZGVy.cGF5bG9hZA.c2lnbmF0dXJl',
        NODE_USE_ENV_PROXY: '1',
        HTTP_PROXY: urlOf(proxy),
        http_proxy: urlOf(proxy),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  );
  expect(await text(child.stderr)).toContain('does not answer as Countersign does (404');
  expect(seen).toEqual([]);
  for (const server of [proxy, service]) server.close();
});
