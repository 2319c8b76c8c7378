import type { Defence } from '../defence.ts';

const CONTEXT = { file: 'src/http/context.ts', test: ['test/http/request-context.test.ts'] };

/** What every request passes, whatever it asks for. */
export const httpDefences: readonly Defence[] = [
  {
    ...CONTEXT,
    name: 'http: a request id can be nothing but an id',
    find: "matching(REQUEST_ID, c.req.header('X-Request-Id'))",
    replace: "c.req.header('X-Request-Id')",
  },
  {
    ...CONTEXT,
    name: 'http: a trace context that is none is not passed on',
    find: "matching(TRACEPARENT, c.req.header('traceparent'))",
    replace: "c.req.header('traceparent') ?? null",
  },
  {
    ...CONTEXT,
    name: 'http: the address is the one that Cloudflare saw',
    find: "matching(IP_ADDRESS, c.req.header('CF-Connecting-IP'))",
    replace: "matching(IP_ADDRESS, c.req.header('X-Forwarded-For') ?? c.req.header('CF-Connecting-IP'))",
  },
  {
    ...CONTEXT,
    name: 'http: the log names the route and not the URL',
    find: 'route: routeOf(c),',
    replace: 'route: c.req.path,',
  },
  {
    name: 'http: what a bug says goes nowhere',
    file: 'src/http/answer.ts',
    find: 'name: error.name,',
    replace: 'name: String(error),',
    test: CONTEXT.test,
  },
  {
    ...CONTEXT,
    name: 'http: answers are not stored',
    find: "headers.set('Cache-Control', 'no-store');",
    replace: '',
    test: ['test/tokens/happy.test.ts'],
  },
  {
    name: 'http: an identity without a role is no caller',
    file: 'src/http/access.ts',
    find: "if (roles.length === 0) return reject({ kind: 'no_role' }, verified.value);",
    replace: '',
    test: ['test/trail/rejections.test.ts'],
  },
  {
    name: 'http: a caller without the permission is turned away before its request is read',
    file: 'src/http/access.ts',
    find: 'if (hasPermission(caller, permission)) return await next();',
    replace: 'if (hasPermission(caller, permission) || action) return await next();',
    test: ['test/tokens/denials.test.ts'],
  },
  {
    name: 'http: nothing but ids is kept of a request that is turned away',
    file: 'src/http/access.ts',
    find: 'text !== undefined && isTokenId(text) ? text : null',
    replace: "text ?? (isTokenId('') ? '' : null)",

    test: ['test/tokens/denials.test.ts'],
  },
  {
    name: 'http: each caller has its limit',
    file: 'src/http/rate-limit.ts',
    find: 'if (asked.ok && !asked.value.success)',
    replace: 'if (asked.ok && !key)',
    test: ['test/http/rate-limit.test.ts'],
  },
  {
    name: 'http: a caller is limited by issuer and subject',
    file: 'src/http/rate-limit.ts',
    find: 'const key = JSON.stringify([issuer, subject])',
    replace: 'const key = JSON.stringify([issuer])',
    test: ['test/http/rate-limit.test.ts'],
  },
  {
    name: 'http: a list of workspaces is for callers alone',
    file: 'src/app.ts',
    find: "const PROTECTED_PATHS = ['/api/*', WORKSPACE];",
    replace: "const PROTECTED_PATHS = ['/api/*', `${WORKSPACE}s`];",
    test: ['test/security/completeness.test.ts'],
  },
  {
    name: 'http: a leaver is shown no workspace',
    file: 'src/tokens/workspaces.ts',
    find: 'if (block?.blocked === 1)',
    replace: 'if (block?.blocked === 2)',
    test: ['test/tokens/workspaces.test.ts'],
  },
  {
    name: 'http: a caller is shown workspaces in use only by a role for all of them',
    file: 'src/policy/reach.ts',
    find: "workspaces.includes('*') ? [...first, ...all] : workspaces",
    replace: "workspaces.includes('*') ? [...first, ...all] : [...workspaces, ...all]",
    test: ['test/policy/workspaces.test.ts'],
  },
  {
    name: 'http: what makes a request a 400 is told first',
    file: 'src/kit/problems.ts',
    find: 'const all = () => [...misunderstood, ...unacceptable];',
    replace: 'const all = () => [...unacceptable, ...misunderstood];',
    test: ['test/http/first-problem.test.ts'],
  },
];
