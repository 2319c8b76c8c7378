import { env } from 'cloudflare:workers';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { detailOf } from '../../support/audit-detail.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { presentOwnEvent } from '../../../src/trail/query/format.ts';
import { expectRefusal, rowsOf, withoutUpstream } from '../../security/expectations.ts';
import { NO_EVENT } from '../../security/routes.ts';
import { createRecordingD1 } from '../../security/statements.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, ISSUER, TOKENS, type Answer } from '../../support/harness.ts';
import { createTestIssuer } from '../../support/issuer.ts';
import { createWebhookHarness, type WebhookHarness } from '../../revocation/harness.ts';
import { insertRows, meteredD1, RANDOM_ID } from './trail.ts';

// A caller that may not read the trail may still read the events that it caused itself, and learns nothing else of the trail.

const EVENTS = '/api/v1/audit/events';
const OTHER_ISSUER = 'https://other.example';
const FORBIDDEN = { status: 403, code: 'forbidden' } as const;
const roles = {
  own: { permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'], workspaces: ['*'], scopes: ['api:read'] },
};

const recording = createRecordingD1();
const issuer = await createTestIssuer({ issuer: ISSUER });
const me = `me-${crypto.randomUUID()}`;
let harness: WebhookHarness;
let jwt: string;
/** Events: of a create of mine, and of everybody who is not me. */
let mine: string;
const others = new Map<string, string>();
let myToken: string;
let theirToken: string;

/** The clock of the harness. It goes on between tests, since a caller's denials beyond ten in a minute are counted in one row. */
const signed = async (role: string, claims: Record<string, unknown> = {}): Promise<string> => {
  const iat = Math.floor(harness.runtime.now() / 1000);
  return await harness.jwtFor(role, { iat, exp: iat + 300, ...claims });
};
const eventOf = ({ headers }: Answer): string => headers.get('X-Audit-Event-Id') ?? '';
const create = async (as: string, scopes = ['api:read']): Promise<Answer> =>
  await harness.send('POST', TOKENS, { jwt: as, body: { name: 'deploy', scopes } });
const ask = async (query: string, as = jwt): Promise<Answer> =>
  await harness.send('GET', `${EVENTS}${query}`, { jwt: as });
const ids = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id);

beforeAll(async () => {
  harness = await createWebhookHarness({ issuer, roles, db: recording.db });
  jwt = await signed('own', { sub: me });
  const created = await create(jwt);
  mine = eventOf(created);
  myToken = created.body.data.id;
  const another = await create(await signed('own', { sub: 'another' }));
  theirToken = another.body.data.id;
  others.set('of another subject', eventOf(another));
  others.set('of the administrator', eventOf(await harness.send('GET', TOKENS)));
  const row = { workspace_uuid: harness.workspace };
  const newId = (): string => crypto.randomUUID();
  const [sameSubject, byLabel, byText, system] = [newId(), newId(), newId(), newId()];
  await insertRows([
    { ...row, id: sameSubject, actor_issuer: OTHER_ISSUER, actor_subject: me },
    { ...row, id: byLabel, actor_issuer: ISSUER, actor_subject: 'x', actor_label: `${ISSUER}|${me}` },
    { ...row, id: byText, actor_issuer: ISSUER, actor_subject: `${ISSUER}|${me}`, actor_label: me },
    { ...row, id: system, actor_type: 'system', token_id: myToken },
  ]);
  others.set('of the same subject of another issuer', sameSubject);
  others.set('of somebody with a label that says it is me', byLabel);
  others.set('of somebody whose subject looks like me', byText);
  others.set('of the service itself, about a token of mine', system);
});
beforeEach(async () => {
  harness.age(60);
  jwt = await signed('own', { sub: me });
});
const OTHERS = [
  'of another subject',
  'of the administrator',
  'of the same subject of another issuer',
  'of somebody with a label that says it is me',
  'of somebody whose subject looks like me',
  'of the service itself, about a token of mine',
];

describe('actor=me', () => {
  it('shows a caller the events that it caused, and no others', async () => {
    const refused = await create(jwt, ['api:full']);
    const answer = await ask('?actor=me');
    expect(answer.status).toBe(200);
    expect(ids(answer)).toEqual(expect.arrayContaining([mine, eventOf(refused)]));
    expect(new Set(answer.body.data.map(({ actor }: { actor: object }) => JSON.stringify(actor)))).toEqual(
      new Set([JSON.stringify({ type: 'user', issuer: ISSUER, subject: me, label: null })]),
    );
    for (const other of others.values()) expect(ids(answer)).not.toContain(other);
  });

  it('is itself in the trail', async () => {
    const answer = await ask('?actor=me&status=success&limit=7');
    expect(await rowsOf(answer)).toMatchObject([
      {
        action: 'audit.query',
        status: 'success',
        actor_subject: me,
        detail: detailOf(harness, { status: 'success', actor: 'me', limit: 7 }),
      },
    ]);
  });

  it.each([
    ['', 1],
    ['&order=asc', 1],
    ['&order=asc&latest=true&cursor=', 1],
    ['&action=service_account_token.create', 1],
    ['&action=service_account_token.*', 1],
    ['&status=success', 1],
    ['&actor_type=user', 1],
    ['&from=2020-01-01T00:00:00Z', 1],
    ['&from=2020-01-01T00:00:00Z&to=2099-01-01T00:00:00Z&order=asc', 1],
    ['&to=2020-01-01T00:00:00Z', 0],
    ['&actor_type=system', 0],
    ['&action=webhook.*', 0],
    ['&action=!audit.*', 1],
    ['&action=!service_account_token.create', 0],
    ['&scope=api:read', 1],
    ['&scope=api:full', 0],
    ['&role=own', 1],
    ['&role=admin', 0],
    ['&token_name=deploy', 1],
    ['&code=forbidden', 0],
  ])('goes with other filters: %s', async (filters, found) => {
    const cursor = (await ask('?actor=me&order=asc&limit=1')).body.pagination.next_cursor;
    const query = filters.replace('cursor=', `cursor=${cursor}`);
    const answer = await ask(`?actor=me&limit=200${query}`);
    expect(answer.status).toBe(200);
    const expected = query.includes('cursor') ? 0 : found;
    expect(ids(answer).filter((id) => id === mine)).toHaveLength(expected);
    for (const other of others.values()) expect(ids(answer)).not.toContain(other);
  });

  it('pages through them in either direction, and shows each one time', async () => {
    const all = ids(await ask('?actor=me&action=service_account_token.*&limit=200'));
    const paged: string[] = [];
    for (let cursor: string | null = ''; cursor !== null;) {
      const answer: Answer = await ask(`?actor=me&action=service_account_token.*&limit=1${cursor}`);
      paged.push(...ids(answer));
      const { next_cursor: next } = answer.body.pagination;
      cursor = next === null ? null : `&cursor=${next}`;
    }
    expect(paged).toEqual(all);
    const forwards = await ask('?actor=me&action=service_account_token.*&order=asc&limit=200&latest=true');
    expect(ids(forwards)).toEqual(all.toReversed());
  });

  it.each([
    ['nothing', ''],
    ['another actor', '?actor=another'],
    ['itself by name', `?actor=${encodeURIComponent(`${ISSUER}|${me}`)}`],
    ['itself and another', '?actor=me&actor=another'],
    ['itself twice', '?actor=me&actor=me'],
    ['itself in capitals', '?actor=ME'],
    ['itself with a space', '?actor=me%20'],
    ['itself under another name', '?Actor=me'],
    ['a token of its own', '?token_id=x'],
    ['what is not understood', '?limit=x'],
  ])('is the only thing that it may ask for: %s is 403', async (_case, query) => {
    await expectRefusal(await ask(query), { ...FORBIDDEN, row: { action: 'audit.query', actor_subject: me } });
  });

  it.each(['/api/v1/audit/export?actor=me', '/api/v1/webhooks/deliveries?actor=me', '/api/v1/status?actor=me'])(
    'opens nothing else: %s',
    async (path) => {
      const answer = await harness.send('GET', path, { jwt });
      expect([answer.status, answer.body.code]).toEqual([403, 'forbidden']);
    },
  );

  it('beside a parameter that is not understood is 400, as for anybody', async () => {
    const answer = await ask('?actor=me&limit=x');
    expect([answer.status, answer.body.message]).toEqual([400, 'limit: use a whole number from 1 to 200.']);
  });

  it('means a reader of the trail too, in a query and in an export', async () => {
    const admin = `admin-${crypto.randomUUID()}`;
    const as = await signed('admin', { sub: admin });
    const event = eventOf(await create(as));
    expect(ids(await ask('?actor=me&action=service_account_token.*', as))).toEqual([event]);
    const exported = await harness.send(
      'GET',
      '/api/v1/audit/export?actor=me&action=service_account_token.*&latest=true',
      {
        jwt: as,
      },
    );
    expect(exported.text.trim().split('\n')).toHaveLength(2);
    expect(exported.text).toContain(event);
  });
});

describe('an event by its id', () => {
  it('is shown to whoever caused it, and that is in the trail', async () => {
    const answer = await ask(`/${mine}`);
    expect([answer.status, answer.body.data]).toMatchObject([
      200,
      { id: mine, status: 'success', token_id: myToken, detail: { scopes: ['api:read'], role: 'own' } },
    ]);
    expect(await rowsOf(answer)).toMatchObject([
      {
        action: 'audit.query',
        status: 'success',
        actor_subject: me,
        token_id: myToken,
        detail: detailOf(harness, { event_id: mine }),
      },
    ]);
    expect((await ask(`/${mine.toUpperCase()}`)).status).toBe(200);
  });

  /** Everything by which two answers could be told apart. */
  const observe = async (id: string) => {
    recording.statements.length = 0;
    const answer = await withoutUpstream(harness, async () => await ask(`/${id}`));
    const statements = [...recording.statements];
    const bytes = [`${answer.status}`, ...[...answer.headers].map(([name, value]) => `${name}: ${value}`), answer.text]
      .join('\n')
      .replaceAll(answer.headers.get('X-Request-Id') ?? '', '<request id>')
      .replaceAll(eventOf(answer), '<event id>');
    return { answer, statements, bytes };
  };

  it.each(OTHERS)('%s is as one that never was', async (whose) => {
    const id = others.get(whose) ?? '';
    const theirs = await observe(id);
    const unknown = await observe(crypto.randomUUID());
    expect(theirs.bytes).toBe(unknown.bytes);
    expect(theirs.bytes).not.toContain(id);
    expect(theirs.statements).toEqual(unknown.statements);
    await expectRefusal(theirs.answer, {
      ...FORBIDDEN,
      row: {
        action: 'audit.query',
        actor_subject: me,
        workspace_uuid: null,
        token_id: null,
        detail: detailOf(harness, { event_id: id }),
        outcome: '{"reason":"permission"}',
      },
    });
  });

  it.each([
    ['what is no id', '/latest'],
    ['a secret', '/sat_abcdefghijklmnopqrst'],
    ['an id and more', `/${NO_EVENT}?latest=true`],
    ['an id of its own and more', () => `/${mine}?latest=true`],
    ['an id of its own with white space', () => `/${mine}%20`],
  ])('%s is the same 403', async (_case, path) => {
    const answer = await ask(typeof path === 'string' ? path : path());
    await expectRefusal(answer, {
      ...FORBIDDEN,
      row: { action: 'audit.query', detail: detailOf(harness), token_id: null },
    });
    expect(answer.body.message).toBe((await ask(`/${NO_EVENT}`)).body.message);
  });

  it('is shown to readers of the trail as before, and one that is not there is 404 to them', async () => {
    const admin = await signed('admin');
    expect((await ask(`/${mine}`, admin)).status).toBe(200);
    expect((await ask(`/${NO_EVENT}`, admin)).status).toBe(404);
  });

  it('is not shown where its reading cannot be recorded', async () => {
    for (const failing of [1, 2]) {
      const broken = await createHarness({
        like: harness,
        roles,
        runtime: { now: () => harness.runtime.now() },
        db: failingBatches((batch) => batch === failing).db,
      });
      const answer = await broken.send('GET', `${EVENTS}/${mine}`, { jwt });
      expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
      expect(answer.text).not.toContain(myToken);
    }
  });

  it('is not shown to a leaver, nor is a page of them', async () => {
    const sub = `leaver-${crypto.randomUUID()}`;
    const leaver = await signed('own', { sub });
    const event = eventOf(await create(leaver));
    expect((await ask(`/${event}`, leaver)).status).toBe(200);
    await harness.offboard({ issuer: ISSUER, subject: sub });
    for (const query of [`/${event}`, '?actor=me']) {
      const answer = await ask(query, leaver);
      expect([answer.status, answer.body.code]).toEqual([403, 'subject_blocked']);
    }
  });
});

const TIMES = { occurred_at: 1, settled_at: 1, last_at: 1 };

describe('what a caller is not told when it asks', () => {
  /** The caller's own view of an event, without what differs in every event. */
  const viewOf = async (answer: Answer): Promise<object> => {
    const { data } = (await ask(`/${eventOf(answer)}`)).body;
    const [listed] = (await ask(`?actor=me&request_id=${answer.headers.get('X-Request-Id')}`)).body.data;
    expect(listed).toEqual(data);
    const { id, seq, occurred_at, settled_at, last_at, request_id, token_id, ...view } = data;
    expect([id, seq, occurred_at, settled_at, last_at, request_id, token_id]).not.toContain(undefined);
    return view;
  };

  it.each(['GET', 'DELETE'])('stays untold in the event: whether a token exists, %s', async (method) => {
    const theirs = await harness.send(method, `${TOKENS}/${theirToken}`, { jwt });
    const unknown = await harness.send(method, `${TOKENS}/${crypto.randomUUID()}`, { jwt });
    expect([theirs.status, unknown.status]).toEqual([404, 404]);
    const view = await viewOf(theirs);
    expect(view).toEqual(await viewOf(unknown));
    expect(view).toMatchObject({ status: 'failure', error_code: 'not_found', upstream_status: null, detail: {} });
    // The trail has the true reason.
    const reasons = [await rowsOf(theirs), await rowsOf(unknown)].map(([row]) => row?.outcome);
    expect(reasons).toEqual(['{"reason":"not_readable"}', '{"reason":"unknown"}']);
  });

  it('stays untold by the prefix of a secret: whose token an id is', async () => {
    const prefixOf = async (id: string): Promise<string> =>
      (await env.DB.prepare('select token_prefix from tokens where token_id = ?').bind(id).first('token_prefix')) ?? '';
    expect((await harness.send('GET', `${TOKENS}/${theirToken}`, { jwt })).status).toBe(404);
    const prefixes = { mine: await prefixOf(myToken), theirs: await prefixOf(theirToken) };
    expect(prefixes.theirs).toMatch(/^sat_/);
    expect(ids(await ask(`?actor=me&token_prefix=${prefixes.mine}`))).toContain(mine);
    expect(ids(await ask(`?actor=me&token_prefix=${prefixes.theirs}`))).toEqual([]);
    const found = await ask(`?token_prefix=${prefixes.theirs}`, await signed('admin'));
    expect(ids(found)).toContain(others.get('of another subject'));
  });

  it('stays untold: what resembles a token whose create was lost, nor any detail that was not thought of', () => {
    const outcome = { settled_by: 'reconciliation', candidates: ['tok-1'], reason: 'ownership', later: 'x' };
    const row = { detail: '{"scopes":["api:read"]}', outcome: JSON.stringify(outcome), ...TIMES };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the columns that matter here
    expect(presentOwnEvent(row as AuditEventRow).detail).toEqual({
      scopes: ['api:read'],
      settled_by: 'reconciliation',
    });
  });

  it('stays untold by what a filter reads and where its page ends: anything of the events about a token', async () => {
    const busy = crypto.randomUUID();
    await env.DB.prepare(
      `insert into audit_events (id, occurred_at, settled_at, action, status, actor_type, actor_issuer, actor_subject, workspace_uuid, token_id, detail, outcome)
       select ${RANDOM_ID}, 1, 1, 'service_account_token.get', 'success', 'user', ?, 'busy', ?, ?, '{}', '{}' from json_each(?)`,
    )
      .bind(ISSUER, busy, busy, JSON.stringify(Array.from({ length: 3_000 }, () => 0)))
      .run();
    // SQLite reads the key behind the one that it looks for, where there is one: here there always is.
    await insertRows([{ read_key: 'z'.repeat(32) }]);
    const { db, batches } = meteredD1();
    const metered = await createHarness({ like: harness, roles, runtime: { now: () => harness.runtime.now() }, db });
    const cost = async (filter: string, id: string) => {
      batches.length = 0;
      const answer = await metered.send('GET', `${EVENTS}?actor=me&action=service_account_token.get&${filter}=${id}`, {
        jwt,
      });
      expect([answer.status, answer.body.data]).toEqual([200, []]);
      return { pagination: answer.body.pagination, rowsRead: batches.map(({ rowsRead }) => rowsRead) };
    };
    for (const filter of ['token_id', 'workspace_uuid']) {
      // The first read of a minute is inserted, and the others are counted.
      await cost(filter, busy);
      await cost(filter, 'none-such');
      expect(await cost(filter, busy)).toEqual(await cost(filter, 'none-such'));
    }
  });
});

describe('an outcome that is not known', () => {
  it('sends its caller to the event, which says what became of it', async () => {
    let skewMs = 0;
    const late = await createHarness({ roles, runtime: { now: () => Date.now() + skewMs } });
    const as = await late.jwtFor('own');
    await late.control.fault({ status: 500, match: { workspace_uuid: late.workspace, method: 'POST' } });
    const answer = await late.send('POST', TOKENS, { jwt: as, body: { name: 'lost', scopes: ['api:read'] } });
    expect([answer.status, answer.body.code]).toEqual([504, 'outcome_unknown']);
    expect(answer.body.message).toMatch(/GET \/api\/v1\/audit\/events\/\{event_id\}.*"Idempotency-Key"/);
    const path = `${EVENTS}/${answer.body.event_id}`;
    expect((await late.send('GET', path, { jwt: as })).body.data).toMatchObject({
      status: 'attempted',
      settled_at: null,
    });

    for (let minutes = 3; minutes <= 6; minutes += 1) {
      skewMs = minutes * 60_000;
      await late.cron();
    }
    const iat = Math.floor((Date.now() + skewMs) / 1000);
    const fresh = await late.jwtFor('own', { iat, exp: iat + 300 });
    expect((await late.send('GET', path, { jwt: fresh })).body.data).toMatchObject({
      status: 'failure',
      detail: { settled_by: 'reconciliation', scopes: ['api:read'] },
    });
  });
});
