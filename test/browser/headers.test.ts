import { get } from 'node:http';
import { once } from 'node:events';
import { describe, expect, inject, it } from 'vitest';

// What a browser is told about the pages of the console, by the service as it runs.

/** Asks for a path byte by byte: a browser, like `fetch`, would clean it up first. */
async function answerTo(path: string): Promise<{ readonly status: number; readonly header: (name: string) => string }> {
  const { hostname, port } = new URL(inject('browserRun').url);
  const request = get({ hostname, port, path, agent: false });
  const [response] = await once(request, 'response');
  response.resume();
  const header = (name: string): string => String(response.headers[name.toLowerCase()] ?? '');
  return { status: response.statusCode, header };
}

const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
];

describe('the headers of a page', () => {
  it.each([
    // An asset, which Cloudflare serves; a new version is seen at once.
    ['/console', 'text/html; charset=utf-8', 'public, max-age=0, must-revalidate'],
    ['/console/assets/console.js', 'text/javascript; charset=utf-8', 'public, max-age=0, must-revalidate'],
    ['/console/assets/console.css', 'text/css; charset=utf-8', 'public, max-age=0, must-revalidate'],
    ['/console/assets/icon.svg', 'image/svg+xml', 'public, max-age=0, must-revalidate'],
    // The Worker serves it.
    ['/console/tokens/5877a4ae-0000-4000-8000-000000000001/a%2Fb', 'text/html; charset=utf-8', 'no-store'],
    ['/console/activity?actor=%3Cscript%3E', 'text/html; charset=utf-8', 'no-store'],
  ])('%s', async (path, type, caching) => {
    const { status, header } = await answerTo(path);
    expect(status).toBe(200);
    expect(header('Content-Type')).toBe(type);
    expect(header('Cache-Control')).toBe(caching);
    expect(header('Content-Security-Policy').split('; ')).toEqual(POLICY);
    expect(header('X-Frame-Options')).toBe('DENY');
    expect(header('X-Content-Type-Options')).toBe('nosniff');
    expect(header('Referrer-Policy')).toBe('no-referrer');
    expect(header('Cross-Origin-Opener-Policy')).toBe('same-origin');
    expect(header('Cross-Origin-Resource-Policy')).toBe('same-origin');
    expect(header('Permissions-Policy')).toContain('camera=()');
    // Whoever only looks at the page gets no cookie.
    expect(header('Set-Cookie')).toBe('');
  });
});

describe('a path that is not quite one of the console', () => {
  it.each([
    // The console's one page has one address.
    ['/console/', 307, '/console'],
    ['/console.html', 307, '/console'],
    ['/console/index.html', 307, '/console'],
    ['/', 302, '/console'],
  ])('%s leads there', async (path, status, place) => {
    const answer = await answerTo(path);
    expect([answer.status, answer.header('Location')]).toEqual([status, place]);
  });

  it.each([
    ['/console/../api/v1/whoami', 401],
    ['/console/%2e%2e/api/v1/whoami', 401],
    ['/consolexyz', 404],
    ['/Console', 404],
    ['/console/assets/none.js', 404],
    ['/console/assets/../../api/v1/whoami', 401],
  ])('%s is answered as what it is, in JSON', async (path, status) => {
    const answer = await answerTo(path);
    expect([answer.status, answer.header('Content-Type')]).toEqual([status, 'application/json']);
  });

  it.each(['/console//evil.example/x', '/console/..%2fapi%2fv1%2fwhoami', '/console/%00', '/console/%ff%fe'])(
    '%s is the page, which knows no such place',
    async (path) => {
      const answer = await answerTo(path);
      expect([answer.status, answer.header('Content-Type'), answer.header('Location')]).toEqual([
        200,
        'text/html; charset=utf-8',
        '',
      ]);
    },
  );
});
