import { describe, expect, it } from 'vitest';
import { cellsOf, EVENT_COLUMNS, eventTable } from '../../../commands/audit/table.ts';
import { lineOf, usualLayout } from '../../../commands/columns.ts';
import { widthOf } from '../../../commands/terminal-text.ts';

const event = {
  occurred_at: '2026-11-24T03:34:09.301Z',
  action: 'service_account_token.revoke',
  status: 'success',
  count: 1,
  actor: { type: 'user', issuer: 'https://issuer.example', subject: '248289761001', label: 'alice@acme.example' },
  token_id: 'a6277f55-42a9-4276-8873-83aaee0f4a8a',
  error_code: null,
};
const failed = { ...event, status: 'failure', error_code: 'upstream_credential_rejected' };

const table = eventTable;

describe('a line of the table', () => {
  it.each([
    ['an event', {}, ['2026-11-24 03:34:09Z', event.action, 'success', 'alice@acme.example', event.token_id, '']],
    ['no label: the subject', { actor: { type: 'user', subject: 'alice', label: null } }, { 3: 'alice' }],
    ['no subject: the type', { actor: { type: 'system', subject: null, label: null } }, { 3: 'system' }],
    ['no token', { token_id: null }, { 4: '' }],
    ['a code', { error_code: 'forbidden' }, { 5: 'forbidden' }],
    ['a counted read', { action: 'audit.query', count: 12 }, { 1: 'audit.query ×12' }],
    [
      'a block of a label',
      { action: 'subject.block', token_id: null, detail: { label: 'ada@acme.example' } },
      { 4: 'ada@acme.example' },
    ],
    [
      'a block of a subject',
      { action: 'subject.block', token_id: null, detail: { issuer: 'https://i', subject: 'ada' } },
      { 4: 'ada' },
    ],
    [
      'a create',
      { token_name: 'deploy', detail: { scopes: ['api:read', 'api:full'], role: 'ci', policy: '3f0c' } },
      { 6: 'deploy', 7: 'api:read api:full', 9: 'ci', 10: '3f0c' },
    ],
    ['a create by a preset', { detail: { preset: 'sdk', preset_scopes: ['api:read'] } }, { 7: 'api:read' }],
    ['a reason', { detail: { reason: 'scopes' } }, { 8: 'scopes' }],
    ['something else', { action: 7, actor: null, detail: [], count: 'x' }, { 1: '', 3: '' }],
    ['a hostile label', { actor: { type: 'user', label: 'a\u001b[2Jb\nc' } }, { 3: 'a\ufffd[2Jb\ufffdc' }],
  ])('of %s', (_name, fields, cells) => {
    expect(Object.assign({}, cellsOf({ ...event, ...fields }))).toMatchObject(Object.assign({}, cells));
  });
});

describe('the table', () => {
  it('is as wide as what is in it where there is room', () => {
    expect(table([event], 200)).toEqual([
      'TIME                  ACTION                        STATUS   ACTOR               TOKEN                                 CODE',
      '2026-11-24 03:34:09Z  service_account_token.revoke  success  alice@acme.example  a6277f55-42a9-4276-8873-83aaee0f4a8a',
    ]);
  });

  const rich = {
    ...event,
    token_name: 'deploy',
    workspace_uuid: '5877a4ae-0000-4000-8000-000000000001',
    detail: { scopes: ['api:full'], role: 'admin', policy: '3f0c7b1d92e84a56' },
  };
  it.each([
    [125, []],
    [140, ['NAME', 'ROLE']],
    [150, ['NAME', 'SCOPES', 'ROLE']],
    [180, ['NAME', 'SCOPES', 'ROLE', 'POLICY']],
    [230, ['NAME', 'SCOPES', 'ROLE', 'POLICY', 'WORKSPACE']],
    [Infinity, ['NAME', 'SCOPES', 'ROLE', 'POLICY', 'WORKSPACE']],
  ])('shows more where there is room: %d cells', (cells, more) => {
    const [titles = ''] = table([rich], cells);
    expect(titles.split(/ {2,}/).slice(6)).toEqual(more);
  });

  it('cuts nothing where no terminal cuts it', () => {
    const label = 'a'.repeat(300);
    expect(table([{ ...rich, actor: { type: 'user', label } }], Infinity).join()).toContain(label);
  });

  it('gives up what all actions have in common, then the end of a code, before who did it and to what', () => {
    const [, line = ''] = table([failed], 120);
    expect(line.split(/ {2,}/)).toEqual([
      '2026-11-24 03:34:09Z',
      '…_token.revoke',
      'failure',
      'alice@acme.example',
      event.token_id,
      'upstream_crede…',
    ]);
  });

  it('is not given over to one long name', () => {
    const [, line = ''] = table([{ ...event, actor: { type: 'user', label: 'a'.repeat(96) } }], 120);
    expect(line).toMatch(/ a{20,}…  /);
    expect(line).toContain(event.token_id);
  });

  it.each([200, 120, 100, 80, 60, 40, 20, 5])('never wraps: %i cells', (cells) => {
    const wide = { ...event, actor: { type: 'user', label: '東京'.repeat(30) } };
    for (const line of table([event, failed, wide], cells)) expect(widthOf(line)).toBeLessThanOrEqual(cells);
    const usual = usualLayout(EVENT_COLUMNS, cells);
    for (const one of [event, failed, wide]) {
      expect(widthOf(lineOf(EVENT_COLUMNS, cellsOf(one), usual, cells))).toBeLessThanOrEqual(cells);
    }
  });

  it('keeps its columns under one another', () => {
    const lines = table([event, failed, { ...event, actor: { type: 'user', label: '東京'.repeat(30) } }], 120);
    const columns = lines.map((line) => widthOf(line.slice(0, line.search(/TOKEN|a6277f/))));
    expect(new Set(columns).size).toBe(1);
  });
});
