import { env } from 'cloudflare:workers';
import { sql } from 'drizzle-orm';
import { expect } from 'vitest';
import { createDatabase } from '../../src/db/database.ts';
import { retireQueries } from '../../src/inventory/orders.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { labelDigest } from '../../src/subjects/labels.ts';
import { ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { expectHonestAnswer } from '../support/invariants.ts';
import { ordersOf, type WebhookHarness } from '../revocation/harness.ts';

// What the operations of the fault harness find, do and leave.

export const path = (id: string) => `${TOKENS}/${id}`;
export const mintOne = async (harness: Harness) => (await harness.mint()).id;
export const SNAPSHOTS = { SNAPSHOT_MAX_AGE_SECONDS: '15' };
export const mintAndList = async (harness: Harness) => {
  const id = await mintOne(harness);
  await harness.send('GET', TOKENS);
  return id;
};
export const mintPages = async (harness: Harness) => {
  for (const name of ['a', 'b', 'c']) await harness.mint(name);
  await harness.control.behave(harness.workspace, { list: { page_size: 2 } });
  return '';
};
/** What is shown of it is a part only where that is said. */
export const listPages = async (harness: Harness): Promise<Answer> => {
  const answer = await harness.send('GET', TOKENS);
  if (answer.status === 200 && answer.body.partial === undefined) expect(answer.body.data.tokens).toHaveLength(3);
  return answer;
};
/** A create that PipeOps committed and whose answer was lost, old enough to be looked into. */
export const loseCreate = async (harness: Harness) => {
  await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
  await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
  return '';
};

/** The same delivery each time: its id is that of its harness. */
export const leak = async (h: WebhookHarness, token: string) => await h.leak(token, { id: `msg_${h.workspace}` });
export const leaver = (h: Harness) => ({ issuer: ISSUER, subject: `alice-${h.workspace}` });
export const leaverLabel = (h: Harness, label: string): string => `${label}-${h.workspace}`;
/** Good for as long as the clock of a test may jump. */
export const leaverJwt = async (h: Harness, label: string): Promise<string> =>
  await h.jwtFor('admin', {
    sub: leaver(h).subject,
    email: leaverLabel(h, label),
    exp: Math.floor(Date.now() / 1000) + 3_600,
  });
/** Whoever has a row here of what it did under its label is known by that label, whatever failed; and by one label alone. */
export const expectCurrentLabel = async (h: Harness): Promise<void> => {
  const labels = await env.DB.prepare('select * from subject_labels where subject = ? order by last_seen_at desc')
    .bind(leaver(h).subject)
    .all<{ label_digest: string; last_seen_at: number }>();
  const rows = (await h.rows()).filter(({ actor_label }) => actor_label === leaverLabel(h, 'new'));
  const current = labels.results[0]?.label_digest;
  expect(current).toBe(labelDigest(leaverLabel(h, rows.length > 0 ? 'new' : 'old')));
  expect(new Set(labels.results.map(({ last_seen_at }) => last_seen_at)).size).toBe(labels.results.length);
};
/** A delivery whose order waits, since PipeOps answered 500. */
export const leaveOpen = async (h: WebhookHarness) => {
  const { token } = await h.mint();
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'DELETE' }, status: 500 });
  return (await leak(h, token)).body.data.delivery_id as string;
};

/** The order of a rotated token whose time comes before the cron does. */
export const scheduleRetirement = async (h: Harness): Promise<string> => {
  const ref = { workspaceUuid: h.workspace, tokenId: await mintOne(h) };
  const origin = { requestId: 'r', ip: null, userAgent: null, policyVersion: 'v' };
  const nowMs = h.runtime.now();
  const retirement = { id: crypto.randomUUID(), ...ref, replacedBy: 'tok-next', dueAtMs: nowMs + 60_000, nowMs };
  const database = createDatabase(env.DB, h.runtime);
  await database.batch({ trace: newTrace() }, retireQueries(database, origin, retirement, sql`true`));
  await env.DB.prepare(`update tokens set replaced_by = 'tok-next' where token_id = ?`).bind(ref.tokenId).run();
  return retirement.id;
};
/** Whatever failed, it began with its row and once, or has not begun. */
export const expectRetiredOnce = async (h: Harness, orderId: string): Promise<void> => {
  const rows = (await h.rows()).filter(({ action }) => action === 'service_account_token.revoke');
  const [order] = await ordersOf(h);
  expect(rows.map(({ id, detail }) => [id, JSON.parse(detail).replaced_by])).toEqual(
    order?.state === 'scheduled' ? [] : [[orderId, 'tok-next']],
  );
};

/** The harness at its own time: a JWT of the real one is too old for a clock that jumped. */
export const listLater = async (h: Harness) => {
  const nowSeconds = Math.floor(h.runtime.now() / 1000);
  return await h.send('GET', TOKENS, { jwt: await h.jwtFor('admin', { iat: nowSeconds, exp: nowSeconds + 300 }) });
};
/** What the next lists of a workspace say, whatever is true. */
export const listsSay = async (h: Harness, ids: readonly string[], times = 1) => {
  const tokens = ids.map((id) => ({ id, name: 'deploy', scopes: ['api:read'], is_revoked: false }));
  await h.control.fault({
    match: { workspace_uuid: h.workspace, method: 'GET' },
    times,
    body: { success: true, message: '', data: { tokens, total: tokens.length } },
  });
};
/** A token that a list has missed a minute ago, and that the next list misses as well, or shows again. */
export const missOnce = async (h: WebhookHarness) => {
  const id = await mintOne(h);
  h.age(61);
  await listsSay(h, []);
  await listLater(h);
  h.age(61);
  return id;
};
/** An undelivered token that turned up after its create was settled as not applied. */
export const turnUpLate = async (h: WebhookHarness) => {
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'POST' }, drop: 'before_commit' });
  await h.send('POST', TOKENS, { body: { name: 'late', scopes: ['api:read'] } });
  const sent = (await h.upstream()).at(-1)?.body as { name: string };
  for (const seconds of [301, 61]) {
    h.age(seconds);
    await h.cron();
  }
  await h.control.insertToken({ workspace_uuid: h.workspace, name: sent.name });
  return '';
};

export const createWithKey = async (harness: Harness, key: string): Promise<Answer> =>
  await harness.send('POST', TOKENS, {
    body: { name: 'deploy', scopes: ['api:read'] },
    headers: { 'Idempotency-Key': key },
    // The clock may have jumped.
    jwt: await harness.jwtFor('admin', { exp: Math.floor(Date.now() / 1000) + 3_600 }),
  });
/** The same create again: whoever gets a secret, now or before, gets that of the one token that is alive. */
export const repeatCreate = async (harness: Harness, key: string, answer: Answer | void): Promise<void> => {
  const repeated = await createWithKey(harness, key);
  await expectHonestAnswer(harness, repeated);
  const delivered = [answer, repeated].filter((given) => given?.status === 201).map((given) => given?.body.data);
  for (const data of delivered) expect(data).toEqual(delivered[0]);
  const live = (await harness.upstreamTokens()).filter((token) => !token.is_revoked).map(({ id }) => id);
  if (delivered.length > 0) expect(live).toEqual([delivered[0].id]);
  const isOpen = (await harness.rows()).some(({ status }) => status === 'attempted');
  if (!isOpen) expect(repeated.status, 'nothing is open, so a repeat is answered').toBe(201);
};

/** Whoever rotates, and owns what it rotates. */
export const ROTATOR = {
  rotator: { permissions: ['tokens:create', 'tokens:rotate'], workspaces: ['*'], scopes: ['*'] },
};
export const mintRotatable = async (h: Harness): Promise<string> =>
  (await h.mint('deploy', await h.jwtFor('rotator', { exp: later() }))).id;
const later = (): number => Math.floor(Date.now() / 1000) + 3_600;
/** The same rotation each time: its key is the token. */
export const rotate = async (h: Harness, id: string, overlap: string): Promise<Answer> =>
  await h.send('POST', `${path(id)}/rotate`, {
    body: { overlap },
    headers: { 'Idempotency-Key': id },
    jwt: await h.jwtFor('rotator', { exp: later() }),
  });
/**
 * Whatever failed, a token lives beside its successor or in its place if anybody may have the successor's secret, and alone otherwise.
 * The same rotation again gives the same secret, or rotates; while something is open it is told to wait.
 */
export const expectRotatedOnce = async (
  h: WebhookHarness,
  id: string,
  answer: Answer | void,
  overlap: string,
): Promise<void> => {
  const isOpen = (await h.rows()).some(({ status }) => status === 'attempted');
  const again = await rotate(h, id, overlap);
  await expectHonestAnswer(h, again);
  const delivered = [answer, again].filter((given) => given?.status === 201).map((given) => given?.body.data);
  for (const data of delivered) expect(data).toEqual(delivered[0]);
  if (!isOpen) expect(again.status, again.text).toBe(201);
  const ofOld = (await ordersOf(h)).filter(({ token_id, state }) => token_id === id && state !== 'lifted');
  const replaced = (await h.inventory()).find(({ token_id }) => token_id === id)?.replaced_by ?? null;
  expect(ofOld.map(({ cause }) => cause)).toEqual(replaced === null ? [] : ['rotation']);
  const live = (await h.upstreamTokens()).filter((token) => !token.is_revoked).map((token) => token.id);
  if (replaced === null) expect(live).toContain(id);
  else expect(live.filter((one) => one !== id)).toEqual([replaced]);
};

/** Whoever was told why a delivery is refused finds it among the deliveries; else it was 503, and is sent again. */
export async function expectKept(
  h: WebhookHarness,
  answer: Answer | void,
  refusal: readonly [number, string],
): Promise<void> {
  const { results } = await env.DB.prepare('select event_id, refused from webhook_deliveries where sender_id = ?')
    .bind(`msg_${h.workspace}`)
    .all();
  const given = [answer?.status, answer?.body.code];
  if (given[0] === 503) return expect(given).toEqual([503, 'audit_unavailable']);
  expect(given).toEqual(refusal);
  expect(results).toContainEqual({ event_id: answer?.headers.get('X-Audit-Event-Id'), refused: refusal[1] });
}
export const createOne = async (h: Harness): Promise<Answer> =>
  await h.send('POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] } });
export const mintSuspended = async (h: Harness): Promise<string> => {
  const id = await mintOne(h);
  await h.send('PATCH', path(id), { body: { is_active: false } });
  return id;
};
export const resume = async (h: Harness, id: string): Promise<Answer> =>
  await h.send('PATCH', path(id), { body: { is_active: true } });
/** An order that suspends it waits for its driver. */
export const orderSuspended = async (h: Harness): Promise<string> => {
  const id = await mintSuspended(h);
  const [eventId, nowMs] = [crypto.randomUUID(), Date.now()];
  await env.DB.batch([
    env.DB.prepare(
      `insert into audit_events (id, occurred_at, action, status, actor_type, workspace_uuid, token_id, detail)
       values (?, ?, 'service_account_token.update', 'attempted', 'system', ?, ?, '{"is_active":false}')`,
    ).bind(eventId, nowMs, h.workspace, id),
    env.DB.prepare(
      `insert into revocation_orders (id, cause, workspace_uuid, token_id, mode, rank, state, created_at, next_at)
       values (?, 'command', ?, ?, 'suspend', 1, 'open', ?, ?)`,
    ).bind(eventId, h.workspace, id, nowMs, nowMs),
  ]);
  return id;
};
/** What was ordered away is alive only while something is still to be done about it. */
export const expectDeadOrOpen = async (h: WebhookHarness): Promise<void> => {
  const isOpen =
    (await ordersOf(h)).some(({ state }) => state === 'open') ||
    (await h.rows()).some(({ status }) => status === 'attempted');
  if (isOpen) return;
  for (const { is_revoked, is_active } of await h.upstreamTokens()) expect(!is_revoked && is_active).toBe(false);
};

/** What a caller orders in an incident, under the key of its harness: sent again, it is the same order. */
export const orderOnce = async (h: Harness, what: 'revocations' | 'reinstatements', order: object): Promise<Answer> =>
  await h.send('POST', `/api/v1/${what}`, {
    body: { ...order, reason: 'a fault' },
    headers: { 'Idempotency-Key': `${what}-${h.workspace}` },
    // The clock may have jumped.
    jwt: await h.jwtFor('admin', { exp: Math.floor(Date.now() / 1000) + 3_600 }),
  });
export const offboardNobody = async (h: WebhookHarness): Promise<string> => {
  const { subject } = leaver(h);
  await h.offboard(leaver(h));
  return subject;
};
/** A block is lifted with its row in the trail, or neither is done and the caller was told so; sent again, it is done. */
export const expectReinstated = async (h: WebhookHarness, subject: string, answer: Answer | void): Promise<void> => {
  const count = async (source: string): Promise<number> =>
    (await env.DB.prepare(`select count(*) as n from ${source}`).bind(subject).first<{ n: number }>())?.n ?? -1;
  const states = async () => [
    await count('subject_blocks where subject = ?'),
    await count(`audit_events where action = 'subject.reinstate' and detail ->> 'subject' = ?`),
  ];
  if (answer?.status !== 200) expect(answer?.status).toBe(503);
  expect([[0, 1], ...(answer?.status === 200 ? [] : [[1, 0]])]).toContainEqual(await states());
  const again = await orderOnce(h, 'reinstatements', { subject: { issuer: ISSUER, subject } });
  expect([again.status, again.body.data.blocks_lifted]).toEqual([200, 1]);
  expect(await states()).toEqual([0, 1]);
};
