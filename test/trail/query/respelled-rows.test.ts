import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { TOKENS, type Harness } from '../../support/harness.ts';
import { storedSpellingsOf } from '../../support/spellings.ts';
import { ordersOf, settleAll, withClock } from '../reconcile/reconciling.ts';
import { insertRows, OPEN } from './trail.ts';

// Rows that an earlier version wrote spell their workspace as it was sent, and still mean that workspace: what was left open is
// settled, and a token's marker is recognised.

beforeEach(settleAll);

let markers = 0;
const newMarker = (): string =>
  `-csgn-abcdefghijklmn${'abcdefghij'.charAt((markers += 1) % 10)}${'abcdefghij'.charAt(Math.floor(markers / 10))}`;
const eventOf = async (id: string) =>
  await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
/** A row as an earlier version wrote it. */
const old = async (harness: Harness, workspace: string, row: Partial<AuditEventRow>): Promise<string> => {
  const id = crypto.randomUUID();
  await insertRows([{ id, workspace_uuid: workspace, occurred_at: harness.runtime.now(), ...row }]);
  return id;
};
const stateOf = async (harness: Harness, tokenId: string) =>
  (await harness.upstreamTokens()).find(({ id }) => id === tokenId)?.is_revoked;

describe.each(Object.keys(storedSpellingsOf('')))('a row whose workspace is %s', (name) => {
  const begin = async () => {
    const { harness, age } = await withClock();
    return { harness, age, spelled: storedSpellingsOf(harness.workspace)[name]! };
  };

  it('is an open create: its token is found, revoked and ordered in the one spelling', async () => {
    const { harness, age, spelled } = await begin();
    const marker = newMarker();
    const token = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `lost${marker}` });
    const id = await old(harness, spelled, { ...OPEN, action: 'service_account_token.create', marker });
    age(121);
    await harness.cron();
    expect(await eventOf(id)).toMatchObject({
      status: 'failure',
      error_code: 'undelivered',
      workspace_uuid: spelled,
      token_id: token.id,
    });
    expect(await stateOf(harness, token.id)).toBe(true);
    expect(await ordersOf(harness)).toMatchObject([{ token_id: token.id, mode: 'revoke', cause: 'system' }]);
    const made = await harness.rows();
    expect(made.find(({ action }) => action === 'service_account_token.revoke')).toMatchObject({
      token_id: token.id,
      status: 'success',
    });
  });

  it('is an open revoke: what PipeOps shows settles it and ends its token', async () => {
    const { harness, age, spelled } = await begin();
    const { id: tokenId } = await harness.mint();
    await harness.control.revokeByHand(tokenId);
    const id = await old(harness, spelled, { ...OPEN, action: 'service_account_token.revoke', token_id: tokenId });
    age(121);
    await harness.cron();
    expect(await eventOf(id)).toMatchObject({ status: 'success', workspace_uuid: spelled });
    const [row] = await harness.inventory();
    expect(row?.revoked_at).not.toBeNull();
  });

  it('is an open update: what PipeOps shows settles it', async () => {
    const { harness, age, spelled } = await begin();
    const { id: tokenId } = await harness.mint('deploy');
    await harness.send('PATCH', `${TOKENS}/${tokenId}`, { body: { name: 'renamed' } });
    const detail = JSON.stringify({ name: 'renamed' });
    const id = await old(harness, spelled, {
      ...OPEN,
      action: 'service_account_token.update',
      token_id: tokenId,
      token_name: 'renamed',
      detail,
    });
    age(121);
    await harness.cron();
    expect((await eventOf(id))?.status).not.toBe('attempted');
  });

  it('is a failed create: its token is revoked whenever it appears', async () => {
    const { harness, spelled } = await begin();
    const marker = newMarker();
    await old(harness, spelled, {
      action: 'service_account_token.create',
      status: 'failure',
      error_code: 'not_applied',
      marker,
    });
    const token = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `late${marker}` });
    await harness.send('GET', TOKENS);
    expect(await stateOf(harness, token.id)).toBe(true);
    // It is not taken for a token that was made elsewhere.
    expect((await harness.rows()).filter(({ error_code }) => error_code === 'appeared_upstream')).toEqual([]);
  });

  it('is a create that goes on: its token is left alone', async () => {
    const { harness, spelled } = await begin();
    const marker = newMarker();
    await old(harness, spelled, { ...OPEN, action: 'service_account_token.create', marker });
    const token = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `open${marker}` });
    await harness.send('GET', TOKENS);
    expect(await stateOf(harness, token.id)).toBe(false);
    expect((await harness.rows()).filter(({ error_code }) => error_code === 'appeared_upstream')).toEqual([]);
  });

  it('is a revoke that explains an end: that is no news', async () => {
    const { harness, spelled } = await begin();
    const { id: tokenId } = await harness.mint();
    await old(harness, spelled, { action: 'service_account_token.revoke', token_id: tokenId, upstream_status: 200 });
    await harness.control.revokeByHand(tokenId);
    await harness.send('GET', TOKENS);
    expect((await harness.rows()).filter(({ error_code }) => error_code === 'gone_upstream')).toEqual([]);
  });

  it('is counted in the status of its workspace’s list', async () => {
    const { harness, age, spelled } = await begin();
    await harness.send('GET', TOKENS);
    await env.DB.prepare(`update workspaces set list_state = 'partial' where workspace_uuid = ?`)
      .bind(harness.workspace)
      .run();
    const before = (await harness.send('GET', '/api/v1/status')).body.data.lists.partial.open_creates;
    await old(harness, spelled, { ...OPEN, action: 'service_account_token.create' });
    age(1);
    expect((await harness.send('GET', '/api/v1/status')).body.data.lists.partial.open_creates).toBe(before + 1);
  });
});

it('a failed create of another workspace counts for none that is spelled alike but for a digit', async () => {
  const { harness } = await withClock();
  const marker = newMarker();
  const near = harness.workspace.toUpperCase().replace(/.$/, (last) => (last === '0' ? '1' : '0'));
  await old(harness, near, {
    action: 'service_account_token.create',
    status: 'failure',
    error_code: 'not_applied',
    marker,
  });
  const token = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: `other${marker}` });
  await harness.send('GET', TOKENS);
  expect(await stateOf(harness, token.id)).toBe(false);
});
