import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { createRenewingHarness, LOST, SEAL_KEY, type RenewingHarness } from './harness.ts';

// What a person configures, and what a database that is restored or copied means, for a chain that was renewed.

const OTHER_KEY = btoa('another-seal-key-of-all-tests-0000');

/** A harness whose credential was renewed once. */
async function renewedOnce(): Promise<RenewingHarness> {
  const h = await createRenewingHarness();
  await h.untilDue();
  await h.cron();
  expect(await h.chain()).toMatchObject({ counter: 1 });
  return h;
}

/** Puts the row of a chain back, as a restored database has it. */
async function restore(h: RenewingHarness, row: Record<string, unknown> | null): Promise<void> {
  const { chain } = (await h.chain()) ?? {};
  await env.DB.prepare('delete from credential_chains where chain = ?').bind(chain).run();
  if (row === null) return;
  const names = Object.keys(row);
  await env.DB.prepare(
    `insert into credential_chains (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
  )
    .bind(...Object.values(row))
    .run();
}

describe('another refresh token', () => {
  it('begins another chain, and erases the tokens of the one before once it has renewed itself', async () => {
    const h = await renewedOnce();
    const tokens = await h.control.openSession({ client_id: h.clientId, expires_in: 36_000 });
    const next = await createRenewingHarness({ like: h, tokens });
    expect((await next.list()).status).toBe(200);
    expect((await next.used()).at(-1)).toBe(tokens.access_token);
    expect((await h.chain())?.sealed).not.toBeNull();

    await next.untilDue();
    await next.cron();
    expect(await next.chain()).toMatchObject({ counter: 1, lost: null });
    expect(await h.chain()).toMatchObject({ counter: 1, sealed: null, lost: 'replaced' });
  });

  it('saves a chain that was lost', async () => {
    const h = await createRenewingHarness();
    await h.untilDue();
    await h.control.fault({ match: { client_id: h.clientId, method: 'POST' }, drop: 'after_commit' });
    await h.cron();
    expect(await h.degraded()).toContain(LOST);
    const tokens = await h.control.openSession({ client_id: h.clientId, expires_in: 36_000 });
    const next = await createRenewingHarness({ like: h, tokens });
    expect(await next.degraded()).not.toContain(LOST);
    await next.untilDue();
    await next.cron();
    expect(await next.chain()).toMatchObject({ counter: 1, lost: null });
  });

  it('that is put back after another has taken over is spent, and is not presented', async () => {
    const h = await renewedOnce();
    const tokens = await h.control.openSession({ client_id: h.clientId, expires_in: 36_000 });
    const next = await createRenewingHarness({ like: h, tokens });
    await next.untilDue();
    await next.cron();
    const before = (await h.presented()).length;
    const back = await createRenewingHarness({ like: h });
    back.untilEnded();
    await back.cron();
    await back.list();
    expect(await back.presented()).toHaveLength(before);
    expect(await back.degraded()).toContain(LOST);
  });

  it('that is wrong takes nothing away: the one before goes on when it is put back', async () => {
    const h = await renewedOnce();
    const wrong = { access_token: h.tokens.access_token, refresh_token: `rt-wrong-${crypto.randomUUID()}` };
    const mistaken = await createRenewingHarness({ like: h, tokens: wrong });
    await mistaken.cron();
    expect(await mistaken.chain()).toMatchObject({ lost: 'refused' });
    const back = await createRenewingHarness({ like: h });
    await back.untilDue();
    await back.cron();
    expect(await back.chain()).toMatchObject({ counter: 2, lost: null });
  });
});

describe('another client', () => {
  it('may be given what PipeOps refused to the one before', async () => {
    const h = await createRenewingHarness({ env: { PIPEOPS_CLIENT_ID: 'a-client-that-is-misspelt' } });
    await h.untilDue();
    await h.cron();
    expect(await h.chain()).toMatchObject({ lost: 'refused' });
    h.age(6);
    await h.cron();
    expect(await h.sessions()).toMatchObject([{ exchanges: 0, is_ended: false }]);
    const mended = await createRenewingHarness({ like: h });
    expect(await mended.degraded()).not.toContain(LOST);
    await mended.cron();
    expect(await mended.sessions()).toMatchObject([{ exchanges: 1 }]);
  });

  it('does not open what another one was given', async () => {
    const h = await renewedOnce();
    const misspelt = await createRenewingHarness({ like: h, env: { PIPEOPS_CLIENT_ID: 'another' } });
    expect((await misspelt.status()).credential_renewal.lost).toMatchObject({ because: 'unreadable' });
  });
});

describe('another seal key', () => {
  it('opens nothing: the chain is lost, its spent first token is not presented, and the former key saves it', async () => {
    const h = await renewedOnce();
    const changed = await createRenewingHarness({ like: h, env: { CREDENTIAL_SEAL_KEY: OTHER_KEY } });
    expect(await changed.degraded()).toContain(LOST);
    expect((await changed.status()).credential_renewal.lost).toMatchObject({ because: 'unreadable' });
    await changed.untilDue();
    await changed.cron();
    expect(await changed.presented()).toHaveLength(1);

    const both = await createRenewingHarness({ like: h, env: { CREDENTIAL_SEAL_KEY: `${OTHER_KEY},${SEAL_KEY}` } });
    expect(await both.degraded()).not.toContain(LOST);
    await both.cron();
    expect(await both.chain()).toMatchObject({ counter: 2 });
    const alone = await createRenewingHarness({ like: h, env: { CREDENTIAL_SEAL_KEY: OTHER_KEY } });
    expect(await alone.degraded()).not.toContain(LOST);
  });
});

describe('a database that was restored', () => {
  it('holds a spent refresh token, which an isolate that remembers does not present, and tells the others', async () => {
    const h = await renewedOnce();
    const old = await h.chain();
    await h.untilDue();
    await h.cron();
    await restore(h, old);
    const presented = (await h.presented()).length;
    expect(await h.degraded()).toContain(LOST);
    expect(h.lines).toContainEqual(expect.objectContaining({ event: 'credential_rolled_back', held: 1, seen: 2 }));

    const [session] = await h.sessions();
    expect((await h.list()).status).toBe(200);
    expect((await h.used()).at(-1)).toBe(session?.access_tokens[2]);
    const other = await createRenewingHarness({ like: h });
    other.untilEnded();
    await other.cron();
    expect(await other.presented()).toHaveLength(presented);
    expect((await other.status()).credential_renewal.lost).toMatchObject({ because: 'rolled_back' });
    expect(await other.sessions()).toMatchObject([{ is_ended: false }]);
  });

  it('may be from before the first renewal', async () => {
    const h = await renewedOnce();
    await restore(h, null);
    expect(await h.degraded()).toContain(LOST);
    const other = await createRenewingHarness({ like: h });
    await other.cron();
    expect(await other.presented()).toHaveLength(1);
    expect(await other.chain()).toMatchObject({ counter: 0, lost: 'rolled_back' });
  });

  it('whose spent token is presented where nobody remembers ends the session, and says so', async () => {
    const h = await renewedOnce();
    const old = await h.chain();
    await h.untilDue();
    await h.cron();
    await restore(h, old);
    const forgetful = await createRenewingHarness({ like: h });
    await forgetful.cron();
    expect(await forgetful.sessions()).toMatchObject([{ is_ended: true }]);
    expect(await forgetful.degraded()).toContain(LOST);
  });

  it('is no matter once another refresh token is configured', async () => {
    const h = await renewedOnce();
    const old = await h.chain();
    await h.untilDue();
    await h.cron();
    await restore(h, old);
    const tokens = await h.control.openSession({ client_id: h.clientId, expires_in: 36_000 });
    const next = await createRenewingHarness({ like: h, tokens });
    await next.untilDue();
    await next.cron();
    expect(await next.degraded()).not.toContain(LOST);
    expect((await next.sessions())[0]).toMatchObject({ is_ended: false });
  });
});

describe('a row that was tampered with', () => {
  it.each<[string, (row: Record<string, unknown>) => object]>([
    ['an older link under a newer number', ({ counter }) => ({ counter: Number(counter) + 1 })],
    ['a cut text', ({ sealed }) => ({ sealed: String(sealed).slice(0, -4) })],
  ])('%s opens nothing', async (_, change) => {
    const h = await renewedOnce();
    const row = { ...(await h.chain()) };
    await restore(h, { ...row, ...change(row) });
    const next = await createRenewingHarness({ like: h });
    expect((await next.status()).credential_renewal.lost).toMatchObject({ because: 'unreadable' });
  });

  it('another chain’s tokens open nothing', async () => {
    const [h, other] = [await renewedOnce(), await renewedOnce()];
    const mine = { ...(await h.chain()), sealed: (await other.chain())?.sealed };
    await restore(h, mine);
    const next = await createRenewingHarness({ like: h });
    expect((await next.status()).credential_renewal.lost).toMatchObject({ because: 'unreadable' });
  });
});
