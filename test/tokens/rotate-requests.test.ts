import { expect, it } from 'vitest';
import { parseRotate } from '../../src/tokens/requests.ts';

// A rotation as it is sent: nothing in it says what its successor may do.

const NOW_MS = Date.UTC(2026, 10, 24);
const WORKSPACE = '5877a4ae-0000-4000-8000-000000000000';
const read = (body: object, query = '', id = 'tok-1') =>
  parseRotate({
    id,
    body: { ...body },
    query: new URLSearchParams(query),
    defaultWorkspaceUuid: WORKSPACE,
    nowMs: NOW_MS,
  });

it.each<[string, object, object]>([
  ['nothing', {}, {}],
  ['no overlap', { overlap: '0s' }, { overlapSeconds: 0 }],
  ['an overlap', { overlap: '90m' }, { overlapSeconds: 5_400 }],
  ['an overlap of weeks', { overlap: '1w' }, { overlapSeconds: 604_800 }],
  ['null, which counts as absent', { overlap: null, expires_at: null, expires_in: null }, {}],
  ['no expiry as PipeOps writes it', { expires_at: '' }, {}],
  ['a duration', { expires_in: '30d' }, { expiresAt: '2026-12-24T00:00:00.000Z' }],
  ['a number of days', { expires_in: 30 }, { expiresAt: '2026-12-24T00:00:00.000Z' }],
  ['a time', { expires_at: '2026-12-01T02:00:00+02:00' }, { expiresAt: '2026-12-01T00:00:00.000Z' }],
])('%s is read', (_case, body, expected) => {
  expect(read(body)).toEqual({
    ok: true,
    value: { workspaceUuid: WORKSPACE, tokenId: 'tok-1', overlapSeconds: 86_400, expiresAt: null, ...expected },
  });
});

it.each<[string, object, string, 'invalid_request' | 'validation_failed', string]>([
  ['an unknown field', { name: 'other' }, '', 'invalid_request', 'name'],
  ['scopes', { scopes: ['api:full'] }, '', 'invalid_request', 'scopes'],
  ['an unknown parameter', {}, '?overlap=1h', 'invalid_request', 'overlap'],
  ['no workspace', { workspace_uuid: '' }, '', 'invalid_request', 'workspace_uuid'],
  ['two workspaces', { workspace_uuid: 'one' }, '?workspace_uuid=two', 'invalid_request', 'workspace_uuid'],
  ['an overlap in no known form', { overlap: 'soon' }, '', 'validation_failed', 'overlap'],
  ['an empty overlap', { overlap: '' }, '', 'validation_failed', 'overlap'],
  ['a negative overlap', { overlap: '-1s' }, '', 'validation_failed', 'overlap'],
  ['an overlap that is a number', { overlap: 5 }, '', 'validation_failed', 'overlap'],
  ['a past expiry', { expires_at: '2001-01-01T00:00:00Z' }, '', 'validation_failed', 'expires_at'],
  ['an expiry in no known form', { expires_in: 'soon' }, '', 'validation_failed', 'expires_in'],
  ['two expiries', { expires_at: '2099-01-01T00:00:00Z', expires_in: '1d' }, '', 'validation_failed', 'expires_at'],
])('%s is refused by name', (_case, body, query, kind, field) => {
  const result = read(body, query);
  expect(result).toMatchObject({ ok: false, error: { kind } });
  expect(result.ok || !('errors' in result.error) ? [] : Object.keys(result.error.errors)).toContain(field);
});

it('what is no id of a token is refused', () => {
  expect(read({}, '', '../x')).toMatchObject({
    ok: false,
    error: { kind: 'invalid_request', errors: { id: [expect.any(String)] } },
  });
});
