import { beforeEach, describe, expect, it } from 'vitest';
import type { Fault } from '../pipeops-simulator/faults-wire.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { expectRefusal } from './expectations.ts';
import { nameOf, PROTECTED_ROUTES, TOKEN_ROUTES, type ProtectedRoute } from './routes.ts';

// A 404 says that a token is gone only if it is PipeOps' own about that token: a gateway in between answers 404 as well,
// and a revocation that it swallowed must not be told as done.

const issuer = await createTestIssuer({ issuer: ISSUER });
let harness: Harness;
let id: string;
beforeEach(async () => {
  harness = await createHarness({ issuer });
  id = (await harness.mint()).id;
});

const send = async (route: ProtectedRoute, tokenId: string): Promise<Answer> =>
  await harness.send(route.method, route.path(tokenId), { ...(route.body !== undefined && { body: route.body }) });
const fault = (method: string, path: string, answer: Omit<Fault, 'match'>): Fault => ({
  match: { credential: harness.credential, method, path_contains: path },
  ...answer,
});

const OF_A_GATEWAY: readonly (readonly [string, Omit<Fault, 'match'>])[] = [
  ['HTML', { status: 404, html: true }],
  ['plain text', { status: 404, body: 'default backend - 404', headers: { 'Content-Type': 'text/plain' } }],
];

/** A token's life is read where the inventory has the token, without a question. */
const ASKING_ROUTES = TOKEN_ROUTES.filter(({ action }) => action !== 'audit.query');

describe.each(ASKING_ROUTES.map((route) => [nameOf(route), route] as const))('%s', (_name, route) => {
  it.each(OF_A_GATEWAY)('a 404 of %s is no word of PipeOps', async (_kind, answer) => {
    await harness.control.fault(fault(route.method, id, answer));
    const { status, body } = await send(route, id);
    expect([status, body.code]).toEqual(
      route.method === 'GET' ? [502, 'upstream_invalid_response'] : [504, 'outcome_unknown'],
    );
    const [token] = await harness.upstreamTokens();
    expect(token).toMatchObject({ id, is_revoked: false });
    expect(await harness.inventory()).toEqual([expect.objectContaining({ token_id: id, revoked_at: null })]);
  });

  it('a list that is not found is not a token that is not found', async () => {
    await harness.control.fault(fault('GET', TOKENS, { status: 404 }));
    const unknown = crypto.randomUUID();
    await expectRefusal(await send(route, unknown), {
      status: 502,
      code: 'upstream_forbidden',
      row: { token_id: unknown, upstream_status: 404 },
    });
  });
});

describe.each(
  PROTECTED_ROUTES.filter(({ target }) => target === 'workspace').map((route) => [nameOf(route), route] as const),
)('%s', (_name, route) => {
  it('a workspace that PipeOps does not find is ours to settle with PipeOps, and no token that is missing', async () => {
    await harness.control.fault(fault(route.method, TOKENS, { status: 404 }));
    await expectRefusal(await send(route, id), {
      status: 502,
      code: 'upstream_forbidden',
      row: { action: route.action!, upstream_status: 404 },
    });
  });
});
