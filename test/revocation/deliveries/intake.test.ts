import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { NOTHING_ASKED } from '../../support/audit-detail.ts';
import { STANDARD_WEBHOOKS_TOLERANCE_SECONDS, WEBHOOK_BODY_MAX_BYTES } from '../../../src/config/limits.ts';
import type { AuditEventRow, DeliveryRow } from '../../../src/db/schema.ts';
import type { SignatureRejection } from '../../../src/failures.ts';
import { sha256Hex } from '../../../src/kit/digest.ts';
import type { ErrorCode } from '../../../src/vocabulary.ts';
import { badRequest, expectRefusal, expectRefused, rowsOf, type Refusal } from '../../security/expectations.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import type { Answer } from '../../support/harness.ts';
import { noteSecret } from '../../support/secrets.ts';
import { signatureOf, toBytes } from '../senders/standard-sender.ts';
import {
  clearOrders,
  createWebhookHarness,
  deliveryOf,
  itemsOf,
  rowsOfDelivery,
  type WebhookHarness,
} from '../harness.ts';

// What comes in at /webhooks/{source}: what is let in, what is not, and what is left of either.

let harness: WebhookHarness;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness();
});

const payload = (type: string, data: unknown): string => JSON.stringify({ type, data });
const ORDER = payload('token.revoke', { token_id: 'tok-1', reason: 'täglich' });

interface Sent {
  readonly source?: string;
  readonly body?: string;
  /** What arrives in place of what was signed. */
  readonly arriving?: BodyInit;
  readonly secret?: string;
  readonly ageSeconds?: number;
  /** Over those that are right; null leaves one out. */
  readonly headers?: Readonly<Record<string, string | null>>;
}

/** Signs `body`, and sends what is given in place of what is right. */
async function deliver(sent: Sent = {}): Promise<Answer> {
  const { source = 'scanner', body = ORDER, secret = harness.secrets.WEBHOOK_SCANNER, ageSeconds = 0 } = sent;
  const id = `msg_${crypto.randomUUID()}`;
  const timestamp = String(Math.floor(Date.now() / 1000) - ageSeconds);
  const headers = new Headers({
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': await signatureOf(secret, id, timestamp, toBytes(body)),
  });
  for (const [name, value] of Object.entries(sent.headers ?? {})) {
    if (value === null) headers.delete(name);
    else headers.set(name, value);
  }
  return await harness.send('POST', `/webhooks/${source}`, {
    jwt: null,
    rawBody: sent.arriving ?? body,
    headers: Object.fromEntries(headers),
  });
}

/** How much stands in the tables of webhooks. */
const written = async (): Promise<unknown> =>
  await env.DB.prepare(
    `select (select count(*) from webhook_deliveries) as deliveries, (select count(*) from webhook_items) as items,
      (select count(*) from revocation_orders) as orders, (select count(*) from subject_blocks) as blocks`,
  ).first();

/** Sends what must be refused as given, and leave nothing but the row that is. */
async function expectNothingDone(send: () => Promise<Answer>, refusal: Refusal): Promise<Answer> {
  const before = await written();
  const answer = await expectRefused(harness, send, refusal);
  expect(await written()).toEqual(before);
  return answer;
}

const unsigned = (reason: SignatureRejection, source = 'scanner'): Refusal => ({
  status: 401,
  code: 'invalid_signature',
  row: {
    action: 'auth.reject',
    actor_type: 'webhook',
    actor_issuer: null,
    actor_subject: source,
    detail: NOTHING_ASKED,
    outcome: JSON.stringify({ reason }),
  },
});

const gzipped = async (text: string): Promise<ArrayBuffer> => {
  const { body } = new Response(text);
  return await new Response(body!.pipeThrough(new CompressionStream('gzip'))).arrayBuffer();
};

describe('a delivery that its sender did not sign as it must', () => {
  it.each<[string, SignatureRejection, Sent | (() => Promise<Sent>)]>([
    ['without an id', 'signature_missing', { headers: { 'webhook-id': null } }],
    ['without a time', 'signature_missing', { headers: { 'webhook-timestamp': null } }],
    ['without a signature', 'signature_missing', { headers: { 'webhook-signature': null } }],
    ['with a time that is none', 'signature_malformed', { headers: { 'webhook-timestamp': 'now' } }],
    ['with a signature that is none', 'signature_invalid', { headers: { 'webhook-signature': 'v1,AAAA' } }],
    ['with another id than was signed', 'signature_invalid', { headers: { 'webhook-id': 'msg_another' } }],
    ['by a secret that is nobody’s', 'signature_invalid', { secret: `whsec_${btoa('x'.repeat(32))}` }],
    ['too long ago', 'timestamp_stale', { ageSeconds: STANDARD_WEBHOOKS_TOLERANCE_SECONDS + 5 }],
    ['in the future', 'timestamp_future', { ageSeconds: -STANDARD_WEBHOOKS_TOLERANCE_SECONDS - 5 }],
    ['with a body that is cut off', 'signature_invalid', { arriving: ORDER.slice(0, -1) }],
    ['with no body', 'signature_invalid', { arriving: '' }],
    ['with a body written anew', 'signature_invalid', { arriving: JSON.stringify(JSON.parse(ORDER), null, 1) }],
    ['with a body escaped anew', 'signature_invalid', { arriving: ORDER.replace('ä', '\\u00e4') }],
    ['with a byte order mark before it', 'signature_invalid', { arriving: `\uFEFF${ORDER}` }],
    [
      'with a body compressed on the way',
      'body_unreadable',
      async () => ({ arriving: await gzipped(ORDER), headers: { 'Content-Encoding': 'gzip' } }),
    ],
  ])('%s is refused (%s), and leaves a row of that and nothing else', async (_case, reason, sent) => {
    const what = typeof sent === 'function' ? await sent() : sent;
    await expectNothingDone(async () => await deliver(what), unsigned(reason));
  });

  it('but signed by another sender is refused', async () => {
    const secret = harness.secrets.WEBHOOK_HR;
    await expectNothingDone(async () => await deliver({ secret }), unsigned('signature_invalid'));
    await expectNothingDone(async () => await deliver({ source: 'hr' }), unsigned('signature_invalid', 'hr'));
  });

  it('but sent with a caller’s JWT is refused: a JWT opens nothing here', async () => {
    const headers = { 'webhook-signature': null, Authorization: `Bearer ${await harness.jwtFor('admin')}` };
    await expectNothingDone(async () => await deliver({ headers }), unsigned('signature_missing'));
  });

  it('leaves one row a minute for an address', async () => {
    harness = await createWebhookHarness({ env: { REJECTIONS_PER_ADDRESS: env.REJECTIONS_PER_ADDRESS } });
    const rowsWithin = async (ip: string): Promise<number | null> => {
      const minute = Math.floor(Date.now() / 60_000);
      let rows = 0;
      for (let sent = 0; sent < 3; sent += 1) {
        const answer = await deliver({ arriving: '{}', headers: { 'CF-Connecting-IP': ip } });
        expect(answer.status).toBe(401);
        rows += (await rowsOf(answer)).length;
      }
      // The limit counts by the clock's minute.
      return Math.floor(Date.now() / 60_000) === minute ? rows : null;
    };
    expect((await rowsWithin('198.18.0.1')) ?? (await rowsWithin('198.18.0.2'))).toBe(1);
  });
});

describe('a request that is no delivery', () => {
  it('to a sender that is not configured gets the answer of an unknown path, and is not recorded', async () => {
    const before = await written();
    const same = { 'X-Request-Id': 'the-same-for-both' };
    const unknown = await deliver({ source: 'nobody', headers: same });
    const nothing = await harness.send('POST', '/nothing/here', { jwt: null, rawBody: ORDER, headers: same });
    expect([unknown.status, unknown.text, [...unknown.headers]]).toEqual([404, nothing.text, [...nothing.headers]]);
    expect(await rowsOf(unknown)).toEqual([]);
    expect(await written()).toEqual(before);
  });

  it.each(['GET', 'PUT', 'DELETE', 'OPTIONS'])('%s is not taken', async (method) => {
    const send = async () => await harness.send(method, '/webhooks/scanner', { jwt: null });
    const answer = await expectNothingDone(send, badRequest('method_not_allowed'));
    expect(answer.headers.get('Allow')).toBe('POST');
  });

  it('a parameter is unknown', async () => {
    const refusal = badRequest('invalid_request', ['dry_run']);
    await expectNothingDone(async () => await deliver({ source: 'scanner?dry_run=1' }), refusal);
  });
});

describe('too large a delivery', () => {
  const padded = (bytes: number): string => ORDER.padEnd(bytes - (toBytes(ORDER).length - ORDER.length));
  const streamed = (text: string): ReadableStream => new Response(text).body!;

  it.each<[string, (text: string) => Sent]>([
    ['that says so', (text) => ({ headers: { 'Content-Length': String(toBytes(text).length) } })],
    ['that does not say so', (text) => ({ arriving: streamed(text), headers: { 'Content-Length': null } })],
    ['that says something else', (text) => ({ headers: { 'Content-Length': '10' }, arriving: streamed(text) })],
  ])('is a body of more than 1 MiB %s', async (_case, sent) => {
    const text = padded(WEBHOOK_BODY_MAX_BYTES + 1);
    const send = async () => await deliver({ body: text, ...sent(text) });
    await expectNothingDone(send, badRequest('body_too_large'));
  });

  it('is not a body of 1 MiB', async () => {
    expect((await deliver({ body: padded(WEBHOOK_BODY_MAX_BYTES) })).status).toBe(202);
  });

  const leaks = (count: number, more: object = {}): string =>
    payload('token.leaked', {
      tokens: Array.from({ length: count }, (_item, index) => ({
        ...more,
        sha256: index.toString(16).padStart(64, '0'),
      })),
    });

  it('is 1,001 tokens to revoke', async () => {
    const tokens = Array.from({ length: 1_001 }, (_item, index) => ({ token_id: `tok-${index}` }));
    const send = async () => await deliver({ body: payload('token.revoke', { tokens }) });
    await expectKept(await expectRefused(harness, send, refused('too_many_tokens', 413, [], 'data.tokens')));
  });

  it.each([
    [1_000, undefined],
    [1_203, { beyond_limit: 203 }],
  ])('is not %i leaks: the first 1,000 are looked for, and the rest is counted', async (count, rejected) => {
    const answer = await deliver({ body: leaks(count) });
    expect(answer.status, answer.text).toBe(202);
    expect(answer.body.data.rejected_items).toEqual(rejected);
    expect(await deliveryOf(answer)).not.toBeNull();
    const items = await itemsOf(answer);
    expect(items.map(({ position }) => position)).toEqual(Array.from({ length: 1_000 }, (_item, index) => index));
    expect(await rowsOfDelivery(answer)).toHaveLength(1);
  });

  it('is not a thousand leaks with long places and lines for secrets, as much as a body holds', async () => {
    const { token } = await harness.mint('leaked');
    const more = { token: `export SOME_TOKEN_OF_CI='${'x'.repeat(20)}';`, url: '\u0001"é'.repeat(90) };
    const body = leaks(500, more).replace(/"sha256":"0+1f3"/, `"sha256":"${await sha256Hex(token)}"`);
    expect(toBytes(body).length).toBeGreaterThan(WEBHOOK_BODY_MAX_BYTES / 3);
    const answer = await deliver({ body });
    expect(answer.status, answer.text).toBe(202);
    const items = await itemsOf(answer);
    expect(items).toHaveLength(500);
    expect(items.filter(({ found }) => found === 'matched')).toMatchObject([{ position: 499 }]);
  });
});

describe('an event that this sender may not send', () => {
  it.each([
    ['that it may not send', 'subject.offboarded', { label: 'a@example.com' }, 'event_not_allowed'],
    ['that it may not send, whatever it says', 'subject.offboarded', 'no object', 'event_not_allowed'],
    ['that nobody knows', 'token.frozen', { token_id: 'tok-1' }, 'event_unknown'],
  ])('%s is recorded, and does nothing', async (_case, type, data, code) => {
    await harness.mint('untouched');
    await harness.control.clearRequests({ workspace_uuid: harness.workspace });
    const answer = await deliver({ body: payload(type, data) });
    expect([answer.status, answer.body.success, answer.body.data.ignored]).toEqual([200, true, code]);

    expect(await deliveryOf(answer)).toMatchObject({
      source: 'scanner',
      event: type,
      ignored: code,
      subject_label: null,
    });
    expect(await rowsOfDelivery(answer)).toMatchObject([
      {
        id: answer.headers.get('X-Audit-Event-Id'),
        action: 'webhook.receive',
        status: 'failure',
        error_code: code,
        actor_type: 'webhook',
        actor_subject: 'scanner',
      },
    ]);
    expect(await itemsOf(answer)).toEqual([]);
    expect(await harness.upstream()).toEqual([]);
    expect(await env.DB.prepare('select * from subject_blocks').all()).toMatchObject({ results: [] });
  });

  it('is recorded with a part of its name, without what looks like a secret', async () => {
    const answer = await deliver({ body: payload(`x sat_${'a'.repeat(40)} ${'é'.repeat(100)}`, {}) });
    const kept = (await deliveryOf(answer))?.event ?? '';
    expect(kept).toMatch(/^x \[redacted\] é+$/);
    expect(toBytes(kept).length).toBeLessThanOrEqual(64);
  });
});

/** What a signed delivery is answered with that is refused, and the row that it leaves. */
const refused = (
  code: ErrorCode,
  status = 400,
  fields: readonly string[] = [],
  field = fields[0] ?? null,
): Refusal => ({
  status,
  code,
  fields,
  row: {
    action: 'webhook.receive',
    actor_type: 'webhook',
    actor_subject: 'scanner',
    count: 1,
    detail: expect.stringContaining(field === null ? '"delivery_id"' : `"field":"${field}"`),
  },
});

/** The delivery of an answer that refused it. Nothing was done about it. */
async function expectKept(answer: Answer): Promise<DeliveryRow> {
  const id = answer.headers.get('X-Audit-Event-Id');
  const kept = await env.DB.prepare('select * from webhook_deliveries where event_id = ?')
    .bind(id)
    .first<DeliveryRow>();
  expect(kept).toMatchObject({ refused: answer.body.code, ignored: null, content_digest: null });
  const { results: orders } = await env.DB.prepare('select * from revocation_orders where delivery_id = ?')
    .bind(kept!.id)
    .all();
  expect(orders).toEqual([]);
  const line = { event: 'webhook_refused', source: kept!.source, code: kept!.refused, field: kept!.refused_field };
  expect(harness.lines).toContainEqual(expect.objectContaining({ level: 'warn', ...line }));
  return kept!;
}

describe('a delivery that is signed and refused', () => {
  const workspace = '5877a4ae-0000-4000-8000-000000000000';
  it.each<[string, string, string[]]>([
    ['no event', JSON.stringify({ data: {} }), ['type']],
    ['an event that is no text', JSON.stringify({ type: 7, data: { token_id: 'tok-1' } }), ['type']],
    ['no data', JSON.stringify({ type: 'token.revoke' }), ['data']],
    ['no id', payload('token.revoke', {}), ['data.token_id']],
    ['an id that is none', payload('token.revoke', { token_id: '../users' }), ['data.token_id']],
    [
      'a workspace that is none',
      payload('token.revoke', { token_id: 'a', workspace_uuid: 7 }),
      ['data.workspace_uuid'],
    ],
    [
      'two ways to name one',
      payload('token.revoke', { token_id: 'a', tokens: [{ token_id: 'b' }] }),
      ['data.token_id'],
    ],
    ['no list', payload('token.revoke', { tokens: {} }), ['data.tokens']],
    ['an empty list', payload('token.revoke', { tokens: [] }), ['data.tokens']],
    [
      'one of many',
      payload('token.revoke', { tokens: [{ token_id: 'a', workspace_uuid: workspace }, { token_id: '/' }] }),
      ['data.tokens[1].token_id'],
    ],
  ])('for %s: 400 names the field, and it is kept with a row of its own', async (_case, body, fields) => {
    const send = async () => await deliver({ body });
    const answer = await expectRefused(harness, send, refused('invalid_request', 400, fields));
    expect((await expectKept(answer)).refused_field).toBe(fields[0]);
  });

  it.each([
    ['no JSON', '{"type":'],
    ['no object', '[]'],
    ['nothing', ''],
  ])('for %s: 400, and it is kept with a row of its own', async (_case, body) => {
    const answer = await expectRefused(harness, async () => await deliver({ body }), refused('invalid_json'));
    expect(await expectKept(answer)).toMatchObject({ event: '', refused_field: null });
  });

  it('leaves nothing behind that may be a secret', async () => {
    const secret = `sat_${'q'.repeat(40)}`;
    noteSecret(secret);
    const bodies = [payload('token.revoke', { token_id: secret, [secret]: 1 }), `{"type": "${secret}", "data":`];
    for (const body of bodies) await expectKept(await deliver({ body }));
    const { results } = await env.DB.prepare('select * from webhook_deliveries, audit_events').all();
    expect(JSON.stringify(results)).not.toContain(secret);
  });

  it('may be corrected and sent again under its id', async () => {
    const id = `msg_${crypto.randomUUID()}`;
    await expectRefusal(
      await harness.sendEvent('scanner', 'token.revoke', {}, { id }),
      refused('invalid_request', 400, ['data.token_id']),
    );
    const mended = await harness.sendEvent('scanner', 'token.revoke', { token_id: 'tok-1' }, { id });
    expect(mended.status).toBe(202);
    expect(await deliveryOf(mended)).toMatchObject({ refused: null, id_reused: 0 });
  });

  it('is 503 while D1 is down, so that it is sent again, and leaves a row then', async () => {
    const { db } = failingBatches((batch) => batch === 1);
    harness = await createWebhookHarness({ db });
    const body = payload('token.revoke', {});
    const failed = await deliver({ body });
    expect([failed.status, failed.body.code]).toEqual([503, 'audit_unavailable']);
    expect(Number(failed.headers.get('Retry-After'))).toBeGreaterThan(0);
    const again = await deliver({ body });
    expect(again.status).toBe(400);
    await expectKept(again);
  });
});

describe('deliveries of one sender that are refused within a minute', () => {
  const MINUTE_MS = 60_000;
  const ipOf = (index: number) => ({ 'CF-Connecting-IP': `198.18.0.${index}` });
  /** A minute that no other test is in. */
  const minuteOfItsOwn = (number: number): number => (Math.floor(Date.now() / MINUTE_MS) + number) * MINUTE_MS + 1_000;
  const keptOf = async (source: string): Promise<number> =>
    (await env.DB.prepare('select count(*) as kept from webhook_deliveries where source = ? and refused is not null')
      .bind(source)
      .first<number>('kept')) ?? 0;

  it('are kept up to ten; further ones are counted in one row for each code, wherever they come from', async () => {
    await env.DB.prepare('delete from webhook_deliveries').run();
    let nowMs = minuteOfItsOwn(10);
    harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
    const sendMany = async (count: number, body: string) => {
      const answers = [];
      for (let sent = 0; sent < count; sent += 1) answers.push(await deliver({ body, headers: ipOf(sent) }));
      expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([400]));
      return answers.map(({ headers }) => headers.get('X-Audit-Event-Id'));
    };
    const eventIds = await sendMany(14, payload('token.revoke', {}));
    expect(new Set(eventIds.slice(0, 10)).size).toBe(10);
    expect(new Set(eventIds.slice(10)).size).toBe(1);
    expect(await keptOf('scanner')).toBe(10);
    const counted = async (id: string | null | undefined) =>
      await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
    expect(await counted(eventIds[10])).toMatchObject({
      action: 'webhook.receive',
      status: 'failure',
      error_code: 'invalid_request',
      actor_subject: 'scanner',
      ip: null,
      count: 4,
      read_key: expect.any(String),
    });
    const unreadable = await sendMany(2, '{');
    expect(await counted(unreadable[0])).toMatchObject({ error_code: 'invalid_json', count: 2 });

    // Another source has ten of its own, and every source has ten in the next minute.
    const hr = await harness.sendRaw('hr', payload('subject.offboarded', {}));
    expect([hr.status, await keptOf('hr')]).toEqual([400, 1]);
    nowMs += MINUTE_MS;
    await sendMany(1, payload('token.revoke', {}));
    expect(await keptOf('scanner')).toBe(11);
  });

  it('and come at once are kept up to ten as well, and none is lost', async () => {
    await env.DB.prepare('delete from webhook_deliveries').run();
    const nowMs = minuteOfItsOwn(20);
    harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
    const answers = await Promise.all(Array.from({ length: 30 }, async () => await deliver({ body: '{' })));
    expect(await keptOf('scanner')).toBe(10);
    const ids = new Set(answers.map(({ headers }) => headers.get('X-Audit-Event-Id')));
    const { results } = await env.DB.prepare(
      'select count from audit_events where id in (select value from json_each(?))',
    )
      .bind(JSON.stringify([...ids]))
      .all<{ count: number }>();
    expect(results.map(({ count }) => count).toSorted((a, b) => a - b)).toEqual([...Array<number>(10).fill(1), 20]);
  });

  it('do not keep others from being carried out', async () => {
    for (let sent = 0; sent < 12; sent += 1) await deliver({ body: '{' });
    expect((await deliver()).status).toBe(202);
    expect((await deliver({ body: payload('token.frozen', {}) })).body.data.ignored).toBe('event_unknown');
  });
});

describe('deliveries of one sender that lead to nothing within a minute', () => {
  const keptOf = async (): Promise<number> =>
    (await env.DB.prepare(
      "select count(*) as kept from webhook_deliveries where source = 'scanner' and ignored is not null",
    ).first<number>('kept')) ?? 0;

  it.each(['one after the other', 'at once'])(
    '%s: ten are kept, and further ones are counted by reason',
    async (how) => {
      await env.DB.prepare('delete from webhook_deliveries').run();
      const nowMs = (Math.floor(Date.now() / 60_000) + (how === 'at once' ? 30 : 40)) * 60_000;
      harness = await createWebhookHarness({ runtime: { now: () => nowMs } });
      const send = async (index: number) =>
        await deliver({
          body: payload(index % 2 === 0 ? `token.frozen-${index}` : 'subject.offboarded', {
            label: `${index}@example.com`,
          }),
          headers: { 'CF-Connecting-IP': `198.18.1.${index}` },
        });
      const answers = [];
      if (how === 'at once')
        answers.push(...(await Promise.all(Array.from({ length: 30 }, async (_, i) => await send(i)))));
      else for (let sent = 0; sent < 30; sent += 1) answers.push(await send(sent));

      for (const { status, body } of answers) expect([status, body.success]).toEqual([200, true]);
      expect(await keptOf()).toBe(10);
      const ids = [...new Set(answers.map(({ headers }) => headers.get('X-Audit-Event-Id')))];
      const { results } = await env.DB.prepare(
        'select error_code, count, ip from audit_events where id in (select value from json_each(?))',
      )
        .bind(JSON.stringify(ids))
        .all<AuditEventRow>();
      const further = results.filter(({ count }) => count > 1);
      expect(results).toHaveLength(10 + further.length);
      expect(new Set(further.map(({ error_code, ip }) => `${error_code} ${ip}`))).toEqual(
        new Set(['event_unknown null', 'event_not_allowed null']),
      );
      expect(further.reduce((sum, { count }) => sum + count, 0)).toBe(20);
      // They keep no other from being carried out.
      expect((await deliver()).status).toBe(202);
      expect((await deliver({ body: payload('token.revoke', {}) })).status).toBe(400);
    },
  );
});

it.each(['WEBHOOK_SCANNER', 'WEBHOOK_SCANNER_NEXT'] as const)('%s: either secret of a source signs', async (name) => {
  const answer = await deliver({ secret: harness.secrets[name] });
  expect([answer.status, answer.headers.get('WWW-Authenticate')]).toEqual([202, null]);
});
