import { describe, expect, it } from 'vitest';
import { registeredRoutes } from '../support/registered-routes.ts';
import { nameOf, PROTECTED_ROUTES, PUBLIC_ROUTES } from './routes.ts';

// The router's own table against the list that the suite of every protected route runs over.

const routes = registeredRoutes();
/** Middleware is registered for every method, and so are the handlers that answer 405. */
const served = routes.filter(({ method }) => method !== 'ALL');
const forEveryMethod = routes.filter(({ method }) => method === 'ALL');
const listed = [...PROTECTED_ROUTES.map(nameOf), ...PUBLIC_ROUTES];

describe('the list of routes', () => {
  it('holds every route that is registered, and no other', () => {
    const registered = new Set(served.map(({ method, path }) => `${method} ${path}`));
    expect([...registered].toSorted()).toEqual(listed.toSorted());
  });

  it('holds the path of every handler of all methods: only middleware has a pattern', () => {
    const paths = listed.map((name) => name.split(' ')[1]);
    const others = forEveryMethod.filter(({ path }) => !path.endsWith('*') && !paths.includes(path));
    expect(others).toEqual([]);
  });

  it.each(['authenticateMiddleware', 'rateLimitMiddleware'])('has every protected route behind %s', (name) => {
    for (const { method, pattern } of PROTECTED_ROUTES) {
      const covering = pattern.startsWith('/api/') ? '/api/*' : pattern;
      const middleware = routes.findIndex(({ path, handler }) => path === covering && handler.name === name);
      const position = routes.findIndex((route) => route.method === method && route.path === pattern);
      expect([middleware >= 0, position > middleware], pattern).toEqual([true, true]);
    }
  });

  it('has no other route behind authentication', () => {
    const covered = routes.filter(({ handler }) => handler.name === 'authenticateMiddleware').map(({ path }) => path);
    expect(covered).toEqual(['/api/*', '/workspace']);
  });
});
