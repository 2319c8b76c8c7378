import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { clearOrders, ordersOf } from '../revocation/harness.ts';
import { askedIn } from '../support/audit-detail.ts';
import { ISSUER, TOKENS } from '../support/harness.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import { codeOf, countOf, createRotatingHarness, expectAsBefore, parsed, type RotatingHarness } from './rotating.ts';

// A rotation mints what its token was granted, and orders that token's end.

const DAY_MS = 24 * 3_600_000;
let harness: RotatingHarness;
beforeEach(async () => {
  await clearOrders();
  harness = await createRotatingHarness();
});

describe('a rotation', () => {
  it('is in the trail as the create of the successor, which names what it replaces', async () => {
    const old = await harness.own({ scopes: ['api:read', 'api:write'], expires_in: '30d' });
    const before = await harness.token(old.id);
    const answer = await harness.rotate(old.id, { body: { overlap: '2h' } });
    expect(answer.status, answer.text).toBe(201);
    const { data } = answer.body;
    expect(data).toMatchObject({ name: 'deploy', scopes: ['api:read', 'api:write'], replaces: old.id });
    expect(data.token).not.toBe(old.token);
    const retiresAtMs = Date.parse(data.old_token_revoked_at);
    expect(Math.abs(retiresAtMs - harness.runtime.now() - 2 * 3_600_000)).toBeLessThan(60_000);

    const row = await harness.rowOf(answer);
    expect(row).toMatchObject({
      action: 'service_account_token.create',
      status: 'success',
      actor_subject: harness.subject,
      token_id: data.id,
      token_name: 'deploy',
      upstream_status: 201,
      error_code: null,
    });
    expect(askedIn(row)).toEqual({ replaces: old.id, overlap_seconds: 7_200 });
    expect(parsed(row?.outcome)).toEqual({ role: 'owner', granted_expires_at: data.expires_at });

    expect(await harness.token(old.id)).toEqual({
      ...before,
      replaced_by: data.id,
      retires_at: retiresAtMs,
      rotation_event_id: row?.id,
    });
    expect(await harness.token(data.id)).toMatchObject({
      name: 'deploy',
      scopes: before.scopes,
      owner_subject: harness.subject,
      owner_label: before.owner_label,
      role: 'owner',
      lifetime_seconds: 30 * 86_400,
      replaces: old.id,
      replaced_by: null,
      rotation_event_id: null,
      create_event_id: row?.id,
      revoked_at: null,
    });
    const [first, second] = await harness.upstreamTokens();
    expect([first?.name, second?.name]).toEqual([
      expect.stringMatching(/^deploy-csgn-/),
      expect.stringMatching(/^deploy-csgn-/),
    ]);
    expect(second?.name).not.toBe(first?.name);
    expect(await ordersOf(harness)).toMatchObject([
      { cause: 'rotation', mode: 'revoke', state: 'scheduled', token_id: old.id, next_at: retiresAtMs },
    ]);
    expect(await harness.alive()).toEqual([old.id, data.id]);
    expect(await countOf(harness.subject)).toMatchObject({ live: 2, open: 0 });
  });

  it('lets its token live until the overlap is over, and then revokes that and nothing else', async () => {
    const old = await harness.own();
    const next = (await harness.rotate(old.id)).body.data.id;
    harness.age(86_000);
    await harness.cron();
    expect(await harness.alive()).toEqual([old.id, next]);
    harness.age(401);
    await harness.settle();
    expect(await harness.alive()).toEqual([next]);
    expect(await harness.token(old.id)).toMatchObject({ ended_by: 'acknowledged', replaced_by: next });
    const revokes = (await harness.rows()).filter(({ action }) => action === 'service_account_token.revoke');
    expect(revokes).toMatchObject([{ actor_type: 'system', status: 'success', token_id: old.id }]);
    expect(askedIn(revokes[0])).toEqual({ replaced_by: next });
    expect(await countOf(harness.subject)).toMatchObject({ live: 1, open: 0 });
  });

  it('without overlap revokes its token at once, before its request is over', async () => {
    const old = await harness.own();
    const answer = await harness.rotate(old.id, { body: { overlap: '0s' } });
    expect(answer.status, answer.text).toBe(201);
    expect(await harness.alive()).toEqual([answer.body.data.id]);
    expect(await ordersOf(harness)).toMatchObject([{ cause: 'rotation', token_id: old.id, result: 'revoked' }]);
    const revoke = (await harness.rows()).find(({ action }) => action === 'service_account_token.revoke');
    expect(revoke).toMatchObject({ actor_type: 'system', status: 'success', ip: null });
    expect(askedIn(revoke)).toEqual({ replaced_by: answer.body.data.id });
  });

  it('of a successor makes a chain, of which the last lives', async () => {
    const first = await harness.own();
    const second = (await harness.rotate(first.id, { body: { overlap: '1h' } })).body.data.id;
    const third = (await harness.rotate(second, { body: { overlap: '2h' } })).body.data.id;
    harness.age(7_300);
    await harness.settle();
    expect(await harness.alive()).toEqual([third]);
    expect([await harness.token(first.id), await harness.token(second), await harness.token(third)]).toMatchObject([
      { replaces: null, replaced_by: second },
      { replaces: first.id, replaced_by: third },
      { replaces: second, replaced_by: null },
    ]);
  });

  it('needs no body', async () => {
    const old = await harness.own();
    const headers = { 'Idempotency-Key': 'k' };
    const answer = await harness.send('POST', `${TOKENS}/${old.id}/rotate`, { jwt: await harness.jwt(), headers });
    expect(answer.status, answer.text).toBe(201);
  });

  it('takes over what PipeOps listed of the successor before the inventory had it', async () => {
    const old = await harness.own();
    const seen = await harness.slow('after', async () => {
      await harness.send('GET', TOKENS);
    });
    const next = (await harness.rotate(old.id, { through: seen })).body.data.id;
    expect(await harness.token(next)).toMatchObject({
      owner_subject: harness.subject,
      replaces: old.id,
      name: 'deploy',
    });
    expect(await countOf(harness.subject)).toMatchObject({ live: 2, open: 0 });
  });
});

describe('the successor has', () => {
  const grant = async (id: string) => {
    const { scopes, expires_at, name } = await harness.token(id);
    const lifetimeMs = expires_at === null ? null : expires_at - harness.runtime.now();
    return { name, scopes: parsed(scopes), days: lifetimeMs === null ? null : Math.round(lifetimeMs / DAY_MS) };
  };

  it('what was granted here, and not what PipeOps’ console has made of it since', async () => {
    const old = await harness.own();
    const widened = await createRotatingHarness({
      like: harness,
      runtime: twistedTokens('GET', () => ({ scopes: ['*'], name: 'other' })),
    });
    const answer = await harness.rotate(old.id, { through: widened });
    expect(answer.status, answer.text).toBe(201);
    expect(await grant(answer.body.data.id)).toEqual({ name: 'deploy', scopes: ['api:read'], days: null });
  });

  it('the name and the scopes of the last update', async () => {
    const old = await harness.own();
    const body = { name: 'renamed', scopes: ['api:write'] };
    expect((await harness.send('PATCH', `${TOKENS}/${old.id}`, { jwt: await harness.jwt(), body })).status).toBe(200);
    const { data } = (await harness.rotate(old.id)).body;
    expect(data).toMatchObject({ name: 'renamed', scopes: ['api:write'] });
    expect(await grant(data.id)).toMatchObject({ name: 'renamed', scopes: ['api:write'] });
  });

  it.each<[string, object, object, number | null]>([
    ['the original lifetime from now, however old the token is', { expires_in: '30d' }, {}, 30],
    ['no end where the token had none', {}, {}, null],
    ['the lifetime that is asked for', { expires_in: '30d' }, { expires_in: '3d' }, 3],
  ])('%s', async (_case, minted, asked, days) => {
    const old = await harness.own(minted);
    harness.age(20 * 86_400);
    const answer = await harness.rotate(old.id, { body: asked });
    expect(answer.status, answer.text).toBe(201);
    expect((await grant(answer.body.data.id)).days).toBe(days);
  });

  it.each<[string, object, object, number | string]>([
    ['the original lifetime, cut to maxTtl', { expires_in: '30d' }, {}, 5],
    ['an end where the role wants one by now', {}, {}, 5],
    ['no lifetime beyond maxTtl', { expires_in: '30d' }, { expires_in: '6d' }, 'forbidden'],
  ])('%s', async (_case, minted, asked, expected) => {
    const old = await harness.own(minted);
    const stricter = await createRotatingHarness({
      like: harness,
      roles: { owner: { permissions: ['tokens:rotate'], workspaces: ['*'], scopes: ['api:read'], maxTtl: '5d' } },
    });
    const answer = await harness.rotate(old.id, { body: asked, through: stricter });
    expect(answer.body.code ?? (await grant(answer.body.data.id)).days).toBe(expected);
  });

  it('no life beside its token beyond that one’s own end', async () => {
    const old = await harness.own({ expires_in: '1h' });
    const { data } = (await harness.rotate(old.id)).body;
    expect(Date.parse(data.old_token_revoked_at)).toBe((await harness.token(old.id)).expires_at);
  });
});

describe('is refused, and nothing happens at PipeOps:', () => {
  const refused = async (id: string, expected: readonly [number, string], options = {}) => {
    const minted = (await harness.upstream()).filter(({ method }) => method === 'POST').length;
    const answer = await harness.rotate(id, options);
    expect(codeOf(answer), answer.text).toEqual(expected);
    expect((await harness.upstream()).filter(({ method }) => method === 'POST')).toHaveLength(minted);
    expect(await harness.rowOf(answer)).toMatchObject({
      action: 'service_account_token.create',
      status: 'failure',
      error_code: expected[1],
      token_id: null,
    });
    return answer;
  };

  it('somebody else’s token, and the administrator hears who may', async () => {
    const old = await harness.own();
    const answer = await refused(old.id, [403, 'forbidden'], { as: await harness.jwt('boss', { sub: 'boss' }) });
    expect(answer.body.message).toMatch(/administrator revokes.*owner mints/s);
    const row = await harness.rowOf(answer);
    expect(parsed(row?.outcome)).toEqual({ reason: 'ownership' });
    expect(row?.token_name).toBeNull();
    await expectAsBefore(harness, await harness.token(old.id));
  });

  it('a token that its caller is not shown, as one that is not there', async () => {
    const old = await harness.own();
    const bob = await harness.jwt('owner', { sub: 'bob' });
    const hidden = await refused(old.id, [404, 'not_found'], { as: bob });
    const unknown = await refused('tok-unknown', [404, 'not_found'], { as: bob });
    const said = ({ body }: typeof hidden) => ({ ...body, request_id: '', event_id: '' });
    expect(said(hidden)).toEqual(said(unknown));
    expect((await harness.token(old.id)).rotation_event_id).toBeNull();
  });

  it('a token of nobody', async () => {
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const boss = await harness.jwt('boss', { sub: 'boss' });
    await harness.send('GET', TOKENS, { jwt: boss });
    const answer = await refused(id, [403, 'forbidden'], { as: boss });
    expect(parsed((await harness.rowOf(answer))?.outcome)).toEqual({ reason: 'ownership' });
    // Of one that no list has shown yet PipeOps is asked.
    const other = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    expect((await refused(other.id, [403, 'forbidden'], { as: boss })).body.message).toBe(answer.body.message);
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'GET' }, times: 3, status: 503 });
    await refused('tok-unknown', [502, 'upstream_error'], { as: boss });
  });

  it.each<[string, object, object, string]>([
    ['scopes that its owner’s roles do not allow any more', { scopes: ['api:write'] }, {}, 'scopes'],
    ['an overlap beyond the role’s', {}, { overlap: '61s' }, 'overlap'],
    ['a lifetime beyond the role’s', {}, { overlap: '0s', expires_in: '8d' }, 'lifetime'],
  ])('%s', async (_case, minted, body, reason) => {
    const old = await harness.own(minted);
    const before = await harness.token(old.id);
    const owner = {
      permissions: ['tokens:read', 'tokens:rotate'],
      workspaces: ['*'],
      scopes: ['api:read'],
      maxTtl: '7d',
      maxOverlap: '1m',
    };
    const stricter = await createRotatingHarness({ like: harness, roles: { owner } });
    const answer = await refused(old.id, [403, 'forbidden'], { through: stricter, body: { overlap: '1m', ...body } });
    expect(parsed((await harness.rowOf(answer))?.outcome)).toEqual({ reason });
    await expectAsBefore(harness, before);
  });

  it.each<[string, (id: string) => Promise<unknown>, string]>([
    ['revoked', async (id) => await harness.send('DELETE', `${TOKENS}/${id}`, { jwt: await harness.jwt() }), 'revoked'],
    [
      'suspended by its owner',
      async (id) =>
        await harness.send('PATCH', `${TOKENS}/${id}`, { jwt: await harness.jwt(), body: { is_active: false } }),
      'suspended',
    ],
    [
      'suspended by an administrator',
      async (id) => await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } }),
      'suspended',
    ],
    [
      'leaked, while PipeOps does not take the revoke',
      async () => {
        await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 500 });
        const [token] = await harness.upstreamTokens();
        await harness.leak(token?.secret ?? '');
      },
      'ordered',
    ],
    [
      'ordered by its id, while PipeOps does not take the revoke',
      async (id) => {
        await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 500 });
        await harness.sendEvent('scanner', 'token.revoke', { token_id: id, workspace_uuid: harness.workspace });
      },
      'ordered',
    ],
    [
      'about to be revoked, as far as anybody knows',
      async (id) => {
        const match = { workspace_uuid: harness.workspace, method: 'DELETE' } as const;
        await harness.control.fault({ match, times: 2, drop: 'before_commit' });
        expect((await harness.send('DELETE', `${TOKENS}/${id}`)).status).toBe(504);
      },
      'ordered',
    ],
    [
      'about to be suspended, as far as anybody knows',
      async (id) => {
        const match = { workspace_uuid: harness.workspace, method: 'PATCH' } as const;
        await harness.control.fault({ match, times: 2, drop: 'after_commit' });
        expect((await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } })).status).toBe(504);
      },
      'ordered',
    ],
    ['expired', async (id) => await harness.expire(id), 'expired'],
    [
      'of before grants were recorded',
      async (id) => await env.DB.prepare('update tokens set scopes = null where token_id = ?').bind(id).run(),
      'not_recorded',
    ],
  ])('a token that is %s', async (_case, happens, reason) => {
    const old = await harness.own();
    await happens(old.id);
    const answer = await refused(old.id, [409, 'not_rotatable']);
    expect(parsed((await harness.rowOf(answer))?.outcome)).toEqual({ reason });
    expect(answer.body.message).toMatch(/^This token /);
    expect((await harness.token(old.id)).replaced_by).toBeNull();
    expect(await countOf(harness.subject)).toMatchObject({ open: 0 });
  });

  it('a token that was rotated, and the answer names its successor', async () => {
    const old = await harness.own();
    const next = (await harness.rotate(old.id)).body.data.id;
    const answer = await refused(old.id, [409, 'not_rotatable']);
    expect(answer.body.errors).toEqual({ replaced_by: [next] });
    expect(answer.body.message).toContain(next);
    expect(parsed((await harness.rowOf(answer))?.outcome)).toMatchObject({ reason: 'rotated' });
    harness.age(86_401);
    await harness.settle();
    expect((await refused(old.id, [409, 'not_rotatable'])).body.errors).toEqual({ replaced_by: [next] });
    expect(await harness.alive()).toEqual([next]);
  });

  it('a token that is revoked at PipeOps’ console, of which nobody here has heard', async () => {
    const old = await harness.own();
    await harness.control.revokeByHand(old.id);
    const answer = await refused(old.id, [404, 'not_found']);
    expect(await harness.rowOf(answer)).toMatchObject({ upstream_status: 404 });
  });

  it.each([
    ['is_active', false, 'suspended'],
    ['is_revoked', true, 'revoked'],
    ['is_expired', true, 'expired'],
  ])('a token that PipeOps shows with %s %s', async (field, value, reason) => {
    const old = await harness.own();
    const runtime = twistedTokens('GET', () => ({ [field]: value }));
    const told = await createRotatingHarness({ like: harness, runtime });
    const answer = await refused(old.id, [409, 'not_rotatable'], { through: told });
    expect(parsed((await harness.rowOf(answer))?.outcome)).toEqual({ reason });
    await expectAsBefore(harness, await harness.token(old.id));
  });

  it('a token about which PipeOps does not answer', async () => {
    const old = await harness.own();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'GET' }, times: 3, status: 503 });
    await refused(old.id, [502, 'upstream_error']);
    await expectAsBefore(harness, await harness.token(old.id));
  });

  it('of an offboarded caller', async () => {
    const old = await harness.own();
    await harness.offboard({ issuer: ISSUER, subject: harness.subject, mode: 'suspend' });
    const answer = await refused(old.id, [403, 'subject_blocked']);
    expect((await harness.rowOf(answer))?.outcome).toBe('{}');
  });
});

describe('a request', () => {
  it('that is not understood is refused, and only logged', async () => {
    const old = await harness.own();
    const rows = (await harness.rows()).length;
    const answer = await harness.rotate(old.id, { body: { scopes: ['api:full'] } });
    expect(codeOf(answer), answer.text).toEqual([400, 'invalid_request']);
    expect(Object.keys(answer.body.errors)).toEqual(['scopes']);
    expect(await harness.rows()).toHaveLength(rows);
  });

  it('without a key is refused, and hears why and what to send', async () => {
    const old = await harness.own();
    const answer = await harness.send('POST', `${TOKENS}/${old.id}/rotate`, { jwt: await harness.jwt(), body: {} });
    expect(codeOf(answer)).toEqual([400, 'invalid_request']);
    expect(answer.body.errors['Idempotency-Key'][0]).toMatch(/UUID/);
    await expectAsBefore(harness, await harness.token(old.id));
  });
});

describe('an owner at its limit', () => {
  const owner = {
    permissions: ['tokens:create', 'tokens:rotate', 'tokens:revoke'],
    workspaces: ['*'],
    scopes: ['api:read'],
    maxTokens: 2,
  };

  it('may rotate each of its tokens, and create none beside', async () => {
    harness = await createRotatingHarness({ roles: { owner } });
    const [first, second] = [await harness.own(), await harness.own()];
    const third = await harness.rotate(first.id);
    expect([third.status, (await harness.rotate(second.id)).status]).toEqual([201, 201]);
    const full = await harness.rotate(third.body.data.id);
    expect(codeOf(full)).toEqual([403, 'token_limit_reached']);
    expect(full.body.message).toContain('(4)');
    const body = { name: 'deploy', scopes: ['api:read'] };
    expect(codeOf(await harness.send('POST', TOKENS, { jwt: await harness.jwt(), body }))).toEqual([
      403,
      'token_limit_reached',
    ]);
    expect(await countOf(harness.subject)).toMatchObject({ live: 4, max_tokens: 2, open: 0 });
    harness.age(86_401);
    await harness.settle();
    expect((await harness.rotate(third.body.data.id)).status).toBe(201);
  });
});
