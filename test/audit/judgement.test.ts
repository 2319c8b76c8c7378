import { describe, expect, it } from 'vitest';
import { giveUp, judgeCreate, judgeRevoke, judgeUpdate } from '../../src/audit/judgement.ts';
import { byteLength } from '../../src/text/caps.ts';
import { OUTCOME_DETAIL_MAX_BYTES, RECONCILE_GIVE_UP_SECONDS } from '../../src/config/limits.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { tokenList as list, upstreamToken as token } from '../support/upstream-token.ts';

const OURS = '-csgn-aaaaaaaaaaaaaaaa';
const OTHER = '-csgn-bbbbbbbbbbbbbbbb';
const NOW = 1_800_000_000_000;

const row = (values: Partial<AuditEventRow> = {}): AuditEventRow =>
  ({
    id: 'e',
    marker: OURS,
    token_name: 'deploy',
    occurred_at: NOW - 300_000,
    detail: '{}',
    ...values,
  }) as AuditEventRow;
describe('an open create', () => {
  it.each([
    [
      'its marker is listed: the token was never delivered',
      list([token({ name: `deploy${OURS}` })]),
      'revoke',
      'undelivered',
    ],
    [
      'its marker is listed on a token revoked since',
      list([token({ name: `deploy${OURS}`, isRevoked: true })]),
      'settle',
      'undelivered',
    ],
    [
      'its marker is listed in an incomplete list',
      list([token({ name: `deploy${OURS}` })], false),
      'revoke',
      'undelivered',
    ],
    ['a complete list is empty', list([]), 'settle', 'not_applied'],
    [
      'a complete list shows another marker of ours',
      list([token({ name: `deploy${OTHER}` })]),
      'settle',
      'not_applied',
    ],
    [
      'an incomplete list lacks it: absence proves nothing',
      list([token({ name: `deploy${OTHER}` })], false),
      'wait',
      undefined,
    ],
    ['a list shows no marker at all: names may not come back as sent', list([token()]), 'wait', undefined],
    [
      'a token of the same name without the marker is never revoked',
      list([token({ name: 'deploy' })]),
      'wait',
      undefined,
    ],
    ['a marker in the middle of a name is none', list([token({ name: `x${OURS}y` })]), 'wait', undefined],
  ])('%s', (_name, listed, verdict, errorCode) => {
    const outcome = { status: 'failure', errorCode, detail: { settled_by: 'reconciliation' } };
    expect(judgeCreate(row(), listed, NOW)).toMatchObject(verdict === 'wait' ? { verdict } : { verdict, outcome });
  });

  it('names the token it found', () => {
    const judgement = judgeCreate(row(), list([token({ id: 'tok-9', name: `deploy${OURS}` })]), NOW);
    expect(judgement).toMatchObject({ verdict: 'revoke', tokenId: 'tok-9', outcome: { tokenId: 'tok-9' } });
  });

  it('is left to a person after a day, with the candidates that fit into the row', () => {
    const old = row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 });
    const many = Array.from({ length: 20 }, (_item, index) => token({ id: `candidate-${index}` }));
    const judgement = judgeCreate(old, list([token({ id: 'other-name', name: 'x' }), ...many]), NOW);
    expect(judgement).toMatchObject({ verdict: 'settle', outcome: { errorCode: 'outcome_unknown' } });
    const { detail } = (judgement as unknown as { outcome: { detail: { candidates: string[] } } }).outcome;
    expect(detail.candidates.slice(0, 2)).toEqual(['candidate-0', 'candidate-1']);
    expect(detail.candidates).not.toContain('other-name');
    expect(byteLength(JSON.stringify(detail))).toBeLessThanOrEqual(OUTCOME_DETAIL_MAX_BYTES);
  });

  it('waits until the very millisecond of that day', () => {
    expect(giveUp(row({ occurred_at: NOW - RECONCILE_GIVE_UP_SECONDS * 1000 + 1 }), NOW).verdict).toBe('wait');
  });
});

describe('an open revoke', () => {
  it.each([
    ['PipeOps no longer has it', null, 'success', null],
    ['PipeOps says that it is revoked', token({ isRevoked: true }), 'success', null],
    ['it is still live', token(), 'failure', 'not_applied'],
    ['it is merely suspended', token({ isActive: false }), 'failure', 'not_applied'],
  ])('%s', (_name, readBack, status, errorCode) => {
    expect(judgeRevoke(row(), readBack)).toMatchObject({
      outcome: { status, errorCode, detail: { settled_by: 'reconciliation' } },
    });
  });
});

it('a compensating revoke, which nobody will repeat, is driven to its end', () => {
  expect(judgeRevoke(row({ actor_type: 'system' }), token())).toMatchObject({
    verdict: 'revoke',
    tokenId: 'tok-1',
    outcome: { status: 'success' },
  });
});

describe('an open update', () => {
  const asked = { name: true, description_sha256: 'd1', scopes: ['a', 'b'], is_active: false };
  const attempt = row({ token_name: 'new', detail: JSON.stringify(asked) });
  const done = token({ name: `new${OURS}`, scopes: ['b', 'a'], isActive: false });
  it.each([
    ['everything asked for is there, in any order', done, 'd1', 'success'],
    ['the name differs', { ...done, name: 'old' }, 'd1', 'failure'],
    ['the description differs', done, 'd2', 'failure'],
    ['a scope is missing', { ...done, scopes: ['a'] }, 'd1', 'failure'],
    ['a scope is left over', { ...done, scopes: ['a', 'b', 'c'] }, 'd1', 'failure'],
    ['it is still active', { ...done, isActive: true }, 'd1', 'failure'],
    ['the token is gone', null, null, 'failure'],
    ['one thing differs and PipeOps leaves another out', { ...done, name: 'old', isActive: null }, null, 'failure'],
  ])('%s', (_name, readBack, digest, status) => {
    expect(judgeUpdate(attempt, readBack, digest, NOW)).toMatchObject({ verdict: 'settle', outcome: { status } });
  });

  it.each([
    ['whether it is active', { ...done, isActive: null }, 'd1'],
    ['its description', done, null],
  ])('waits where PipeOps leaves out %s, for a day', (_name, readBack, digest) => {
    expect(judgeUpdate(attempt, readBack, digest, NOW)).toEqual({ verdict: 'wait' });
    const aDayLater = NOW + RECONCILE_GIVE_UP_SECONDS * 1000;
    expect(judgeUpdate(attempt, readBack, digest, aDayLater)).toMatchObject({
      outcome: { errorCode: 'outcome_unknown' },
    });
  });

  it('looks at nothing but what was asked for', () => {
    const renamed = row({ token_name: 'new', detail: JSON.stringify({ name: true }) });
    const readBack = token({ name: 'new', scopes: [], isActive: null });
    expect(judgeUpdate(renamed, readBack, null, NOW)).toMatchObject({ outcome: { status: 'success' } });
  });
});
