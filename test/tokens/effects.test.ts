import { describe, expect, it } from 'vitest';
import { OUTCOME_DETAIL_MAX_BYTES } from '../../src/config/limits.ts';
import {
  cameOfCreate,
  contradiction,
  contradictionOfUpdate,
  type Granted,
  type MintedEffect,
  withCame,
} from '../../src/tokens/effects.ts';

// What PipeOps did, held against what it was asked to do.

const WORKSPACE = '5877a4ae-1111-4222-8333-94d1e5f60718';
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const EXPIRY = '2031-01-01T00:00:00.000Z';
const EXPIRY_MS = Date.parse(EXPIRY);
const after = (ms: number): string => new Date(EXPIRY_MS + ms).toISOString();
const granted: Granted = { workspaceUuid: WORKSPACE, scopes: ['api:read', 'api:write'], expiresAtMs: EXPIRY_MS };
const whole: MintedEffect = { scopes: ['api:read', 'api:write'], expiresAt: EXPIRY, workspaceId: WORKSPACE };

describe('a create', () => {
  it.each<[string, Partial<MintedEffect>, Partial<Granted>, ReturnType<typeof contradiction>, object]>([
    ['is what was granted', {}, {}, null, {}],
    ['has a scope beyond', { scopes: ['api:read', 'api:full'] }, {}, ['scopes'], { scopes: ['api:full', 'api:read'] }],
    ['has the scopes in another order', { scopes: ['api:write', 'api:read'] }, {}, null, {}],
    ['has the scopes in other cases', { scopes: ['API:Read', 'api:WRITE'] }, {}, null, {}],
    ['has fewer scopes', { scopes: ['api:read'] }, {}, null, { scopes: ['api:read'] }],
    ['has no scopes', { scopes: [] }, {}, null, { scopes: [] }],
    ['has no expiry', { expiresAt: null }, {}, ['expiresAt'], { expires_at: null }],
    ['has no expiry where none was granted', { expiresAt: null }, { expiresAtMs: null }, null, {}],
    ['has an expiry where none was granted', {}, { expiresAtMs: null }, null, { expires_at: EXPIRY }],
    ['expires a minute late', { expiresAt: after(60_000) }, {}, null, { expires_at: after(60_000) }],
    ['expires later', { expiresAt: after(60_001) }, {}, ['expiresAt'], { expires_at: after(60_001) }],
    ['expires earlier', { expiresAt: after(-1_000) }, {}, null, { expires_at: after(-1_000) }],
    ['has expired', { expiresAt: '2001-01-01T00:00:00.000Z' }, {}, null, { expires_at: '2001-01-01T00:00:00.000Z' }],
    ['expires at the same second', { expiresAt: EXPIRY }, { expiresAtMs: EXPIRY_MS + 999 }, null, {}],
    ['is elsewhere', { workspaceId: ELSEWHERE }, {}, ['workspaceId'], { workspace_id: ELSEWHERE }],
    ['names the workspace in capitals', { workspaceId: WORKSPACE.toUpperCase() }, {}, null, {}],
    ['names it without hyphens', { workspaceId: WORKSPACE.replaceAll('-', '') }, {}, null, {}],
    [
      'is elsewhere, without hyphens',
      { workspaceId: ELSEWHERE.replaceAll('-', '') },
      {},
      ['workspaceId'],
      expect.anything(),
    ],
    ['names it by a number', { workspaceId: '4711' }, {}, null, {}],
    ['names it by hex digits that are no UUID', { workspaceId: ELSEWHERE.slice(0, -1) }, {}, null, {}],
    ['names no workspace', { workspaceId: null }, {}, null, {}],
    ['was for a workspace that is no UUID', { workspaceId: ELSEWHERE }, { workspaceUuid: 'shop' }, null, {}],
    [
      'is all of it wrong',
      { scopes: ['*'], expiresAt: null, workspaceId: ELSEWHERE },
      {},
      ['scopes', 'expiresAt', 'workspaceId'],
      { scopes: ['*'], expires_at: null, workspace_id: ELSEWHERE },
    ],
  ])('that %s', (_case, minted, asked, fields, came) => {
    const [grant, effect] = [
      { ...granted, ...asked },
      { ...whole, ...minted },
    ];
    expect(contradiction(grant, effect)).toEqual(fields);
    expect(cameOfCreate(grant, effect)).toEqual(came);
  });
});

describe('an update', () => {
  it.each([
    ['that suspends shows the token suspended', { isActive: false }, { isActive: false }, null],
    ['that suspends shows it active', { isActive: false }, { isActive: true }, { is_active: true }],
    ['that resumes shows it suspended', { isActive: true }, { isActive: false }, { is_active: false }],
    ['that suspends does not say', { isActive: false }, { isActive: null }, null],
    ['that renames shows it suspended', {}, { isActive: false }, null],
    ['that narrows shows a scope beyond', { scopes: ['a'] }, { scopes: ['A', 'b'] }, { scopes: ['b', 'A'] }],
    ['that narrows shows fewer', { scopes: ['a', 'b'] }, { scopes: ['B'] }, null],
    ['that narrows does not say', { scopes: ['a'] }, { scopes: [] }, null],
    ['that renames shows any scope', {}, { scopes: ['*'] }, null],
    [
      'that does both shows neither',
      { isActive: false, scopes: ['a'] },
      { isActive: true, scopes: ['b'] },
      { is_active: true, scopes: ['b'] },
    ],
  ])('%s', (_case, asked, shown, came) => {
    expect(contradictionOfUpdate(asked, { isActive: null, scopes: [], ...shown })).toEqual(came);
  });
});

describe('what came, in the outcome of a row', () => {
  const detail = { role: 'r'.repeat(64), granted_expires_at: EXPIRY };
  const bytes = (value: object): number => new TextEncoder().encode(JSON.stringify(value)).length;

  it('is nothing where all is as it was granted', () => {
    expect(withCame(detail, {})).toEqual(detail);
  });

  it.each([
    ['a thousand scopes', Array.from({ length: 1_000 }, (_, n) => `scope:${n}`)],
    ['one of a megabyte', ['x'.repeat(1_000_000), 'api:read']],
    ['quotes and letters of several bytes', Array.from({ length: 50 }, (_, n) => `${'"é'.repeat(12)}${n}`)],
  ])('is cut to the room that there is: %s', (_case, scopes) => {
    const rows = [
      [detail, { expires_at: EXPIRY }, 0],
      [{}, { expires_at: EXPIRY, workspace_id: ELSEWHERE }, 0],
      [{}, { is_active: false }, 50],
    ] as const;
    for (const [beside, came, kept] of rows) {
      const cut = withCame(beside, { ...came, scopes }, kept);
      expect(bytes(cut) + kept).toBeLessThanOrEqual(OUTCOME_DETAIL_MAX_BYTES);
      const { scopes: shown, more_scopes: more = 0 } = cut['came'] as { scopes: string[]; more_scopes?: number };
      expect(shown.length + more).toBe(scopes.length);
    }
  });

  it('names what is beyond the grant first', () => {
    const came = cameOfCreate(granted, { ...whole, scopes: ['api:read', 'api:write', 'api:full'] });
    expect(withCame({}, came)).toEqual({ came: { scopes: ['api:full', 'api:read', 'api:write'] } });
  });
});
