import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { CALLER_IDLE_MAX_ROWS } from '../../../src/config/limits.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { rowsOf } from '../../security/expectations.ts';
import { askedIn } from '../../support/audit-detail.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type SentRequest } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../harness.ts';

// What a person does in an incident: it takes effect as a webhook's delivery does, in the name of the person.

const REVOCATIONS = '/api/v1/revocations';
const REINSTATEMENTS = '/api/v1/reinstatements';
const ELSEWHERE = 'e15e0000-0000-4000-8000-000000000000';
const responder = { permissions: ['tokens:revoke'], tokens: 'any', workspaces: ['*'] };
const roles = {
  responder,
  elsewhere: { ...responder, workspaces: [ELSEWHERE] },
  own: { ...responder, tokens: 'own' },
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
  auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
};
const reason = 'INC-7: "leaked"\nin a build log';

let harness: WebhookHarness;
/** Somebody who leaves, by subject and e-mail address; every test has its own. */
let alice: { readonly issuer: string; readonly subject: string };
let email: string;
/** Who presses the button. */
let kim: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ roles });
  alice = { issuer: ISSUER, subject: `alice-${crypto.randomUUID()}` };
  email = `${alice.subject}@acme.example`;
  kim = `kim-${alice.subject}`;
});

const jwtOf = async (role: string, sub = kim, claims: object = {}): Promise<string> => {
  const iat = Math.floor(harness.runtime.now() / 1000);
  return await harness.jwtFor(role, { sub, iat, exp: iat + 300, ...claims });
};
const aliceJwt = async (): Promise<string> => await jwtOf('owner', alice.subject, { email });
const post = async (path: string, body: object, request: SentRequest & { role?: string } = {}): Promise<Answer> =>
  await harness.send('POST', path, {
    jwt: await jwtOf(request.role ?? 'responder'),
    ...request,
    body: { reason, ...body },
  });
const revoke = async (tokenIds: readonly string[], request: SentRequest & { role?: string } = {}): Promise<Answer> =>
  await post(REVOCATIONS, { workspace_uuid: harness.workspace, token_ids: tokenIds }, request);
const offboard = async (subject: object, more: object = {}): Promise<Answer> =>
  await post(REVOCATIONS, { subject, ...more });
const reinstate = async (subject: object): Promise<Answer> => await post(REINSTATEMENTS, { subject });
const keyed = (key: string): SentRequest => ({ headers: { 'Idempotency-Key': key } });
const alive = async (): Promise<string[]> =>
  (await harness.upstreamTokens()).filter(({ is_revoked }) => !is_revoked).map(({ id }) => id);
/** The rows that belong to a receipt, in order. */
const rowsOfReceipt = async (id: string): Promise<AuditEventRow[]> =>
  (
    await env.DB.prepare(
      `select * from audit_events where detail ->> 'delivery_id' = ? and action <> 'webhook.query' order by seq`,
    )
      .bind(id)
      .all<AuditEventRow>()
  ).results;
const receiptsBy = async (subject: string): Promise<number> =>
  (
    await env.DB.prepare(
      `select d.id from webhook_deliveries as d join audit_events as e on e.id = d.event_id where e.actor_subject = ?`,
    )
      .bind(subject)
      .all()
  ).results.length;
const minutes = async (count: number): Promise<void> => {
  for (let minute = 0; minute < count; minute += 1) {
    harness.age(61);
    await harness.cron();
  }
};

describe('a revocation of tokens', () => {
  it('revokes them whoever owns them, once each, and is in the trail with its reason', async () => {
    const one = await harness.mint('one', await aliceJwt());
    const two = await harness.mint('two');
    const kept = await harness.mint('kept', await aliceJwt());
    const answer = await revoke([one.id, two.id, one.id]);
    expect(answer.status, answer.text).toBe(202);
    expect(await alive()).toEqual([kept.id]);

    const { id } = answer.body.data;
    const by = { actor_type: 'user', actor_issuer: ISSUER, actor_subject: kim };
    const [ordered, ...revoked] = await rowsOfReceipt(id);
    expect(ordered).toMatchObject({
      id: answer.headers.get('X-Audit-Event-Id'),
      action: 'revocation.order',
      status: 'success',
      workspace_uuid: harness.workspace,
      outcome: '{"role":"responder"}',
      ...by,
    });
    expect(askedIn(ordered)).toEqual({ delivery_id: id, tokens: 2, reason });
    expect(revoked).toHaveLength(2);
    for (const row of revoked)
      expect(row).toMatchObject({ action: 'service_account_token.revoke', status: 'success', ...by });
    expect(await ordersOf(harness)).toMatchObject([{ state: 'confirmed' }, { state: 'confirmed' }]);
  });

  it('is answered with a receipt, which shows how far it is wherever it is read', async () => {
    const { id: tokenId } = await harness.mint();
    const answer = await revoke([tokenId]);
    const { id } = answer.body.data;
    expect(answer.headers.get('Location')).toBe(`${REVOCATIONS}/${id}`);
    const common = { id, source: null, event: 'token.revoke', reason, actor: { type: 'user', subject: kim } };
    expect(answer.body.data).toMatchObject({
      ...common,
      orders: { open: 1 },
      items: [{ position: 0, found: 'matched', token_id: tokenId, workspace_uuid: harness.workspace }],
      revocations: [{ token_id: tokenId, state: 'open' }],
    });
    for (const path of [`${REVOCATIONS}/${id}`, `/api/v1/webhooks/deliveries/${id}`]) {
      const read = await harness.send('GET', path);
      expect([read.status, read.body.data]).toMatchObject([200, { ...common, orders: { confirmed: 1 } }]);
      expect(await rowsOf(read)).toMatchObject([{ action: 'webhook.query', status: 'success' }]);
    }
    const listed = await harness.send('GET', '/api/v1/webhooks/deliveries?limit=1');
    expect(listed.body.data).toMatchObject([common]);
  });

  it('of an id that the inventory lacks is taken, and PipeOps is asked', async () => {
    const made = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const answer = await revoke([(made as { id: string }).id, 'made-up']);
    expect(answer.status).toBe(202);
    await minutes(3);
    expect(await alive()).toEqual([]);
    const read = await harness.send('GET', `${REVOCATIONS}/${answer.body.data.id}`, { jwt: await jwtOf('auditor') });
    const results = read.body.data.revocations.map((one: { token_id: string; result: string }) => one.result);
    expect(results.toSorted()).toEqual(['not_found', 'revoked']);
  });

  it('is taken while PipeOps is down, and driven by the cron; a retry sends it at once', async () => {
    const { id: tokenId } = await harness.mint();
    const down = { status: 500, match: { workspace_uuid: harness.workspace }, times: 1_000 };
    await harness.control.fault(down);
    const answer = await revoke([tokenId]);
    expect(answer.status).toBe(202);
    expect(await ordersOf(harness)).toMatchObject([{ state: 'open', tries: 1 }]);
    await harness.control.clearFaults({ workspace_uuid: harness.workspace });
    const { id } = answer.body.data;
    const retried = await harness.send('POST', `/api/v1/webhooks/deliveries/${id}/retry`, {
      jwt: await jwtOf('responder', 'somebody else'),
    });
    expect([retried.status, retried.body.data]).toEqual([202, { retried: 1 }]);
    expect(await alive()).toEqual([]);
    expect((await rowsOfReceipt(id)).at(-2)).toMatchObject({ actor_subject: kim, status: 'success' });
  });

  it('leaves its caller free to go on, though each token has a row in its name', async () => {
    const tokenIds = Array.from({ length: 150 }, (_item, index) => `made-up-${index}`);
    expect((await revoke(tokenIds)).status).toBe(202);
    expect((await revoke(['one-more'])).status).toBe(202);
  });

  it('is refused to whoever has ordered as many as a minute takes, and nothing is done', async () => {
    const rows = Array.from({ length: CALLER_IDLE_MAX_ROWS }, () => crypto.randomUUID());
    const jwt = await jwtOf('responder');
    const nowMs = harness.runtime.now();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, detail)
       select value, ?1, ?1, 'revocation.order', 'success', 'user', ?2, ?3, '{}' from json_each(?4)`,
    )
      .bind(nowMs, ISSUER, kim, JSON.stringify(rows))
      .run();
    const stopped = await createHarness({ like: harness, roles, runtime: { now: () => nowMs } });
    const body = { workspace_uuid: harness.workspace, token_ids: ['a'], reason };
    const answer = await stopped.send('POST', REVOCATIONS, { jwt, body });
    expect([answer.status, answer.body.code]).toEqual([429, 'rate_limited']);
    expect(await ordersOf(harness)).toEqual([]);
  });
});

describe('a revocation of a subject', () => {
  it.each([
    ['by issuer and subject', (): object => alice],
    ['by label', (): object => ({ label: email.toUpperCase() })],
  ])('%s revokes every token of it and blocks it', async (_case, who) => {
    await harness.mint('one', await aliceJwt());
    const others = await harness.mint('of the administrator');
    const answer = await offboard(who());
    expect(answer.status, answer.text).toBe(202);
    expect(await alive()).toEqual([others.id]);
    expect(answer.body.data).toMatchObject({
      subject: who(),
      mode: 'revoke',
      owners: [{ ...alice, tokens: 1 }],
      reason,
    });
    const blocked = await harness.send('GET', TOKENS, { jwt: await aliceJwt() });
    expect([blocked.status, blocked.body.code]).toEqual([403, 'subject_blocked']);
    const rows = await rowsOfReceipt(answer.body.data.id);
    expect(rows.map(({ action }) => action)).toEqual([
      'revocation.order',
      'subject.block',
      'service_account_token.revoke',
    ]);
    expect(new Set(rows.map(({ actor_subject }) => actor_subject))).toEqual(new Set([kim]));
    expect(askedIn(rows[0])).toMatchObject({ mode: 'revoke', reason });
    expect(askedIn(rows[1])).toMatchObject({ ...who(), mode: 'revoke' });
  });

  it('in mode suspend suspends its tokens, which a reinstatement does not resume', async () => {
    const { id } = await harness.mint('kept', await aliceJwt());
    const answer = await offboard(alice, { mode: 'suspend' });
    expect(answer.body.data.mode).toBe('suspend');
    expect(await harness.upstreamTokens()).toMatchObject([{ id, is_active: false, is_revoked: false }]);
    await reinstate(alice);
    expect((await harness.send('GET', TOKENS, { jwt: await aliceJwt() })).status).toBe(200);
    expect(await harness.upstreamTokens()).toMatchObject([{ id, is_active: false }]);
  });

  it('names the caller in the rows of orders that the cron makes, of a login that was found late', async () => {
    const former = await harness.mint('former', await jwtOf('owner', `former-${alice.subject}`));
    const late = await jwtOf('owner', `former-${alice.subject}`, { email });
    const answer = await offboard({ label: email });
    expect(answer.body.data.owners).toEqual([]);
    expect((await harness.send('GET', TOKENS, { jwt: late })).body.code).toBe('subject_blocked');
    await minutes(2);
    expect(await alive()).not.toContain(former.id);
    expect((await rowsOfReceipt(answer.body.data.id)).at(-1)).toMatchObject({
      action: 'service_account_token.revoke',
      actor_type: 'user',
      actor_issuer: ISSUER,
      actor_subject: kim,
      token_id: former.id,
      status: 'success',
      ip: null,
    });
  });
});

describe('a reinstatement', () => {
  const mayCall = async (): Promise<boolean> =>
    (await harness.send('GET', TOKENS, { jwt: await aliceJwt() })).status === 200;

  it.each([
    ['here', async (who: object) => await offboard(who)],
    ['by a webhook', async (who: object) => await harness.offboard(who)],
  ])('lifts a block that was made %s, and says what it lifted', async (_case, block) => {
    await harness.mint('one', await aliceJwt());
    await block(alice);
    expect(await mayCall()).toBe(false);
    const answer = await reinstate(alice);
    expect([answer.status, answer.body.data]).toMatchObject([
      200,
      { event: 'subject.reinstated', blocks_lifted: 1, owners: [alice], reason },
    ]);
    expect(answer.body.data).not.toHaveProperty('still_blocked');
    expect(answer.body.message).toMatch(/^Lifted\./);
    expect(await mayCall()).toBe(true);
    const rows = await rowsOfReceipt(answer.body.data.id);
    expect(rows).toMatchObject([
      {
        id: answer.headers.get('X-Audit-Event-Id'),
        action: 'subject.reinstate',
        status: 'success',
        actor_subject: kim,
        outcome: '{"role":"responder","blocks_lifted":1}',
      },
    ]);
    expect(askedIn(rows[0])).toEqual({ delivery_id: answer.body.data.id, ...alice, reason });
  });

  it('says that there was nothing to lift', async () => {
    const answer = await reinstate(alice);
    expect([answer.status, answer.body.data]).toMatchObject([200, { blocks_lifted: 0, owners: [] }]);
    expect(answer.body.message).toMatch(/nothing was lifted/);
  });

  it.each([
    ['a block by label, where the subject alone is reinstated', (): object => ({ label: email }), (): object => alice],
    ['a block by subject, where its label alone is', (): object => alice, (): object => ({ label: email })],
  ])('says that somebody is still blocked: %s', async (_case, blockedBy, lifted) => {
    await harness.mint('one', await aliceJwt());
    await offboard({ label: email });
    await offboard(blockedBy());
    const answer = await reinstate(lifted());
    expect(answer.body.data).toMatchObject({ still_blocked: true });
    expect(answer.body.message).toMatch(/another way/);
    expect(await mayCall()).toBe(false);
  });
});

describe('an administrator', () => {
  it.each([
    ['its issuer and subject', (): object => ({ issuer: ISSUER, subject: kim })],
    ['its label, in whatever case', (): object => ({ label: `KIM-${email}`.toUpperCase() })],
    ['a label that it carried last, of which its JWT says nothing', (): object => ({ label: `former-${email}` })],
  ])('does not lock itself out by %s', async (_case, who) => {
    const label = `kim-${email}`;
    await harness.mint('before', await jwtOf('admin', kim, { email: `former-${email}` }));
    const named = Object.values(who())[0] === `former-${email}` ? {} : { email: label };
    const answer = await post(REVOCATIONS, { subject: who() }, { jwt: await jwtOf('responder', kim, named) });
    expect([answer.status, answer.body.code, Object.keys(answer.body.errors ?? {})]).toEqual([
      422,
      'validation_failed',
      ['subject'],
    ]);
    expect(await receiptsBy(kim)).toBe(0);
    expect((await revoke(['made-up'])).status).toBe(202);
  });

  it('who is blocked orders nothing, and that is in the trail', async () => {
    await harness.offboard({ issuer: ISSUER, subject: kim });
    for (const send of [
      async () => await revoke(['made-up']),
      async () => await reinstate({ issuer: ISSUER, subject: kim }),
    ]) {
      const answer = await send();
      expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
      expect(await rowsOf(answer)).toMatchObject([{ status: 'failure', error_code: 'subject_blocked' }]);
    }
    expect(await receiptsBy(kim)).toBe(0);
    expect(await ordersOf(harness)).toEqual([]);
  });

  it.each([
    [
      'tokens of another workspace',
      'elsewhere',
      async (r: string) => await revoke(['made-up'], { role: r }),
      ELSEWHERE,
    ],
    [
      'a subject with a role for one workspace',
      'elsewhere',
      async (r: string) => await post(REVOCATIONS, { subject: alice }, { role: r }),
      ELSEWHERE,
    ],
    [
      'a reinstatement with a role for one workspace',
      'elsewhere',
      async (r: string) => await post(REINSTATEMENTS, { subject: alice }, { role: r }),
      ELSEWHERE,
    ],
    [
      'tokens of others with a role over its own',
      'own',
      async (r: string) => await revoke(['made-up'], { role: r }),
      'own tokens alone',
    ],
  ] as const)('is refused %s', async (_case, role, send, told) => {
    const answer = await send(role);
    expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    expect(answer.body.message).toContain(told);
    const [row] = await rowsOf(answer);
    expect(row).toMatchObject({ status: 'failure', error_code: 'forbidden', actor_subject: kim });
    expect(await receiptsBy(kim)).toBe(0);
  });
});

describe('a receipt', () => {
  const read = async (id: string, role: string): Promise<Answer> =>
    await harness.send('GET', `${REVOCATIONS}/${id}`, { jwt: await jwtOf(role, 'reader') });

  it('is shown to whoever may order the like, and to whoever reads the trail', async () => {
    const inShop = (await revoke(['made-up'])).body.data.id;
    const elsewhere = (
      await post(REVOCATIONS, { workspace_uuid: ELSEWHERE, token_ids: ['made-up'] }, { role: 'elsewhere' })
    ).body.data.id;
    const ofSubject = (await offboard(alice)).body.data.id;
    const lifted = (await reinstate(alice)).body.data.id;
    const webhook = (await harness.sendEvent('scanner', 'token.revoke', { token_id: 'x' })).body.data.delivery_id;
    const shown = async (role: string) =>
      await Promise.all(
        [inShop, elsewhere, ofSubject, lifted, webhook].map(async (id) => (await read(id, role)).status),
      );
    expect(await shown('auditor')).toEqual([200, 200, 200, 200, 404]);
    expect(await shown('responder')).toEqual([200, 200, 200, 200, 404]);
    expect(await shown('elsewhere')).toEqual([404, 200, 404, 404, 404]);
    expect(await shown('own')).toEqual([404, 404, 404, 404, 404]);
  });

  it('that is not shown is told as one that there is not', async () => {
    const hidden = await read((await offboard(alice)).body.data.id, 'elsewhere');
    const none = await read(crypto.randomUUID(), 'elsewhere');
    const told = ({ status, body }: Answer): unknown => [status, body.code, body.message];
    expect(told(hidden)).toEqual(told(none));
  });
});

describe('an Idempotency-Key', () => {
  it('has the same order take effect once, however often and however many at once', async () => {
    const { id: tokenId } = await harness.mint();
    const key = crypto.randomUUID();
    const answers = await Promise.all(Array.from({ length: 5 }, async () => await revoke([tokenId, 'b'], keyed(key))));
    const again = await revoke(['b', tokenId], keyed(`"${key}"`));
    const ids = [...answers, again].map(({ body }) => body.data.id);
    expect(new Set(ids).size).toBe(1);
    expect([...answers, again].map(({ status }) => status)).toEqual(Array(6).fill(202));
    const replayed = answers.filter(({ headers }) => headers.get('Idempotency-Replayed') === 'true');
    expect(replayed).toHaveLength(4);
    expect(again.body.data.orders).toMatchObject({ confirmed: 1 });
    expect(await rowsOf(again)).toMatchObject([{ action: 'webhook.query', status: 'success', actor_subject: kim }]);
    expect(await receiptsBy(kim)).toBe(1);
    expect((await harness.upstream()).filter(({ method }) => method === 'DELETE')).toHaveLength(1);
  });

  it('with another order is refused, and names the first', async () => {
    const key = crypto.randomUUID();
    const first = await revoke(['a'], keyed(key));
    for (const send of [
      async () => await revoke(['a', 'b'], keyed(key)),
      async () =>
        await post(REVOCATIONS, { workspace_uuid: harness.workspace, token_ids: ['a'], reason: 'x' }, keyed(key)),
      async () => await post(REVOCATIONS, { subject: alice }, keyed(key)),
    ]) {
      const answer = await send();
      expect([answer.status, answer.body.code]).toEqual([422, 'idempotency_key_reused']);
      expect(answer.body.errors['Idempotency-Key'][0]).toContain(first.body.data.event_id);
    }
    expect(await receiptsBy(kim)).toBe(1);
  });

  it('is its caller’s and its route’s alone; without one each order is its own', async () => {
    const key = crypto.randomUUID();
    await offboard(alice);
    const answers = [
      await revoke(['a'], keyed(key)),
      await revoke(['a'], { ...keyed(key), jwt: await jwtOf('responder', `lee-${kim}`) }),
      await post(REINSTATEMENTS, { subject: alice }, keyed(key)),
      await revoke(['a']),
      await revoke(['a']),
    ];
    expect(new Set(answers.map(({ body }) => body.data.id)).size).toBe(5);
    const repeated = await post(REINSTATEMENTS, { subject: alice }, keyed(key));
    expect(repeated.body.data).toMatchObject({ id: answers[2]?.body.data.id, blocks_lifted: 1 });
  });
});

describe('D1', () => {
  it('that does not take it leaves nothing done: 503', async () => {
    const { db } = failingBatches(() => true);
    const down = await createHarness({ like: harness, roles, db });
    const answer = await down.send('POST', REVOCATIONS, {
      jwt: await jwtOf('responder'),
      body: { workspace_uuid: harness.workspace, token_ids: ['a'], reason },
    });
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(await receiptsBy(kim)).toBe(0);
    expect(await harness.upstream()).toEqual([]);
  });

  it('that takes it and does not say so has it driven by the cron; a repeat finds it', async () => {
    const { id: tokenId } = await harness.mint();
    const { db } = failingBatches(
      (batch) => batch === 1,
      async (commit) => {
        await commit();
        throw new Error('injected: the answer is lost');
      },
    );
    const killed = await createHarness({ like: harness, roles, db });
    const body = { workspace_uuid: harness.workspace, token_ids: [tokenId], reason };
    const request = { ...keyed('once'), jwt: await jwtOf('responder'), body };
    expect((await killed.send('POST', REVOCATIONS, request)).status).toBe(503);
    expect(await alive()).toEqual([tokenId]);
    await harness.cron();
    expect(await alive()).toEqual([]);
    const repeated = await harness.send('POST', REVOCATIONS, request);
    expect([repeated.status, repeated.body.data.orders]).toMatchObject([202, { confirmed: 1 }]);
  });
});

it('the longest order has a row of at most 2 KB, and its receipt all of it', async () => {
  const longest = { issuer: `https://${'i'.repeat(120)}`, subject: '"'.repeat(128) };
  const request = {
    role: 'responder',
    jwt: await jwtOf('responder', 's'.repeat(128), { email: 'e'.repeat(96) }),
    headers: {
      'User-Agent': 'U'.repeat(200),
      'X-Request-Id': 'x'.repeat(64),
      'CF-Connecting-IP': '2001:0db8:85a3:0000:0000:8a2e:192.168.100.100',
    },
  };
  for (const path of [REVOCATIONS, REINSTATEMENTS]) {
    const answer = await post(path, { subject: longest, reason: '"'.repeat(250) }, request);
    expect([answer.status < 300, answer.body.data.reason]).toEqual([true, '"'.repeat(250)]);
  }
  const many = Array.from({ length: 1_000 }, (_item, index) => String(index).padStart(128, 'x'));
  const answer = await revoke(many, request);
  expect([answer.status, answer.body.data.items.length, answer.body.data.orders.open]).toEqual([202, 1_000, 1_000]);
});
