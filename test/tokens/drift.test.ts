import { describe, expect, it } from 'vitest';
import type { TokenRow } from '../../src/db/schema.ts';
import { findDrift } from '../../src/tokens/drift.ts';
import { createHarness, TOKENS, type Harness } from '../support/harness.ts';
import { tokenList as list, upstreamToken as token } from '../support/upstream-token.ts';

const BEGUN = 1_000_000;
const row = (values: Partial<TokenRow> = {}): TokenRow => ({
  workspace_uuid: 'w',
  token_id: 'tok-1',
  owner_issuer: 'i',
  owner_subject: 's',
  marker: null,
  create_event_id: null,
  created_at: BEGUN - 1,
  expires_at: null,
  revoked_at: null,
  ended_by: null,
  unseen_at: null,
  owner_label: null,
  token_prefix: null,
  fingerprint: null,
  fingerprint_key_id: null,
  suspended_by: null,
  ...values,
});
describe('a token of the inventory is gone', () => {
  it.each([
    ['where a complete list lacks it', row(), list([]), true],
    ['where a list shows it revoked', row(), list([token({ isRevoked: true })]), true],
    ['where an incomplete list shows it revoked', row(), list([token({ isRevoked: true })], false), true],
    ['not where it is listed', row(), list([token()]), false],
    ['not where an incomplete list lacks it', row(), list([], false), false],
    ['not where it was made while the list was on its way', row({ created_at: BEGUN }), list([]), false],
    ['not once it has expired', row({ expires_at: BEGUN }), list([]), false],
    ['not where it was revoked here', row({ revoked_at: 5 }), list([]), false],
  ])('%s', (_name, known, listed, gone) => {
    expect(findDrift([known], listed, BEGUN).gone).toEqual(gone ? [known] : []);
  });
});

describe('a listed token appeared', () => {
  it.each([
    ['where the inventory lacks it', [], token(), true],
    ['not where the inventory has it', [row()], token(), false],
    ['not where it is revoked already', [], token({ isRevoked: true }), false],
    [
      'not where it has a marker of ours: its create accounts for it',
      [],
      token({ name: 'n-csgn-aaaaaaaaaaaaaaaa' }),
      false,
    ],
  ])('%s', (_name, known, listed, appeared) => {
    expect(findDrift(known, list([listed]), BEGUN).appeared).toEqual(appeared ? [listed] : []);
  });
});

const systemRows = async (harness: Harness) => (await harness.rows()).filter((event) => event.actor_type === 'system');

describe('drift in the trail', () => {
  it('names a token that was revoked at PipeOps’ console, once', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.control.revokeByHand(id);
    for (let lists = 0; lists < 3; lists += 1) await harness.send('GET', TOKENS);
    expect(await systemRows(harness)).toMatchObject([
      { action: 'service_account_token.revoke', status: 'success', error_code: 'gone_upstream', token_id: id },
    ]);
    expect(await harness.inventory()).toMatchObject([{ token_id: id, revoked_at: expect.any(Number) }]);
  });

  it('says nothing of a token that was revoked here', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.send('DELETE', `${TOKENS}/${id}`);
    await harness.send('GET', TOKENS);
    expect(await systemRows(harness)).toEqual([]);
  });

  it('says nothing of a token whose revoke is still open', async () => {
    const harness = await createHarness();
    const { id } = await harness.mint();
    await harness.control.fault({
      match: { workspace_uuid: harness.workspace, method: 'DELETE' },
      drop: 'after_commit',
      times: 2,
    });
    await harness.send('DELETE', `${TOKENS}/${id}`);
    await harness.send('GET', TOKENS);
    expect(await systemRows(harness)).toEqual([]);
  });

  it('names a token that somebody else made, once, and adopts it without an owner', async () => {
    const harness = await createHarness();
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    await Promise.all([1, 2, 3].map(async () => await harness.send('GET', TOKENS)));
    expect(await systemRows(harness)).toMatchObject([
      { action: 'service_account_token.create', error_code: 'appeared_upstream', token_id: id, token_name: 'by hand' },
    ]);
    expect(await harness.inventory()).toMatchObject([{ token_id: id, owner_issuer: null, owner_subject: null }]);
  });
});
