import { env } from 'cloudflare:workers';
import { afterAll, describe, expect, it } from 'vitest';
import type { Runtime } from '../../src/runtime.ts';
import { labelDigest } from '../../src/subjects/labels.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { createFaults, FAULT_MODES, type FaultPlan } from '../support/faults.ts';
import { ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import { expectHonestAnswer, expectSettledTrail } from '../support/invariants.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../webhooks/harness.ts';

// Every D1 and network call of every operation, failing in every way it can.

const issuer = await createTestIssuer({ issuer: ISSUER });
// Late enough for a settlement to be announced as well.
const RECONCILE_AFTER_MS = 301_000;
/** Two proofs of absence are as far apart. */
const NEXT_PROOF_MS = 61_000;
/** Runs of the cron after which everything is settled: two proofs, and the looks at what the second brought about. */
const SETTLING_RUNS_MAX_COUNT = 6;

interface Operation {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  /** PipeOps' answers to this method say that of the token, whatever is so. */
  readonly twisted?: readonly [method: string, change: object];
  /** What exists before; its calls are not counted. */
  prepare?(harness: WebhookHarness): Promise<string>;
  run(harness: WebhookHarness, prepared: string): Promise<Answer | void>;
  /** What it orders is carried out in the end, once: every token that there is at PipeOps is revoked by then. */
  readonly revokesAll?: true;
  /** What holds whatever failed: as soon as it is over, and again once reconciliation has had its turn. */
  afterwards?(harness: WebhookHarness, prepared: string, answer: Answer | void): Promise<void>;
}

const path = (id: string) => `${TOKENS}/${id}`;
const mintOne = async (harness: Harness) => (await harness.mint()).id;
const SNAPSHOTS = { SNAPSHOT_MAX_AGE_SECONDS: '15' };
const mintAndList = async (harness: Harness) => {
  const id = await mintOne(harness);
  await harness.send('GET', TOKENS);
  return id;
};
const mintPages = async (harness: Harness) => {
  for (const name of ['a', 'b', 'c']) await harness.mint(name);
  await harness.control.behave(harness.workspace, { list: { page_size: 2 } });
  return '';
};
/** What is shown of it is a part only where that is said. */
const listPages = async (harness: Harness): Promise<Answer> => {
  const answer = await harness.send('GET', TOKENS);
  if (answer.status === 200 && answer.body.partial === undefined) expect(answer.body.data.tokens).toHaveLength(3);
  return answer;
};
/** A create that PipeOps committed and whose answer was lost, old enough to be looked into. */
const loseCreate = async (harness: Harness) => {
  await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
  await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
  return '';
};

/** The same delivery each time: its id is that of its harness. */
const leak = async (h: WebhookHarness, token: string) => await h.leak(token, { id: `msg_${h.workspace}` });
const leaver = (h: Harness) => ({ issuer: ISSUER, subject: `alice-${h.workspace}` });
const leaverLabel = (h: Harness, label: string): string => `${label}-${h.workspace}`;
/** Good for as long as the clock of a test may jump. */
const leaverJwt = async (h: Harness, label: string): Promise<string> =>
  await h.jwtFor('admin', {
    sub: leaver(h).subject,
    email: leaverLabel(h, label),
    exp: Math.floor(Date.now() / 1000) + 3_600,
  });
/** Whoever has a row here of what it did under its label is known by that label, whatever failed; and by one label alone. */
const expectCurrentLabel = async (h: Harness): Promise<void> => {
  const labels = await env.DB.prepare('select * from subject_labels where subject = ? order by last_seen_at desc')
    .bind(leaver(h).subject)
    .all<{ label_digest: string; last_seen_at: number }>();
  const rows = (await h.rows()).filter(({ actor_label }) => actor_label === leaverLabel(h, 'new'));
  const current = labels.results[0]?.label_digest;
  expect(current).toBe(labelDigest(leaverLabel(h, rows.length > 0 ? 'new' : 'old')));
  expect(new Set(labels.results.map(({ last_seen_at }) => last_seen_at)).size).toBe(labels.results.length);
};
/** A delivery whose order waits, since PipeOps answered 500. */
const leaveOpen = async (h: WebhookHarness) => {
  const { token } = await h.mint();
  await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'DELETE' }, status: 500 });
  return (await leak(h, token)).body.data.delivery_id as string;
};

/** The harness at its own time: a JWT of the real one is too old for a clock that jumped. */
const listLater = async (h: Harness) => {
  const nowSeconds = Math.floor(h.runtime.now() / 1000);
  return await h.send('GET', TOKENS, { jwt: await h.jwtFor('admin', { iat: nowSeconds, exp: nowSeconds + 300 }) });
};
/** What the next lists of a workspace say, whatever is true. */
const listsSay = async (h: Harness, ids: readonly string[], times = 1) => {
  const tokens = ids.map((id) => ({ id, name: 'deploy', scopes: ['api:read'], is_revoked: false }));
  await h.control.fault({
    match: { workspace_uuid: h.workspace, method: 'GET' },
    times,
    body: { success: true, message: '', data: { tokens, total: tokens.length } },
  });
};
/** A token that a list has missed a minute ago, and that the next list misses as well, or shows again. */
const missOnce = async (h: WebhookHarness) => {
  const id = await mintOne(h);
  h.age(61);
  await listsSay(h, []);
  await listLater(h);
  h.age(61);
  return id;
};
/** An undelivered token that turned up after its create was settled as not applied. */
const turnUpLate = async (h: WebhookHarness) => {
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

const createWithKey = async (harness: Harness, key: string): Promise<Answer> =>
  await harness.send('POST', TOKENS, {
    body: { name: 'deploy', scopes: ['api:read'] },
    headers: { 'Idempotency-Key': key },
    // The clock may have jumped.
    jwt: await harness.jwtFor('admin', { exp: Math.floor(Date.now() / 1000) + 3_600 }),
  });
/** The same create again: whoever gets a secret, now or before, gets that of the one token that is alive. */
const repeatCreate = async (harness: Harness, key: string, answer: Answer | void): Promise<void> => {
  const repeated = await createWithKey(harness, key);
  await expectHonestAnswer(harness, repeated);
  const delivered = [answer, repeated].filter((given) => given?.status === 201).map((given) => given?.body.data);
  for (const data of delivered) expect(data).toEqual(delivered[0]);
  const live = (await harness.upstreamTokens()).filter((token) => !token.is_revoked).map(({ id }) => id);
  if (delivered.length > 0) expect(live).toEqual([delivered[0].id]);
  const isOpen = (await harness.rows()).some(({ status }) => status === 'attempted');
  if (!isOpen) expect(repeated.status, 'nothing is open, so a repeat is answered').toBe(201);
};

/** Whoever was told why a delivery is refused finds it among the deliveries; else it was 503, and is sent again. */
async function expectKept(h: WebhookHarness, answer: Answer | void, refusal: readonly [number, string]): Promise<void> {
  const { results } = await env.DB.prepare('select event_id, refused from webhook_deliveries where sender_id = ?')
    .bind(`msg_${h.workspace}`)
    .all();
  const given = [answer?.status, answer?.body.code];
  if (given[0] === 503) return expect(given).toEqual([503, 'audit_unavailable']);
  expect(given).toEqual(refusal);
  expect(results).toContainEqual({ event_id: answer?.headers.get('X-Audit-Event-Id'), refused: refusal[1] });
}
const createOne = async (h: Harness): Promise<Answer> =>
  await h.send('POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] } });
const mintSuspended = async (h: Harness): Promise<string> => {
  const id = await mintOne(h);
  await h.send('PATCH', path(id), { body: { is_active: false } });
  return id;
};
const resume = async (h: Harness, id: string): Promise<Answer> =>
  await h.send('PATCH', path(id), { body: { is_active: true } });
/** An order that suspends it waits for its driver. */
const orderSuspended = async (h: Harness): Promise<string> => {
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
const expectDeadOrOpen = async (h: WebhookHarness): Promise<void> => {
  const isOpen =
    (await ordersOf(h)).some(({ state }) => state === 'open') ||
    (await h.rows()).some(({ status }) => status === 'attempted');
  if (isOpen) return;
  for (const { is_revoked, is_active } of await h.upstreamTokens()) expect(!is_revoked && is_active).toBe(false);
};

const OPERATIONS: readonly Operation[] = [
  { name: 'create', run: createOne },
  {
    name: 'create with a key',
    prepare: async () => await Promise.resolve(crypto.randomUUID()),
    run: createWithKey,
    afterwards: repeatCreate,
  },
  {
    name: 'repeated create with a key',
    prepare: async (h) => {
      const key = crypto.randomUUID();
      await createWithKey(h, key);
      return key;
    },
    run: createWithKey,
    afterwards: repeatCreate,
  },
  {
    name: 'create under a new label',
    prepare: async (h) => {
      await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'old') });
      return '';
    },
    run: async (h) => {
      const jwt = await leaverJwt(h, 'new');
      return await h.send('POST', TOKENS, { jwt, body: { name: 'deploy', scopes: ['api:read'] } });
    },
    afterwards: expectCurrentLabel,
  },
  {
    name: 'list under a new label',
    prepare: async (h) => {
      await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'old') });
      return '';
    },
    run: async (h) => await h.send('GET', TOKENS, { jwt: await leaverJwt(h, 'new') }),
    afterwards: expectCurrentLabel,
  },
  { name: 'list', prepare: mintOne, run: async (h) => await h.send('GET', TOKENS) },
  { name: 'get', prepare: mintOne, run: async (h, id) => await h.send('GET', path(id)) },
  { name: 'list with snapshots', env: SNAPSHOTS, prepare: mintOne, run: async (h) => await h.send('GET', TOKENS) },
  { name: 'list of several pages', env: SNAPSHOTS, prepare: mintPages, run: listPages },
  {
    name: 'get beside a list of several pages',
    prepare: mintPages,
    run: async (h) => await h.send('GET', path('unknown')),
  },
  {
    name: 'list of a held snapshot',
    env: SNAPSHOTS,
    prepare: mintAndList,
    run: async (h) => await h.send('GET', TOKENS),
  },
  {
    name: 'get of a held snapshot',
    env: SNAPSHOTS,
    prepare: mintAndList,
    run: async (h, id) => await h.send('GET', path(id)),
  },
  { name: 'create whose answer leaves out', twisted: ['POST', { scopes: null }], run: createOne },
  { name: 'create that contradicts its grant', twisted: ['POST', { scopes: ['*'] }], run: createOne },
  {
    name: 'suspend',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { is_active: false } }),
  },
  { name: 'resume', prepare: mintSuspended, run: resume },
  {
    name: 'update that PipeOps does not obey',
    twisted: ['PATCH', { scopes: ['*'] }],
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { scopes: ['api:write'] } }),
  },
  {
    name: 'rename',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { name: 'renamed' } }),
  },
  {
    name: 'rescope',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { scopes: ['api:write'] } }),
  },
  { name: 'revoke', prepare: mintOne, run: async (h, id) => await h.send('DELETE', path(id)) },
  {
    name: 'revoke of a token made elsewhere',
    prepare: async (h) => (await h.control.insertToken({ workspace_uuid: h.workspace, name: 'by hand' })).id,
    run: async (h, id) => await h.send('DELETE', path(id)),
  },
  {
    name: 'list that misses a token once more',
    prepare: async (h) => {
      const id = await missOnce(h);
      await listsSay(h, [], 2);
      return id;
    },
    run: listLater,
  },
  {
    name: 'list that shows a token again',
    prepare: async (h) => {
      const id = await missOnce(h);
      await listsSay(h, []);
      await listLater(h);
      h.age(61);
      await listsSay(h, [id]);
      return id;
    },
    run: listLater,
  },
  {
    name: 'list of an undelivered token',
    prepare: turnUpLate,
    run: listLater,
    // What one list did not get done, the next one does.
    afterwards: async (h) => {
      await listLater(h);
    },
  },
  {
    name: 'list that lacks most tokens',
    prepare: async (h) => {
      for (let made = 0; made < 3; made += 1) await mintOne(h);
      h.age(61);
      await listsSay(h, []);
      return '';
    },
    run: listLater,
  },
  { name: 'audit query', run: async (h) => await h.send('GET', '/api/v1/audit/events') },
  {
    name: 'audit event',
    prepare: async (h) => {
      await h.mint();
      return (await h.rows())[0]?.id ?? '';
    },
    run: async (h, id) => await h.send('GET', `/api/v1/audit/events/${id}`),
  },
  { name: 'audit export', run: async (h) => await h.send('GET', '/api/v1/audit/export?latest=true') },
  { name: 'cron', prepare: loseCreate, run: async (h) => await h.cron() },
  { name: 'webhook leak', prepare: async (h) => (await h.mint()).token, run: leak, revokesAll: true },
  {
    name: 'webhook offboard',
    prepare: async (h) => {
      const jwt = await h.jwtFor('admin', { sub: leaver(h).subject });
      await h.mint('one', jwt);
      await h.mint('two', jwt);
      return '';
    },
    run: async (h) => await h.offboard(leaver(h), { id: `msg_${h.workspace}` }),
    revokesAll: true,
  },
  {
    name: 'webhook offboard by a former label',
    prepare: async (h) => {
      for (const name of ['old', 'new']) await h.mint(name, await leaverJwt(h, name));
      return '';
    },
    run: async (h) => await h.offboard({ label: leaverLabel(h, 'old') }, { id: `msg_${h.workspace}` }),
    revokesAll: true,
  },
  {
    name: 'webhook refused',
    run: async (h) => await h.sendEvent('scanner', 'token.revoke', {}, { id: `msg_${h.workspace}` }),
    afterwards: async (h, _prepared, answer) => await expectKept(h, answer, [400, 'invalid_request']),
  },
  {
    name: 'webhook under a used id',
    prepare: async (h) => {
      await h.sendEvent('scanner', 'token.revoke', { token_id: 'tok-a' }, { id: `msg_${h.workspace}` });
      return '';
    },
    run: async (h) => await h.sendEvent('scanner', 'token.revoke', { token_id: 'tok-b' }, { id: `msg_${h.workspace}` }),
    afterwards: async (h, _prepared, answer) => await expectKept(h, answer, [409, 'id_reused']),
  },
  {
    name: 'webhook retry',
    prepare: leaveOpen,
    run: async (h, id) => await h.send('POST', `/api/v1/webhooks/deliveries/${id}/retry`),
    revokesAll: true,
  },
  { name: 'orders cron', prepare: leaveOpen, run: async (h) => await h.cron(), revokesAll: true },
  // What these leave open is none of what a cron above meets.
  { name: 'resume that an order overtakes', prepare: orderSuspended, run: resume, afterwards: expectDeadOrOpen },
  {
    name: 'revoke that meets 404',
    prepare: async (h) => {
      const id = await mintOne(h);
      await h.control.fault({ match: { workspace_uuid: h.workspace, method: 'DELETE' }, status: 404, body: {} });
      return id;
    },
    run: async (h, id) => await h.send('DELETE', path(id)),
    afterwards: async (h, _id, answer) => {
      if (answer?.status === 409 || answer?.status === 200) await expectDeadOrOpen(h);
    },
  },
];

function twistedNetwork({ twisted }: Operation, { fetch }: Partial<Runtime>): Partial<Runtime> {
  return twisted === undefined ? {} : twistedTokens(twisted[0], () => twisted[1], fetch);
}

async function play(operation: Operation, plan: FaultPlan) {
  // What other plays left to be looked at would be calls of this one's cron.
  await clearOrders();
  const faults = createFaults(plan);
  const options = {
    issuer,
    db: faults.db,
    runtime: { ...faults.runtime, ...twistedNetwork(operation, faults.runtime) },
    env: operation.env ?? {},
  };
  // The clock is that of the faults.
  const age = (seconds: number) => faults.advance(seconds * 1000);
  const harness = { ...(await createWebhookHarness(options)), age };
  const prepared = (await operation.prepare?.(harness)) ?? '';
  if (operation.name.endsWith('cron')) faults.advance(RECONCILE_AFTER_MS);
  faults.arm();
  const answer = await operation.run(harness, prepared);
  faults.disarm();
  return { faults, harness, prepared, answer };
}

/** Whoever got 503 sends the same again; whoever got another answer may do so, and hears the same. */
async function repeat(operation: Operation, harness: WebhookHarness, prepared: string, first: Answer | void) {
  const again = await operation.run(harness, prepared);
  if (first === undefined || again === undefined) return;
  expect([202, 503]).toContain(first.status);
  expect(again.status).toBe(202);
  const { delivery_id: id } = (first.status === 202 ? first : again).body.data;
  expect(again.body.data.delivery_id).toBe(id);
}

/** Time passes, and the cron with it, until no attempt and no order is open. */
async function runUntilSettled(harness: WebhookHarness, advance: (ms: number) => void): Promise<void> {
  for (let run = 0; run < SETTLING_RUNS_MAX_COUNT; run += 1) {
    advance(run === 0 ? RECONCILE_AFTER_MS : NEXT_PROOF_MS);
    await harness.cron();
    const isOpen = (await harness.rows()).some(({ status }) => status === 'attempted');
    const hasOrders = (await ordersOf(harness)).some(({ state }) => state === 'open' || state === 'acknowledged');
    if (!isOpen && !hasOrders) return;
  }
}

async function expectAllRevokedOnce(harness: WebhookHarness): Promise<void> {
  const tokens = await harness.upstreamTokens();
  expect(tokens.length).toBeGreaterThan(0);
  for (const { commits } of tokens) {
    expect(commits.map(({ operation }) => operation)).toEqual(['create', 'revoke']);
  }
  const orders = await ordersOf(harness);
  expect(orders.map(({ token_id }) => token_id).toSorted()).toEqual(tokens.map(({ id }) => id).toSorted());
  for (const { state, result } of orders) {
    expect(state).toBe('confirmed');
    expect(['revoked', 'already_gone']).toContain(result);
  }
  for (const { revoked_at } of await harness.inventory()) expect(revoked_at).not.toBeNull();
}

let total = 0;
afterAll(() => console.log(`fault harness: ${total} points`));

describe.each(OPERATIONS)('$name', async (operation) => {
  const { faults } = await play(operation, { point: 0, mode: 'fails before' });
  const plans = faults.points.flatMap((call, index) => FAULT_MODES.map((mode) => ({ point: index + 1, call, mode })));
  total += plans.length;

  it.each(plans)('call $point ($call) $mode', async (plan) => {
    const { faults: injected, harness, prepared, answer } = await play(operation, plan);
    expect(injected.points.length, 'the planned call was made').toBeGreaterThanOrEqual(plan.point);
    if (answer !== undefined) await expectHonestAnswer(harness, answer);
    await operation.afterwards?.(harness, prepared, answer);

    if (operation.revokesAll === true) await repeat(operation, harness, prepared, answer);
    await runUntilSettled(harness, injected.advance);
    await expectSettledTrail(harness);
    await operation.afterwards?.(harness, prepared, answer);
    if (operation.revokesAll === true) await expectAllRevokedOnce(harness);
  });
});
