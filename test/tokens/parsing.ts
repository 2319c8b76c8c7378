import { expect } from 'vitest';
import type { FieldErrors, RequestFailure } from '../../src/failures.ts';
import { parseCreate, parseUpdate } from '../../src/tokens/requests.ts';
import type { Result } from '../../src/kit/result.ts';

export const NOW_MS = Date.parse('2026-03-01T12:00:00.000Z');
export const WORKSPACE = '5877a4ae-0d0c-4f6c-9a4c-5d2f2f9b0b11';
export const OTHER_WORKSPACE = '0f8fad5b-d9cb-469f-a165-70867728950e';
export const MARKER_SHAPED = '-csgn-abcdefghijklmn23';
/** Of a secret's shape, and none. */
export const SECRET = 'sat_Zk3nP0qLmW8xYb71';
export const JWT = ['eyJhbGciOiJFUzI1NiJ9', 'eyJzdWIiOiJhIn0', 'c2lnbmF0dXJl'].join('.');

/** The least that a create needs, beside the default workspace. */
export const LEAST = { name: 'shop-ci', scopes: ['api:read'] };

interface Place {
  readonly query?: string;
  readonly defaultWorkspaceUuid?: string | null;
}

/** Through JSON, as a body comes: so that `__proto__` is a key of its own. */
function received(body: unknown): Record<string, unknown> {
  const value: Record<string, unknown> = JSON.parse(typeof body === 'string' ? body : JSON.stringify(body));
  return value;
}

export const create = (body: unknown, { query = '', defaultWorkspaceUuid = WORKSPACE }: Place = {}) =>
  parseCreate({ body: received(body), query: new URLSearchParams(query), defaultWorkspaceUuid, nowMs: NOW_MS });

export const update = (
  body: unknown,
  { id = 'tok-1', query = '', defaultWorkspaceUuid = WORKSPACE }: Place & { readonly id?: string } = {},
) => parseUpdate({ id, body: received(body), query: new URLSearchParams(query), defaultWorkspaceUuid });

export function accepted<T>(result: Result<T, RequestFailure>): T {
  expect(result).toMatchObject({ ok: true });
  if (!result.ok) throw new Error('refused');
  return result.value;
}

type RefusalKind = Extract<RequestFailure, { errors: FieldErrors }>['kind'];

/** The messages per field of a refusal, which must be of this kind. */
export function refused(result: Result<unknown, RequestFailure>, kind: RefusalKind): FieldErrors {
  expect(result).toMatchObject({ ok: false, error: { kind } });
  if (result.ok || !('errors' in result.error)) throw new Error('not refused');
  return result.error.errors;
}
