import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, TOKENS, type Answer, type Harness } from '../support/harness.ts';

// What clients read of a token's state, on every route that shows one.

let skewMs = 0;
let harness: Harness;
beforeAll(async () => {
  harness = await createHarness({
    runtime: { now: () => Date.now() + skewMs },
    env: { SNAPSHOT_MAX_AGE_SECONDS: '15' },
  });
});

const flags = ({ is_active, is_revoked, is_expired }: Record<string, unknown>) => ({
  is_active,
  is_revoked,
  is_expired,
});
const listed = async (id: string) => {
  const { body } = await harness.send('GET', TOKENS, { headers: { 'Cache-Control': 'no-cache' } });
  return flags(body.data.tokens.find((token: { id: string }) => token.id === id));
};
const got = ({ body }: Answer) => flags(body.data.token);

describe('is_active', () => {
  it('is true of a new token, in a create, a list, a get and an update', async () => {
    const created = await harness.send('POST', TOKENS, { body: { name: 'new', scopes: ['api:read'] } });
    const { id } = created.body.data;
    const live = { is_active: true, is_revoked: false, is_expired: false };
    expect(flags(created.body.data)).toEqual(live);
    expect(await listed(id)).toEqual(live);
    expect(got(await harness.send('GET', `${TOKENS}/${id}`))).toEqual(live);
    expect(got(await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'newer' } }))).toEqual(live);
  });

  it('is false of a suspended one, and true again once it is resumed', async () => {
    const { id } = await harness.mint('suspended');
    const suspended = { is_active: false, is_revoked: false, is_expired: false };
    expect(got(await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: false } }))).toEqual(suspended);
    expect(await listed(id)).toEqual(suspended);
    expect(got(await harness.send('PATCH', `${TOKENS}/${id}`, { body: { is_active: true } })).is_active).toBe(true);
  });

  it('is false of a revoked one that PipeOps still calls active', async () => {
    const { id } = await harness.mint('revoked');
    expect((await harness.send('DELETE', `${TOKENS}/${id}`)).status).toBe(200);
    expect(await harness.upstreamTokens()).toContainEqual(expect.objectContaining({ id, is_revoked: true }));
    expect(await listed(id)).toEqual({ is_active: false, is_revoked: true, is_expired: false });
  });

  it('is false of one that has expired since the list was read', async () => {
    const body = { name: 'short', scopes: ['api:read'], expires_in: '5s' };
    const { id } = (await harness.send('POST', TOKENS, { body })).body.data;
    const held = async () => {
      const { body: list, headers } = await harness.send('GET', TOKENS);
      const token = list.data.tokens.find((shown: { id: string }) => shown.id === id);
      return { ...flags(token), hit: headers.get('Cache-Status')?.includes('hit') };
    };
    expect(await held()).toMatchObject({ is_active: true });
    skewMs += 6_000;
    expect(await held()).toEqual({ is_active: false, is_revoked: false, is_expired: true, hit: true });
    skewMs -= 6_000;
  });
});

describe('a create answers with the description it was given', () => {
  it.each([
    ['beside the name, as the SDK sends it', { description: 'Deploys the shop' }, 'Deploys the shop'],
    ['in metadata, as the CLI sends it', { metadata: { description: 'nightly' } }, 'nightly'],
    ['in both', { description: 'both', metadata: { description: 'both' } }, 'both'],
    ['in another script', { description: 'déploie 店铺' }, 'déploie 店铺'],
    ['not at all', {}, null],
    ['as null', { description: null }, null],
  ])('%s', async (_case, fields, description) => {
    const answer = await harness.send('POST', TOKENS, { body: { name: 'x', scopes: ['api:read'], ...fields } });
    expect([answer.status, answer.body.data.description]).toEqual([201, description]);
    const { id } = answer.body.data;
    expect((await harness.send('GET', `${TOKENS}/${id}`)).body.data.token.description).toBe(description);
  });

  it('and so does its repeat under the same key', async () => {
    const headers = { 'Idempotency-Key': crypto.randomUUID() };
    const body = { name: 'x', scopes: ['api:read'], description: 'kept' };
    const first = await harness.send('POST', TOKENS, { body, headers });
    const again = await harness.send('POST', TOKENS, { body, headers });
    expect([first.body.data.description, again.headers.get('Idempotency-Replayed')]).toEqual(['kept', 'true']);
    expect(again.body.data).toEqual(first.body.data);
  });
});
