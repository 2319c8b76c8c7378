import { describe, expect, it } from 'vitest';
import { createApp } from '../../src/app.ts';
import { bareServices } from '../support/registered-routes.ts';

// The console's page is an asset. What reaches the Worker is a path that only the page's own script knows.

/** A Worker deployed with one page, which tells what it was asked for. */
function deployed() {
  const asked: string[] = [];
  const assets = {
    fetch: async (request: Request) => {
      asked.push(`${request.method} ${request.url} ${[...request.headers.keys()].join(' ')}`.trim());
      return await Promise.resolve(new Response('<!doctype html>', { headers: { 'Content-Type': 'text/html' } }));
    },
  };
  return { asked, app: createApp({ ...bareServices(), assets }) };
}

const ORIGIN = 'https://countersign.example';

describe('a path of the console', () => {
  it.each(['/console', '/console/activity', '/console/tokens/a%2Fb/tok.1~x', '/console/nothing/here'])(
    '%s gets the one page, whoever asks, and nothing of the request goes along',
    async (path) => {
      const { app, asked } = deployed();
      const headers = { Authorization: 'Bearer a.b.c', Cookie: 'a=b', 'If-None-Match': '"x"', Range: 'bytes=0-1' };
      const response = await app.request(`${ORIGIN}${path}?q=x`, { headers });
      expect([response.status, await response.text()]).toEqual([200, '<!doctype html>']);
      expect(response.headers.get('X-Request-Id')).toMatch(/./);
      expect(asked).toEqual([`GET ${ORIGIN}/console`]);
    },
  );

  it.each(['/console/assets/gone.js', '/consoles', '/Console'])('%s is no such path', async (path) => {
    const { app, asked } = deployed();
    const response = await app.request(`${ORIGIN}${path}`);
    expect([response.status, await response.json()]).toMatchObject([404, { code: 'not_found' }]);
    expect(asked).toEqual([]);
  });

  it('is none to a change', async () => {
    const { app, asked } = deployed();
    expect((await app.request(`${ORIGIN}/console/tokens`, { method: 'POST' })).status).toBe(404);
    expect(asked).toEqual([]);
  });
});

it('/ leads to the console', async () => {
  const response = await deployed().app.request(`${ORIGIN}/`);
  expect([response.status, response.headers.get('Location')]).toEqual([302, '/console']);
});

it.each(['/', '/console', '/console/tokens'])('a Worker without assets has no console at %s', async (path) => {
  expect((await createApp(bareServices()).request(`${ORIGIN}${path}`)).status).toBe(404);
});
