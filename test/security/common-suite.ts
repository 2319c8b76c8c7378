import { beforeAll, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import type { DenialReason } from '../../src/failures.ts';
import { PERMISSIONS, type Permission } from '../../src/vocabulary.ts';
import { ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import type { TestIssuer } from '../support/issuer.ts';
import { noteSecret } from '../support/secrets.ts';
import { createWebhookHarness } from '../revocation/harness.ts';
import { sealFirst, TRAIL_KEY } from '../trail/log/sealed.ts';
import { expectRefused, invalidToken, rowsOf, UNAUTHENTICATED, badRequest, type Refusal } from './expectations.ts';
import { FORGERIES } from './forgeries.ts';
import { ABOUT_NOBODY, type ProtectedRoute, REVOCATIONS, withQuery } from './routes.ts';
import type { Snapshots } from './snapshots.ts';

const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const TOKEN_PERMISSIONS = PERMISSIONS.filter((permission) => permission.startsWith('tokens:'));
const everywhere = { tokens: 'any', workspaces: ['*'], scopes: ['*'] };
const roleOnly = (permission: Permission): string => `only-${permission.replace(':', '-')}`;

/** The name of what only some routes have; nothing for the others, since a test that is skipped looks like one that is missing. */
const where = (applies: boolean, name: string): readonly string[] => (applies ? [name] : []);

/** One role for each way of not being allowed, and one that is. */
const rolesFor = ({ permission, alsoBy }: ProtectedRoute): Record<string, object> => ({
  allowed: { ...everywhere, permissions: permission === null ? ['tokens:read'] : [permission, 'tokens:read'] },
  'all-but-it': { ...everywhere, permissions: PERMISSIONS.filter((other) => other !== permission && other !== alsoBy) },
  ...Object.fromEntries(PERMISSIONS.map((only) => [roleOnly(only), { ...everywhere, permissions: [only] }])),
  owner: { ...everywhere, permissions: TOKEN_PERMISSIONS, tokens: 'own' },
  elsewhere: { ...everywhere, permissions: TOKEN_PERMISSIONS, workspaces: [ELSEWHERE] },
});

/**
 * The suite of every protected route: nobody, each class of bad JWT, somebody without a role, each missing permission,
 * somebody else's token, another workspace. Every refusal is told in full, reaches PipeOps in no way, and is in the trail.
 */
export function describeProtectedRoute(
  name: string,
  route: ProtectedRoute,
  { snapshots, env }: Snapshots,
  issuer: TestIssuer,
): void {
  const { permission, alsoBy, action, target } = route;
  const others = PERMISSIONS.filter((other) => other !== permission && other !== alsoBy);

  describe.each([name])('%s', () => {
    const SOMEONE: string = expect.stringMatching(/^someone-/);
    let harness: Harness;
    let tokenId: string;
    let aboutId: string | undefined;
    beforeAll(async () => {
      const created = await createWebhookHarness({ issuer, env: { ...env, TRAIL_KEY }, roles: rolesFor(route) });
      harness = created;
      tokenId = (await harness.mint('of-the-administrator')).id;
      if (route.about === 'event') aboutId = (await harness.rows())[0]!.id;
      if (route.about === 'sealed event') aboutId = await sealFirst();
      if (route.about === 'delivery') {
        const answer = await created.sendEvent('scanner', 'token.revoke', { token_id: 'unknown-id' });
        aboutId = answer.body.data.delivery_id;
      }
      if (route.about === 'revocation') {
        aboutId = (await created.send('POST', REVOCATIONS, { body: ABOUT_NOBODY })).body.data.id;
      }
      // What is refused is refused on a list that is held, too.
      if (snapshots === 'on') await harness.send('GET', TOKENS);
    });

    const send = async (jwt: string | null, query = '', id = tokenId): Promise<Answer> =>
      await harness.send(route.method, withQuery(route.path(id, aboutId), query), {
        jwt,
        ...(route.body !== undefined && { body: route.body }),
        ...(route.headers !== undefined && { headers: route.headers }),
      });
    // Somebody else each time: of what one caller is denied in a minute only the first is recorded in full.
    const sendAs = async (
      role: string | readonly string[],
      query = '',
      id = tokenId,
      sub = `someone-${crypto.randomUUID()}`,
    ): Promise<Answer> => await send(await harness.jwtFor('someone', { role, sub }), query, id);

    /** The row of somebody who is known and denied, about what the request named. */
    const denied = (reason: DenialReason | 'unknown' | 'not_readable', id = tokenId): Partial<AuditEventRow> => ({
      action: action!,
      actor_type: 'user',
      actor_issuer: ISSUER,
      actor_subject: SOMEONE,
      token_id: target === 'token' && (route.isOwners !== true || reason === 'permission') ? id : null,
      upstream_status: null,
      outcome: JSON.stringify({ reason }),
    });
    const forbidden = (reason: DenialReason): Refusal => ({ status: 403, code: 'forbidden', row: denied(reason) });
    const notFound = (reason: 'unknown' | 'not_readable', id?: string): Refusal => ({
      status: 404,
      code: 'not_found',
      row: { ...denied(reason, id), workspace_uuid: harness.workspace },
    });

    describe('nobody', () => {
      it('is refused', async () => {
        await expectRefused(harness, async () => await send(null), UNAUTHENTICATED);
      });

      it('is refused with a good JWT in the query', async () => {
        const jwt = await harness.jwtFor('admin');
        await expectRefused(harness, async () => await send(null, `?access_token=${jwt}`), UNAUTHENTICATED);
      });
    });

    it('a good JWT in the query beside one in the header is an unknown parameter', async () => {
      const query = `?access_token=${await harness.jwtFor('admin')}`;
      const refusal = badRequest('invalid_request', ['access_token']);
      await expectRefused(harness, async () => await sendAs('allowed', query), refusal);
    });

    it.each(FORGERIES)('a JWT $name is refused', async ({ reason, namesIssuer, make }) => {
      const jwt = await make(issuer);
      noteSecret(jwt);
      await expectRefused(
        harness,
        async () => await send(jwt),
        invalidToken(reason, namesIssuer ? issuer.issuer : null),
      );
    });

    it('somebody known to no binding is refused', async () => {
      await expectRefused(harness, async () => await sendAs('nobody'), {
        status: 403,
        code: 'no_role',
        row: {
          action: 'auth.reject',
          actor_type: 'user',
          actor_issuer: ISSUER,
          actor_subject: SOMEONE,
          outcome: '{}',
        },
      });
    });

    describe.each(where(permission !== null, 'a missing permission'))('%s', () => {
      it.each(others)('%s is not enough', async (only) => {
        await expectRefused(harness, async () => await sendAs(roleOnly(only)), forbidden('permission'));
      });

      it('all others together are not enough', async () => {
        await expectRefused(harness, async () => await sendAs('all-but-it'), forbidden('permission'));
        const all = others.map(roleOnly);
        await expectRefused(harness, async () => await sendAs(all), forbidden('permission'));
      });
    });

    describe.each(where(target === 'token', 'the token of another owner'))('%s', () => {
      it('is not found', async () => {
        await expectRefused(harness, async () => await sendAs('owner'), notFound('not_readable'));
      });

      it('is not found by whoever may not read it', async () => {
        const roles = ['owner', ...(permission === 'tokens:read' ? [] : [roleOnly(permission!)])];
        await expectRefused(harness, async () => await sendAs(roles), notFound('not_readable'));
      });

      it.each(where(permission !== 'tokens:read', 'can be read and not changed by whoever may only read it'))(
        '%s',
        async () => {
          const roles = ['owner', roleOnly('tokens:read')];
          await expectRefused(harness, async () => await sendAs(roles), forbidden('ownership'));
        },
      );
    });

    describe.each(where(target === 'token', 'another workspace'))('%s', () => {
      it('has no such token, whether it is named or the default', async () => {
        await expectRefused(harness, async () => await sendAs('elsewhere'), notFound('not_readable'));
        const query = `?workspace_uuid=${harness.workspace}`;
        await expectRefused(harness, async () => await sendAs('elsewhere', query), notFound('not_readable'));
        await expectRefused(
          harness,
          async () => await sendAs('elsewhere', query, 'unknown-id'),
          notFound('unknown', 'unknown-id'),
        );
      });
    });

    describe.each(where(target === 'workspace', 'another workspace'))('%s', () => {
      const inWorkspace = (): Refusal => {
        const { row, ...refusal } = forbidden('workspace');
        return { ...refusal, row: { ...row, workspace_uuid: harness.workspace } };
      };

      it('is forbidden, whether it is named or the default', async () => {
        await expectRefused(harness, async () => await sendAs('elsewhere'), inWorkspace());
        const query = `?workspace_uuid=${harness.workspace}`;
        await expectRefused(harness, async () => await sendAs('elsewhere', query), inWorkspace());
      });

      it('is forbidden to whoever has the permission there and all others here', async () => {
        await expectRefused(harness, async () => await sendAs(['all-but-it', 'elsewhere']), inWorkspace());
      });
    });

    it.each(['allowed', ...where(alsoBy !== undefined, roleOnly(alsoBy ?? 'audit:read'))])(
      'whoever is %s is let in',
      async (role) => {
        const sub = `someone-${crypto.randomUUID()}`;
        const owner = route.isOwners === true ? await harness.jwtFor('someone', { role: 'owner', sub }) : undefined;
        const { id } = await harness.mint('to-be-used', owner);
        await route.before?.();
        const answer = await sendAs(role, '', id, sub);
        expect(answer.status).toBe(route.success.status);
        const actions = route.success.recorded ? [action, ...(route.success.follows ?? [])] : [];
        const rows = actions.map((of) => ({ action: of, status: 'success', actor_subject: SOMEONE }));
        expect(await rowsOf(answer)).toEqual(rows.map((row): unknown => expect.objectContaining(row)));
      },
    );
  });
}
