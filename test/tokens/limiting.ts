import { env } from 'cloudflare:workers';
import type { HarnessOptions, SentRequest } from '../support/harness.ts';
import { TOKENS } from '../support/harness.ts';
import { createWebhookHarness } from '../revocation/harness.ts';

// What the tests of `maxTokens` have in common: a role under which an owner may hold three live tokens, and a clock.

const permissions = ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'];

/** `ci` and `bot` know nothing of each other: each is an owner of its own. */
export const LIMITED = {
  ci: { permissions, workspaces: ['*'], scopes: ['api:read', 'api:write'], maxTokens: 3 },
  bot: { permissions, workspaces: ['*'], scopes: ['api:read'], maxTokens: 3 },
};

export type LimitHarness = Awaited<ReturnType<typeof createLimitHarness>>;

/** The whole Worker, whose owners begin without tokens, whatever other tests of the file left them. */
export async function createLimitHarness(options: HarnessOptions = {}) {
  const harness = await createWebhookHarness({ ...options, roles: { ...LIMITED, ...options.roles } });
  const issuedAt = (): { iat: number; exp: number } => {
    const now = Math.floor(harness.runtime.now() / 1000);
    return { iat: now, exp: now + 300 };
  };
  // Each harness has subjects of its own.
  const subject = options.like === undefined ? crypto.randomUUID() : (subjectOf.get(options.like.workspace) ?? '');
  subjectOf.set(harness.workspace, subject);
  const jwt = async (role: string, claims: Record<string, unknown> = {}): Promise<string> =>
    await harness.jwtFor(role, { sub: `${role}-${subject}`, ...issuedAt(), ...claims });
  const send = async (role: string, method: string, path: string, request: SentRequest = {}) =>
    await harness.send(method, path, { jwt: await jwt(role), ...request });
  return {
    ...harness,
    subject,
    jwt,
    as: send,
    create: async (role = 'ci', body: object = {}, request: SentRequest = {}) =>
      await send(role, 'POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'], ...body }, ...request }),
    whoami: async (role = 'ci') => (await send(role, 'GET', '/api/v1/whoami')).body.data.live_tokens,
  };
}

const subjectOf = new Map<string, string>();

/** Three live tokens, which is all that `ci` may hold. */
export async function fill(harness: LimitHarness, body: object = {}): Promise<readonly string[]> {
  const ids: string[] = [];
  for (let n = 0; n < 3; n += 1) {
    const answer = await harness.create('ci', body);
    if (answer.status !== 201) throw new Error(`create answered ${answer.status}: ${answer.text}`);
    ids.push(answer.body.data.id);
  }
  return ids;
}

/** How the owner of a role is counted, and how many creates of it are under way. */
export const countOf = async ({ subject }: LimitHarness, role = 'ci') =>
  await env.DB.prepare(
    `select live, counted_at, max_tokens, (select count(*) from open_creates where owner_subject = c.owner_subject) as open
     from token_counts as c where owner_subject = ?`,
  )
    .bind(`${role}-${subject}`)
    .first<{ live: number; counted_at: number; max_tokens: number | null; open: number }>();
