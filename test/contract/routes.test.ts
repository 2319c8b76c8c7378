import { describe, expect, it } from 'vitest';
import { OPERATIONS } from '../../contract/operations.ts';
import type { Operation } from '../../contract/operation.ts';
import { PROTECTED_ROUTES, PUBLIC_ROUTES } from '../security/routes.ts';
import { registeredRoutes } from '../support/registered-routes.ts';

// The table of routes against the router's own, and against the list that the tests of access run over.

const nameOf = ({ method, pattern }: Pick<Operation, 'method' | 'pattern'>): string => `${method} ${pattern}`;
const registered = registeredRoutes();
const served = [...new Set(registered.flatMap(({ method, path }) => (method === 'ALL' ? [] : [`${method} ${path}`])))];

it('the contract has every route that the router has, and no other', () => {
  expect(OPERATIONS.map(nameOf).toSorted()).toEqual(served.toSorted());
});

it('no two operations have one name', () => {
  const ids = OPERATIONS.map(({ id }) => id);
  expect([...new Set(ids)]).toEqual(ids);
});

describe.each(OPERATIONS.map((operation) => [nameOf(operation), operation] as const))('%s', (name, operation) => {
  it('names who may use it, as the tests of access have it', () => {
    const route = PROTECTED_ROUTES.find((one) => nameOf(one) === name);
    const isPublic = PUBLIC_ROUTES.includes(name);
    const access = isPublic ? ['anyone', 'sender', 'session'] : [route?.permission ?? 'caller'];
    expect(access).toContain(operation.access);
  });

  it('names each part of its path', () => {
    const parts = [...operation.pattern.matchAll(/:(\w+)/g)].map(([, part]) => part);
    const named = operation.parameters.flatMap((one) => (one.in === 'path' ? [one.name] : []));
    expect(named).toEqual(parts);
  });

  it('has the success that the tests of access know', () => {
    const route = PROTECTED_ROUTES.find((one) => nameOf(one) === name);
    const statuses = operation.successes.map(({ status }) => status);
    expect(statuses).toEqual(route === undefined ? statuses : [route.success.status]);
  });
});
