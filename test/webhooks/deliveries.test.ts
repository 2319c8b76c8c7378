import { beforeEach, describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { badRequest, expectRefused, rowsOf } from '../security/expectations.ts';
import { ISSUER, TOKENS, type Answer } from '../support/harness.ts';
import { clearOrders, createWebhookHarness, type WebhookHarness } from './harness.ts';

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
      tokens: { matched: 1, unmatched: 0, out_of_scope: 0 },
      orders: { pending: 0, done: 1, failed: 0 },
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
    const [{ received_at, matched_at, revoked_at, confirmed_gone_at, tries, ...revocation }, ...others] = revocations;
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
    });
    const times: string[] = [received_at, matched_at, revoked_at, confirmed_gone_at];
    for (const time of times) expect(time).toMatch(RFC3339);
    expect(times.toSorted()).toEqual(times);
    expect(received_at).toBe(data.received_at);
    expect(tries).toBeGreaterThanOrEqual(0);
    expect(others).toEqual([]);
  });

  it('that PipeOps did not take yet says when it is tried next', async () => {
    const { token } = await harness.mint('leaked');
    await refusePipeOps('DELETE');
    const answer = await read(await harness.leak(token));
    expect(answer.body.data.orders).toEqual({ pending: 1, done: 0, failed: 0 });
    const [revocation] = answer.body.data.revocations;
    expect(revocation).toMatchObject({
      state: 'open',
      result: null,
      error_code: 'upstream_error',
      tries: 1,
      revoked_at: null,
      confirmed_gone_at: null,
    });
    expect(Date.parse(revocation.next_try_at)).toBeGreaterThan(Date.parse(revocation.matched_at));
  });

  it.each([500, 429])('that is revoked and, after a %i, not confirmed yet is pending, too', async (status) => {
    const { token } = await harness.mint('leaked');
    await refusePipeOps('GET', status);
    const { orders, revocations } = (await read(await harness.leak(token))).body.data;
    expect(orders).toEqual({ pending: 1, done: 0, failed: 0 });
    expect(revocations).toMatchObject([
      {
        state: 'acknowledged',
        result: 'revoked',
        revoked_at: expect.stringMatching(RFC3339),
        confirmed_gone_at: null,
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

  it('outside of its source’s workspaces says so', async () => {
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
    expect(data.revocations[0]).not.toHaveProperty('confirmed_gone_at');
  });

  it('that was ignored says why', async () => {
    const { data } = (await read(await harness.sendEvent('scanner', 'token.frozen', {}))).body;
    expect(data).toMatchObject({ event: 'token.frozen', ignored: 'event_unknown', items: [], revocations: [] });
  });

  it('that does not exist is 404, and that is in the trail', async () => {
    const send = async () => await harness.send('GET', `${DELIVERIES}/${NO_DELIVERY}`);
    await expectRefused(harness, send, {
      status: 404,
      code: 'not_found',
      row: { action: 'webhook.query', actor_subject: 'admin-1', detail: JSON.stringify({ delivery_id: NO_DELIVERY }) },
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

  it('says of each what it led to, as the delivery itself does', async () => {
    const { token } = await harness.mint('leaked');
    const { items: _items, revocations: _revocations, ...summary } = (await read(await harness.leak(token))).body.data;
    expect((await list('?limit=1')).body.data).toEqual([summary]);
    expect(summary.orders).toEqual({ pending: 0, done: 1, failed: 0 });
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
  it('is in the trail, once for all alike within a minute, with their count', async () => {
    const nowMs = Date.now();
    harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
    const delivery = await harness.leak('unknown');
    const pages = [await list('?limit=3'), await list('?limit=3')];
    expect(await rowOf(pages[1]!)).toMatchObject({
      action: 'webhook.query',
      status: 'success',
      actor_issuer: ISSUER,
      actor_subject: 'admin-1',
      detail: JSON.stringify({ limit: 3 }),
      count: 2,
    });
    const reads = [await read(delivery), await read(delivery), await read(delivery)];
    expect(await rowOf(reads[0]!)).toMatchObject({
      action: 'webhook.query',
      detail: JSON.stringify({ delivery_id: delivery.body.data.delivery_id }),
      count: 3,
    });
    expect(new Set(reads.map(({ headers }) => headers.get('X-Audit-Event-Id'))).size).toBe(1);
  });

  it('tells no secret, and no fingerprint of one', async () => {
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

  it('needs D1: without its row nothing is told', async () => {
    const down = { prepare: () => ({ bind: () => ({}) }), batch: async () => await Promise.reject(new Error('down')) };
    const broken = await createWebhookHarness({ like: harness, db: down as never });
    for (const path of [DELIVERIES, `${DELIVERIES}/${NO_DELIVERY}`]) {
      const answer = await broken.send('GET', path);
      expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    }
  });
});

it('what is no delivery is no token either: the paths do not meet', async () => {
  const delivery = await harness.leak('unknown');
  const answer = await harness.send('GET', `${TOKENS}/${delivery.body.data.delivery_id}`);
  expect(answer.status).toBe(404);
});
