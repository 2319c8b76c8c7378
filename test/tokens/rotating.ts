import { env } from 'cloudflare:workers';
import { expect } from 'vitest';
import type { TokenRow } from '../../src/db/schema.ts';
import { createWebhookHarness, ordersOf } from '../revocation/harness.ts';
import { createHarness, TOKENS, type Answer, type Harness, type HarnessOptions } from '../support/harness.ts';

// What the tests of rotation have in common: an owner, an administrator who may rotate too, and a clock.

const permissions = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate'];

export const ROTATING = {
  owner: { permissions, tokens: 'own', workspaces: ['*'], scopes: ['api:read', 'api:write'] },
  boss: { permissions, tokens: 'any', workspaces: ['*'], scopes: ['*'] },
} as const;

export type RotatingHarness = Awaited<ReturnType<typeof createRotatingHarness>>;
type Rotator = Pick<Harness, 'send' | 'jwtFor'>;

/** The whole Worker, in which `alice` owns tokens. */
export async function createRotatingHarness(options: HarnessOptions = {}) {
  const harness = await createWebhookHarness({
    ...options,
    roles: { ...ROTATING, ...options.roles },
    runtime: { sleep: async () => {}, ...options.runtime },
  });
  const subject = `alice-${harness.workspace}`;
  /** A JWT of the harness's own time. */
  const jwt = async (role = 'owner', claims: Record<string, unknown> = {}): Promise<string> => {
    const now = Math.floor(harness.runtime.now() / 1000);
    return await harness.jwtFor(role, { sub: subject, iat: now, exp: now + 300, ...claims });
  };
  return {
    ...harness,
    subject,
    jwt,
    /** Mints a token of the owner's. */
    own: async (body: object = {}): Promise<{ id: string; token: string }> => {
      const wanted = { name: 'deploy', scopes: ['api:read'], ...body };
      const minted = await harness.send('POST', TOKENS, { jwt: await jwt(), body: wanted });
      expect(minted.status, minted.text).toBe(201);
      return minted.body.data;
    },
    /** Rotates a token as its owner, through another isolate if one is given. */
    rotate: async (
      id: string,
      { body = {}, key = crypto.randomUUID(), as, through = harness }: RotateOptions = {},
    ): Promise<Answer> =>
      await through.send('POST', `${TOKENS}/${id}/rotate`, {
        jwt: as ?? (await jwt()),
        body,
        headers: { 'Idempotency-Key': key },
      }),
    token: async (id: string): Promise<TokenRow> => {
      const row = (await harness.inventory()).find(({ token_id }) => token_id === id);
      if (row === undefined) throw new Error(`the inventory lacks ${id}`);
      return row;
    },
    rowOf: async (answer: Answer) =>
      (await harness.rows()).find(({ id }) => id === answer.headers.get('X-Audit-Event-Id')),
    /** The ids of the tokens that can be used at PipeOps. */
    alive: async (): Promise<readonly string[]> =>
      (await harness.upstreamTokens()).filter((token) => !token.is_revoked && token.is_active).map(({ id }) => id),
    /** Whatever is left to be done is done. */
    settle: async (): Promise<void> => {
      const [open, undriven] = [`status = 'attempted'`, `state = 'open'`];
      const isLeft = async (query: string): Promise<boolean> =>
        (await env.DB.prepare(query).bind(harness.workspace).first()) !== null;
      for (const seconds of [1, 125, 65, 65]) {
        harness.age(seconds);
        await harness.cron();
        const left =
          (await isLeft(`select 1 from audit_events where workspace_uuid = ? and ${open}`)) ||
          (await isLeft(`select 1 from revocation_orders where workspace_uuid = ? and ${undriven}`));
        if (!left) break;
      }
      expect((await harness.rows()).filter(({ status }) => status === 'attempted')).toEqual([]);
      expect((await ordersOf(harness)).filter(({ state }) => state === 'open')).toEqual([]);
    },
    /** Another isolate, in which `meanwhile` happens once, before or after PipeOps mints. */
    slow: async (moment: 'before' | 'after', meanwhile: () => Promise<unknown>): Promise<Harness> =>
      await createHarness({
        like: harness,
        roles: { ...ROTATING, ...options.roles },
        runtime: {
          now: () => harness.runtime.now(),
          fetch: async (url, init) => {
            if (init.method === 'POST' && moment === 'before') await meanwhile();
            const response = await harness.runtime.fetch(url, init);
            if (init.method === 'POST' && moment === 'after') await meanwhile();
            return response;
          },
        },
      }),
    /** Another isolate with this D1. */
    over: async (db: D1Database): Promise<Harness> =>
      await createHarness({
        like: harness,
        roles: { ...ROTATING, ...options.roles },
        db,
        runtime: { now: () => harness.runtime.now(), sleep: async () => {} },
      }),
  };
}

interface RotateOptions {
  readonly body?: object;
  readonly key?: string;
  /** Default: the owner's JWT. */
  readonly as?: string;
  readonly through?: Rotator;
}

export const codeOf = ({ status, body }: Answer) => [status, body.code];
export const parsed = (json: string | null | undefined) => JSON.parse(json ?? 'null');

/** What a rotation may change of the token that it replaces, and what else of it matters. What reads have seen of its use does not. */
export const stateOf = ({ scopes, revoked_at, suspended_by, replaced_by, retires_at }: TokenRow) => ({
  scopes,
  revoked_at,
  suspended_by,
  replaced_by,
  retires_at,
});

/** Nothing points from the token to a successor, nothing waits to revoke it, and it can be rotated. */
export async function expectAsBefore(harness: RotatingHarness, before: TokenRow): Promise<void> {
  expect(stateOf(await harness.token(before.token_id))).toEqual(stateOf(before));
  const orders = (await ordersOf(harness)).filter(({ token_id }) => token_id === before.token_id);
  expect(orders.filter(({ state }) => state !== 'lifted')).toEqual([]);
  expect(await harness.alive()).toEqual([before.token_id]);
  const again = await harness.rotate(before.token_id);
  expect(again.status, again.text).toBe(201);
}

export const countOf = async (subject: string) =>
  await env.DB.prepare(
    `select live, max_tokens, (select count(*) from open_creates where owner_subject = c.owner_subject) as open
     from token_counts as c where owner_subject = ?`,
  )
    .bind(subject)
    .first<{ live: number; max_tokens: number | null; open: number }>();
