import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { SCOPE_MAX_CHARS } from '../../src/config/limits.ts';
import type { Runtime } from '../../src/kit/runtime.ts';
import { type Answer, createHarness, TOKENS } from '../support/harness.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import { createTestIssuer } from '../support/issuer.ts';

/** Everything as long as the configuration and the request schemas allow. */
async function longest(runtime: Partial<Runtime> = {}) {
  const issuer = await createTestIssuer({ issuer: `https://${'i'.repeat(60)}.example/${'p'.repeat(51)}` });
  expect(issuer.issuer).toHaveLength(128);
  const role = 'r'.repeat(64);
  const harness = await createHarness({
    issuer,
    runtime,
    policy: {
      presets: {
        ['p'.repeat(40)]: Array.from({ length: 16 }, (_, n) =>
          `${String.fromCharCode(97 + n)}:`.padEnd(SCOPE_MAX_CHARS, 'y'),
        ),
      },
    },
    env: { PIPEOPS_WORKSPACE_UUID: 'W'.repeat(128) },
    roles: {
      [role]: {
        permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
        tokens: 'any',
        workspaces: ['*'],
        scopes: ['*'],
      },
    },
  });
  const jwt = await harness.jwtFor(role, { sub: 's'.repeat(128), email: 'e'.repeat(96) });
  const headers = {
    'User-Agent': 'U'.repeat(200),
    'X-Request-Id': 'x'.repeat(64),
    'CF-Connecting-IP': '2001:0db8:85a3:0000:0000:8a2e:192.168.100.100',
  };
  const scopes = Array.from({ length: 16 }, (_, n) => `${String.fromCharCode(97 + n)}:`.padEnd(SCOPE_MAX_CHARS, 'z'));
  return { harness, jwt, headers, scopes };
}

/** The size of a row without its MACs, which the limit leaves out: they are at most 28 bytes each. */
const sizeOf = ({ recorded_mac: _recorded, settled_mac: _settled, ...row }: Record<string, unknown>): number =>
  Object.values(row).reduce<number>(
    (sum, value) => sum + (typeof value === 'string' ? new TextEncoder().encode(value).length : 8),
    0,
  );

/** More than was asked for, of any length. */
const UNASKED = { scopes: Array.from({ length: 1_000 }, (_, n) => `${'"é'.repeat(50)}${n}`) };

const rowOf = async (answer: Answer): Promise<Record<string, unknown>> =>
  (await env.DB.prepare(`select * from audit_events where id = ?`)
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first()) ?? {};

const orderAway = async (tokenId: string): Promise<void> => {
  await env.DB.prepare(
    `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at)
     values (?, 'command', ?, ?, 'suspend', 1, 'open', 1)`,
  )
    .bind(crypto.randomUUID(), 'W'.repeat(128), tokenId)
    .run();
};

describe('the longest legal requests', () => {
  it.each([
    ['scopes', 16, undefined],
    ['a preset', 0, 'p'.repeat(40)],
    ['scopes and a preset', 8, 'p'.repeat(40)],
  ])('a create fits with %s', async (_what, named, preset) => {
    const { harness, jwt, headers, scopes } = await longest();
    const body = { name: 'é'.repeat(48), scopes: scopes.slice(0, named), expires_in: '30d', preset };
    const answer = await harness.send('POST', TOKENS, { jwt, headers, body });
    expect(answer.status, answer.text).toBe(201);
    const { results } = await env.DB.prepare(`select * from audit_events where id = ?`)
      .bind(answer.headers.get('X-Audit-Event-Id'))
      .all();
    expect(sizeOf(results[0]!)).toBeLessThanOrEqual(2048);
  });

  it('a create fits whose answer says a thousand other things', async () => {
    const { harness, jwt, headers, scopes } = await longest(twistedTokens('POST', () => UNASKED));
    const body = { name: 'é'.repeat(48), scopes, expires_in: '30d' };
    const answer = await harness.send('POST', TOKENS, { jwt, headers, body });
    expect([answer.status, answer.body.code]).toEqual([502, 'upstream_disobeyed']);
    expect(await rowOf(answer)).toMatchObject({ status: 'failure', error_code: 'upstream_disobeyed' });
    expect(sizeOf(await rowOf(answer))).toBeLessThanOrEqual(2048);
  });

  it('an update fits that PipeOps does not obey, and that is undone', async () => {
    const tokenId = 'U'.repeat(128);
    const twisted = twistedTokens('PATCH', () => ({ ...UNASKED, is_active: false }));
    const { harness, jwt, headers, scopes } = await longest({
      fetch: async (url, init) => {
        if (init.method === 'PATCH') await orderAway(tokenId);
        return await twisted.fetch(url, init);
      },
    });
    await harness.control
      .insertToken({ workspace_uuid: 'W'.repeat(128), name: 'by hand', id: tokenId })
      .catch(() => {});
    const body = { name: '"'.repeat(96), scopes, description: 'd'.repeat(512), is_active: true };
    const answer = await harness.send('PATCH', `${TOKENS}/${tokenId}`, { jwt, headers, body });
    expect([answer.status, answer.body.code]).toEqual([409, 'revocation_pending']);
    const row = await rowOf(answer);
    expect(row).toMatchObject({ status: 'failure', error_code: 'revocation_pending' });
    expect(JSON.parse(String(row['outcome']))).toMatchObject({ came: { is_active: false }, order: expect.any(String) });
    expect(sizeOf(row)).toBeLessThanOrEqual(2048);
  });

  const changes = (name: string, scopes: readonly string[]) => ({
    name,
    scopes,
    description: 'd'.repeat(512),
    is_active: true,
  });

  it.each([
    ['a plain name', 'n'.repeat(96)],
    ['a name of quotes, which JSON doubles', '"'.repeat(96)],
  ])('an update with %s is carried out and recorded', async (_what, name) => {
    const { harness, jwt, headers, scopes } = await longest();
    const tokenId = crypto.randomUUID().padEnd(128, 'x');
    await harness.control.insertToken({ workspace_uuid: 'W'.repeat(128), name: 'by hand', id: tokenId });
    const answer = await harness.send('PATCH', `${TOKENS}/${tokenId}`, { jwt, headers, body: changes(name, scopes) });
    const failures = harness.lines.filter((line) => line['event'] === 'd1_failed').map((line) => line['message']);
    expect({ status: answer.status, code: answer.body.code, failures }).toEqual({
      status: 200,
      code: undefined,
      failures: [],
    });
  });
});
