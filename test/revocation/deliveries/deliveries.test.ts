import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { detailOf } from '../../support/audit-detail.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { badRequest, expectRefused, rowsOf } from '../../security/expectations.ts';
import { ISSUER, TOKENS, type Answer } from '../../support/harness.ts';
import { clearOrders, createWebhookHarness, deliveryOf, type WebhookHarness } from '../harness.ts';

// What came in by webhook, what it led to, and what is pending, for those who may read the trail.

const DELIVERIES = '/api/v1/webhooks/deliveries';
const NO_DELIVERY = '00000000-0000-4000-8000-000000000000';
const RFC3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/;

let harness: WebhookHarness;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
});

const read = async (delivery: Answer): Promise<Answer> =>
  await harness.send('GET', `${DELIVERIES}/${delivery.body.data.delivery_id}`);
const list = async (query = ''): Promise<Answer> => await harness.send('GET', `${DELIVERIES}${query}`);
const refusePipeOps = async (method: string, status = 500): Promise<void> =>
  await harness.control.fault({ status, match: { workspace_uuid: harness.workspace, method } });
const rowOf = async (answer: Answer): Promise<AuditEventRow | undefined> =>
  (await rowsOf(answer)).find(({ id }) => id === answer.headers.get('X-Audit-Event-Id'));

describe('one delivery', () => {
  it('of a leak is its receipt: received, matched, revoked and confirmed gone, in this order', async () => {
    const { id, token } = await harness.mint('leaked');
    const delivery = await harness.leak(token, { id: 'msg_of_a_leak' });
    const answer = await read(delivery);
    expect(answer.status, answer.text).toBe(200);
    const { revocations, ...data } = answer.body.data;
    expect(data).toEqual({
      id: delivery.body.data.delivery_id,
      source: 'scanner',
      event: 'token.leaked',
      sender_id: 'msg_of_a_leak',
      received_at: delivery.body.data.received_at,
      event_id: delivery.headers.get('X-Audit-Event-Id'),
      ignored: null,
      refused: null,
      tokens: { matched: 1, unmatched: 0, out_of_scope: 0 },
      orders: { open: 0, acknowledged: 0, confirmed: 1, failed: 0 },
      items: [
        {
          position: 0,
          found: 'matched',
          location: 'https://git.example/acme/shop/blob/1/env',
          workspace_uuid: harness.workspace,
          token_id: id,
        },
      ],
    });
    const [{ received_at, matched_at, revoked_at, confirmed_at, tries, ...revocation }, ...others] = revocations;
    const revokedRow = (await harness.rows()).at(-1);
    expect(revocation).toEqual({
      event_id: revokedRow?.id,
      workspace_uuid: harness.workspace,
      token_id: id,
      mode: 'revoke',
      state: 'confirmed',
      result: 'revoked',
      error_code: null,
      next_try_at: null,
      contradicted_at: null,
    });
    const times: string[] = [received_at, matched_at, revoked_at, confirmed_at];
    for (const time of times) expect(time).toMatch(RFC3339);
    expect(times.toSorted()).toEqual(times);
    expect(received_at).toBe(data.received_at);
    expect(tries).toBeGreaterThanOrEqual(0);
    expect(others).toEqual([]);
  });

  it('whose order PipeOps has not taken yet says when it is tried next', async () => {
    const { token } = await harness.mint('leaked');
    await refusePipeOps('DELETE');
    const answer = await read(await harness.leak(token));
    expect(answer.body.data.orders).toEqual({ open: 1, acknowledged: 0, confirmed: 0, failed: 0 });
    const [revocation] = answer.body.data.revocations;
    expect(revocation).toMatchObject({
      state: 'open',
      result: null,
      error_code: 'upstream_error',
      tries: 1,
      revoked_at: null,
      confirmed_at: null,
    });
    expect(Date.parse(revocation.next_try_at)).toBeGreaterThan(Date.parse(revocation.matched_at));
  });

  it.each([500, 429])('that is revoked and, after a %i, not confirmed yet is acknowledged', async (status) => {
    const { token } = await harness.mint('leaked');
    await refusePipeOps('GET', status);
    const { orders, revocations } = (await read(await harness.leak(token))).body.data;
    expect(orders).toEqual({ open: 0, acknowledged: 1, confirmed: 0, failed: 0 });
    expect(revocations).toMatchObject([
      {
        state: 'acknowledged',
        result: 'revoked',
        revoked_at: expect.stringMatching(RFC3339),
        confirmed_at: null,
        next_try_at: expect.stringMatching(RFC3339),
        tries: 1,
      },
    ]);
  });

  it('of a leak that is none of ours names the tokens whose prefix fits', async () => {
    const { id, token } = await harness.mint('alike');
    const { tokens, items, revocations } = (await read(await harness.leak(`${token.slice(0, 11)}${'x'.repeat(33)}`)))
      .body.data;
    expect(tokens).toEqual({ matched: 0, unmatched: 1, out_of_scope: 0 });
    expect(items).toMatchObject([{ found: 'unmatched', token_id: null, candidates: [id] }]);
    expect(revocations).toEqual([]);
  });

  it('of a token outside its sender’s workspaces says so', async () => {
    const { id, token } = await harness.mint('leaked');
    const { data } = (await read(await harness.sendEvent('elsewhere', 'token.leaked', { token }))).body;
    expect(data.tokens).toEqual({ matched: 0, unmatched: 0, out_of_scope: 1 });
    expect(data.items).toMatchObject([{ found: 'out_of_scope', token_id: id }]);
    expect(data.items[0]).not.toHaveProperty('candidates');
  });

  it.each([
    ['issuer and subject', (subject: string) => ({ issuer: ISSUER, subject })],
    ['label', (subject: string) => ({ label: `${subject}@acme.example` })],
  ])('about a leaver named by %s names the leaver, and each token', async (_case, who) => {
    const subject = `alice-${crypto.randomUUID()}`;
    const jwt = await harness.jwtFor('admin', { sub: subject, email: `${subject}@acme.example` });
    const { id } = await harness.mint('hers', jwt);
    const { data } = (await read(await harness.offboard({ ...who(subject), mode: 'suspend' }))).body;
    expect(data).toMatchObject({ event: 'subject.offboarded', mode: 'suspend', subject: who(subject), items: [] });
    expect(data.subject).toEqual(who(subject));
    expect(data.revocations).toMatchObject([
      {
        token_id: id,
        mode: 'suspend',
        state: 'confirmed',
        result: 'suspended',
        suspended_at: expect.stringMatching(RFC3339),
      },
    ]);
    expect(data.revocations[0]).not.toHaveProperty('revoked_at');
  });

  it('that was ignored says why', async () => {
    const { data } = (await read(await harness.sendEvent('scanner', 'token.frozen', {}))).body;
    expect(data).toMatchObject({ event: 'token.frozen', ignored: 'event_unknown', items: [], revocations: [] });
  });

  it('that was refused says why, and by which field', async () => {
    await harness.sendEvent('scanner', 'token.revoke', { token_id: '/' }, { id: 'msg_refused' });
    await harness.sendRaw('scanner', '{"type":');
    const [unreadable, refused] = (await list('?limit=2')).body.data;
    expect(refused).toMatchObject({
      event: 'token.revoke',
      sender_id: 'msg_refused',
      ignored: null,
      refused: 'invalid_request',
      refused_field: 'data.token_id',
      orders: { open: 0, acknowledged: 0, confirmed: 0, failed: 0 },
    });
    expect(unreadable).toMatchObject({ event: null, refused: 'invalid_json' });
    expect(unreadable).not.toHaveProperty('refused_field');
    const whole = await harness.send('GET', `${DELIVERIES}/${refused.id}`);
    expect(whole.body.data).toEqual({ ...refused, items: [], revocations: [] });
  });

  it('counts the items that could not be acted on, and shows that its id was used before', async () => {
    const id = `msg_${crypto.randomUUID()}`;
    await harness.leak('unknown', { id });
    const delivery = await harness.sendEvent('scanner', 'token.leaked', { tokens: [{}, { token: 'x' }] }, { id });
    const { data } = (await read(delivery)).body;
    expect(data).toMatchObject({ id_reused: true, rejected_items: { no_secret: 1 }, tokens: { unmatched: 1 } });
    expect(data.items).toMatchObject([{ position: 1 }]);
  });

  it('counts its orders by state, except for those that another has replaced', async () => {
    const { token } = await harness.mint('leaked');
    const delivery = await harness.leak(token);
    const id: string = delivery.body.data.delivery_id;
    const states = ['open', 'open', 'acknowledged', 'failed', 'retried', 'lifted'];
    await env.DB.batch([
      ...states.map((state) =>
        env.DB.prepare(
          `insert into revocation_orders (id, cause, delivery_id, workspace_uuid, token_id, mode, rank, state, created_at, contradicted_at)
            values (?, 'leak', ?, ?, 'tok-x', 'revoke', 0, ?, 1, 2)`,
        ).bind(crypto.randomUUID(), id, harness.workspace, state),
      ),
      env.DB.prepare('update webhook_deliveries set orders_left = 1 where id = ?').bind(id),
    ]);
    const { data } = (await read(delivery)).body;
    expect(data.orders).toEqual({ open: 2, acknowledged: 1, confirmed: 1, failed: 1, lifted: 1 });
    expect(data.orders_left).toBe(true);
    expect(data.revocations).toHaveLength(7);
    expect(data.revocations[0]).toMatchObject({ contradicted_at: '1970-01-01T00:00:00.002Z' });
    await env.DB.batch([
      env.DB.prepare(`delete from revocation_orders where token_id = 'tok-x'`),
      env.DB.prepare('update webhook_deliveries set orders_left = 0 where id = ?').bind(id),
    ]);
  });

  it('that does not exist is 404, and that is in the trail', async () => {
    const send = async () => await harness.send('GET', `${DELIVERIES}/${NO_DELIVERY}`);
    await expectRefused(harness, send, {
      status: 404,
      code: 'not_found',
      row: {
        action: 'webhook.query',
        actor_subject: 'admin-1',
        detail: detailOf(harness, { delivery_id: NO_DELIVERY }),
      },
    });
  });

  it.each([
    ['an id that is none', '/unknown', 'id'],
    ['a parameter', `/${NO_DELIVERY}?verbose=true`, 'verbose'],
  ])('%s is 400', async (_case, rest, field) => {
    const send = async () => await harness.send('GET', `${DELIVERIES}${rest}`);
    await expectRefused(harness, send, badRequest('invalid_request', [field]));
  });
});

describe('a delivery about a subject', () => {
  it('says if nobody was found, and if its issuer is not configured', async () => {
    const elsewhere = { issuer: 'https://idp.example', subject: 'nobody' };
    const delivery = await harness.offboard(elsewhere);
    const owners = { owners: expect.any(Array), also_carried: [] };
    expect(delivery.body.data).toMatchObject({ issuer_configured: false, ...owners });
    expect((await read(delivery)).body.data).toMatchObject({ subject: elsewhere, issuer_configured: false, ...owners });
    for (const who of [{ issuer: ISSUER, subject: 'nobody' }, { label: 'nobody@acme.example' }]) {
      const known = await harness.offboard(who);
      expect(known.body.data).toMatchObject(owners);
      expect(known.body.data).not.toHaveProperty('issuer_configured');
      expect((await read(known)).body.data).not.toHaveProperty('issuer_configured');
    }
  });

  it('names the owners that it found, and those that also carried its label, with their tokens', async () => {
    const signing = { id: `msg_${crypto.randomUUID()}` };
    const label = `${crypto.randomUUID()}@acme.example`;
    const delivery = await harness.offboard({ label }, signing);
    const id: string = delivery.body.data.delivery_id;
    await env.DB.prepare(
      `insert into webhook_owners (delivery_id, issuer, subject, found, tokens)
        values (?1, 'i', 'b', 'owner', 0), (?1, 'i', 'a', 'owner', 3), (?1, 'i', 'c', 'also_carried', 2)`,
    )
      .bind(id)
      .run();
    const found = {
      owners: [
        { issuer: 'i', subject: 'a', tokens: 3 },
        { issuer: 'i', subject: 'b', tokens: 0 },
      ],
      also_carried: [{ issuer: 'i', subject: 'c', tokens: 2 }],
    };
    expect((await read(delivery)).body.data).toMatchObject({ subject: { label }, ...found });
    // The sender hears it as well: whoever sends it again is told what was found.
    expect((await harness.offboard({ label }, signing)).body.data).toMatchObject({ delivery_id: id, ...found });
  });

  it('shows a part of a long label, and whom it found', async () => {
    const label = `${'é'.repeat(3_000)}@acme.example`;
    const delivery = await harness.offboard({ label, former: true });
    expect(delivery.status, delivery.text).toBe(202);
    const { data } = (await read(delivery)).body;
    expect(data).toMatchObject({ former: true, subject: { label: 'é'.repeat(48) } });
    expect(await deliveryOf(delivery)).toMatchObject({ former: 1 });
  });

  it('that is about tokens has no owners', async () => {
    const { data } = (await read(await harness.leak('unknown'))).body;
    for (const name of ['owners', 'also_carried', 'issuer_configured']) expect(data).not.toHaveProperty(name);
  });
});

describe('the list', () => {
  const ids = (answer: Answer): string[] => answer.body.data.map(({ id }: { id: string }) => id);
  let sent: string[];
  beforeEach(async () => {
    sent = [];
    for (let count = 0; count < 5; count += 1) {
      sent.unshift((await harness.leak(`unknown-${count}`)).body.data.delivery_id);
    }
  });

  it('is newest first, in pages that follow one another', async () => {
    const first = await list('?limit=2');
    expect(ids(first)).toEqual(sent.slice(0, 2));
    const second = await list(`?limit=2&cursor=${first.body.pagination.next_cursor}`);
    expect(ids(second)).toEqual(sent.slice(2, 4));
    // What came in meanwhile does not move the pages.
    await harness.leak('newer');
    const third = await list(`?limit=1&cursor=${second.body.pagination.next_cursor}`);
    expect(ids(third)).toEqual(sent.slice(4));
  });

  it('ends', async () => {
    const whole = ids(await list('?limit=200'));
    const seen: string[] = [];
    for (let query: string | null = '?limit=7'; query !== null;) {
      const page: Answer = await list(query);
      seen.push(...ids(page));
      const next: string | null = page.body.pagination.next_cursor;
      query = next === null ? null : `?limit=7&cursor=${next}`;
    }
    expect(seen).toEqual(whole);
  });

  it('says what each led to, as the delivery itself does', async () => {
    const { token } = await harness.mint('leaked');
    const { items: _items, revocations: _revocations, ...summary } = (await read(await harness.leak(token))).body.data;
    expect((await list('?limit=1')).body.data).toEqual([summary]);
    expect(summary.orders).toEqual({ open: 0, acknowledged: 0, confirmed: 1, failed: 0 });
  });

  it.each([
    ['?limit=0', 'limit'],
    ['?limit=201', 'limit'],
    ['?limit=ten', 'limit'],
    ['?limit=1&limit=2', 'limit'],
    ['?cursor=nothing', 'cursor'],
    ['?cursor=', 'cursor'],
    ['?source=scanner', 'source'],
  ])('%s is 400', async (query, field) => {
    await expectRefused(harness, async () => await list(query), badRequest('invalid_request', [field]));
  });
});

describe('reading', () => {
  it('is in the trail, in one row for all equal readings of a minute, with their count', async () => {
    const nowMs = Date.now();
    harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
    const delivery = await harness.leak('unknown');
    const pages = [await list('?limit=3'), await list('?limit=3')];
    expect(await rowOf(pages[1]!)).toMatchObject({
      action: 'webhook.query',
      status: 'success',
      actor_issuer: ISSUER,
      actor_subject: 'admin-1',
      detail: detailOf(harness, { limit: 3 }),
      count: 2,
    });
    const reads = [await read(delivery), await read(delivery), await read(delivery)];
    expect(await rowOf(reads[0]!)).toMatchObject({
      action: 'webhook.query',
      detail: detailOf(harness, { delivery_id: delivery.body.data.delivery_id }),
      count: 3,
    });
    expect(new Set(reads.map(({ headers }) => headers.get('X-Audit-Event-Id'))).size).toBe(1);
  });

  it('tells no secret and no fingerprint', async () => {
    const { token } = await harness.mint('leaked');
    const delivery = await harness.sendEvent('scanner', 'token.leaked', {
      token,
      url: `https://a.example/?t=${token}`,
    });
    const [row] = await harness.inventory();
    for (const { text } of [await read(delivery), await list()]) {
      expect(text).not.toContain(token.slice(0, 12));
      expect(text).not.toContain(row?.fingerprint ?? 'none');
    }
    const location = 'https://a.example/?t=[redacted]';
    expect((await read(delivery)).body.data.items).toMatchObject([{ location }]);
  });

  it('needs D1: nothing is told without a row in the trail', async () => {
    const down = { prepare: () => ({ bind: () => ({}) }), batch: async () => await Promise.reject(new Error('down')) };
    const broken = await createWebhookHarness({ like: harness, db: down as never });
    for (const path of [DELIVERIES, `${DELIVERIES}/${NO_DELIVERY}`]) {
      const answer = await broken.send('GET', path);
      expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    }
  });
});

it('of an id that is no delivery finds no token either: the paths do not meet', async () => {
  const delivery = await harness.leak('unknown');
  const answer = await harness.send('GET', `${TOKENS}/${delivery.body.data.delivery_id}`);
  expect(answer.status).toBe(404);
});
