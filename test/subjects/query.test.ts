import { env } from 'cloudflare:workers';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { SUBJECT_TOKENS_COUNTED_MAX_ROWS } from '../../src/config/subject-limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { FIRST, readPage, selectSubjects, type SubjectFilter, type SubjectKey } from '../../src/subjects/query/page.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';
import { clearOrders, createWebhookHarness, type WebhookHarness } from '../revocation/harness.ts';
import { rowsOf } from '../security/expectations.ts';
import { askedIn } from '../support/audit-detail.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { createHarness, ISSUER, type Answer } from '../support/harness.ts';
import { measuredD1 } from '../support/measured-d1.ts';

// Who owns tokens here, and who is blocked.

const SUBJECTS = '/api/v1/subjects';
const roles = {
  owner: { permissions: ['tokens:create', 'tokens:read'], tokens: 'own', workspaces: ['*'], scopes: ['*'] },
  auditor: { permissions: ['audit:read'], tokens: 'any', workspaces: ['*'] },
};

let harness: WebhookHarness;
/** What every subject of a test begins with. */
let of: string;
beforeEach(async () => {
  await clearOrders();
  harness = await createWebhookHarness({ roles });
  of = `${crypto.randomUUID()}-`;
});

const mint = async (name: string, label: string): Promise<void> => {
  await harness.mint(name, await harness.jwtFor('owner', { sub: of + name, email: label }));
};
const list = async (query: Record<string, string>): Promise<Answer> =>
  await harness.send('GET', `${SUBJECTS}?${new URLSearchParams(query).toString()}`, {
    jwt: await harness.jwtFor('auditor'),
  });
const found = async (query: Record<string, string>) =>
  (await list({ q: of, ...query })).body.data as Record<string, unknown>[];
const reason = 'INC-7';
const offboard = async (subject: object): Promise<Answer> =>
  await harness.send('POST', '/api/v1/revocations', { body: { subject, reason } });

describe('a page of subjects', () => {
  it('shows owners with their labels and tokens, and those who are blocked with what blocks them', async () => {
    await mint('a', `${of}Alice@Acme.example`);
    await mint('a', `${of}Alice@Acme.example`);
    await mint('b', `${of}bob@acme.example`);
    const ordered = await offboard({ label: `${of}bob@acme.example` });
    const webhook = await harness.offboard({ issuer: ISSUER, subject: `${of}stranger` });
    const answer = await list({ q: of });
    const delivery = ordered.body.data;
    const byLabel = {
      since: delivery.received_at,
      by: 'label',
      event_id: delivery.event_id,
      delivery_id: delivery.id,
      reason,
    };
    expect(answer.body).toMatchObject({ success: true, pagination: { next_cursor: null } });
    expect(answer.body.data).toEqual([
      { issuer: null, subject: null, label: `${of}bob@acme.example`, tokens: { live: 0, total: 0 }, blocks: [byLabel] },
      {
        issuer: ISSUER,
        subject: `${of}a`,
        label: `${of}alice@acme.example`,
        tokens: { live: 2, total: 2 },
        blocks: [],
      },
      {
        issuer: ISSUER,
        subject: `${of}b`,
        label: `${of}bob@acme.example`,
        tokens: { live: 0, total: 1 },
        blocks: [byLabel],
      },
      {
        issuer: ISSUER,
        subject: `${of}stranger`,
        label: null,
        tokens: { live: 0, total: 0 },
        blocks: [
          {
            since: webhook.body.data.received_at,
            by: 'subject',
            event_id: webhook.headers.get('X-Audit-Event-Id'),
            delivery_id: webhook.body.data.delivery_id,
          },
        ],
      },
    ]);
  });

  it('is of those who are blocked, or of those who are not', async () => {
    await mint('a', `${of}a@acme.example`);
    await mint('b', `${of}b@acme.example`);
    await offboard({ issuer: ISSUER, subject: `${of}b` });
    await offboard({ issuer: ISSUER, subject: `${of}c` });
    const subjects = async (blocked: string) => (await found({ blocked })).map(({ subject }) => subject);
    expect(await subjects('true')).toEqual([`${of}b`, `${of}c`]);
    expect(await subjects('false')).toEqual([`${of}a`]);
    await harness.send('POST', '/api/v1/reinstatements', {
      body: { subject: { issuer: ISSUER, subject: `${of}b` }, reason },
    });
    expect(await subjects('true')).toEqual([`${of}c`]);
    expect(await subjects('false')).toEqual([`${of}a`, `${of}b`]);
  });

  it.each([
    ['a subject', (): string => `${of}A`, ['Ada']],
    ['a label, in whatever case', (): string => `${of}mail-of-B`.toUpperCase(), ['bob']],
    ['either', (): string => of, ['Ada', 'bob']],
    ['nothing of the kind', (): string => `${of}a%`, []],
  ] as const)('finds by the beginning of %s', async (_case, q, names) => {
    await mint('Ada', 'ada@acme.example');
    await mint('bob', `${of}Mail-of-Bob@acme.example`);
    expect((await found({ q: q() })).map(({ subject }) => subject)).toEqual(names.map((name) => of + name));
  });

  it('goes on from its cursor, and shows each once, whoever comes between', async () => {
    for (const name of ['a', 'c', 'd', 'e']) await harness.offboard({ issuer: ISSUER, subject: of + name });
    const first = await list({ q: of, limit: '2' });
    await harness.offboard({ issuer: ISSUER, subject: `${of}b` });
    const second = await list({ q: of, limit: '2', cursor: first.body.pagination.next_cursor });
    const subjects = [first, second].map(({ body }) => body.data.map(({ subject }: { subject: string }) => subject));
    expect(subjects).toEqual([
      [`${of}a`, `${of}c`],
      [`${of}d`, `${of}e`],
    ]);
    expect(second.body.pagination.next_cursor).toBeNull();
  });
});

describe('reading subjects', () => {
  it('is in the trail, with what was asked for', async () => {
    const answer = await list({ q: of, blocked: 'true', limit: '7' });
    const rows = await rowsOf(answer);
    expect(rows).toMatchObject([{ action: 'subject.query', status: 'success', actor_subject: 'auditor-1' }]);
    expect(askedIn(rows[0])).toEqual({ blocked: true, q: of, limit: 7 });
  });

  it('gives nothing where it is not recorded', async () => {
    const { db } = failingBatches(() => true);
    const down = await createHarness({ like: harness, roles, db });
    const answer = await down.send('GET', SUBJECTS, { jwt: await harness.jwtFor('auditor') });
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
  });

  it.each([
    [{ q: `sat_${'x'.repeat(40)}` }, 422, 'q'],
    [{ cursor: 'WyJhIl0' }, 400, 'cursor'],
    [{ cursor: 'c2VxOjQx' }, 400, 'cursor'],
  ])('refuses %j', async (query, status, field) => {
    const answer = await list(query);
    expect([answer.status, Object.keys(answer.body.errors)]).toEqual([status, [field]]);
  });
});

describe('its cost', () => {
  const OWNERS = 3_000;
  const TOKENS = 2_500;
  const LIMIT = 20;
  const owner = (index: number): string => `owner-${String(index).padStart(5, '0')}`;
  const issuer = 'https://many.example';
  const { db, of: costOf } = measuredD1();
  const database = createDatabase(db, workerRuntime);
  beforeAll(async () => {
    const insert = `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, owner_label, created_at, revoked_at, ended_by)
      select 'many', value || ?2, ?1, `;
    await env.DB.batch([
      env.DB.prepare(`${insert} value, value || '@acme.example', 1, null, null from json_each(?3)`).bind(
        issuer,
        '-t',
        JSON.stringify(Array.from({ length: OWNERS }, (_item, index) => owner(index))),
      ),
      // Dead tokens of one owner, which are more than are counted.
      env.DB.prepare(`${insert} '${owner(0)}', null, 1, 1, 'acknowledged' from json_each(?3)`).bind(
        issuer,
        '-dead',
        JSON.stringify(Array.from({ length: TOKENS }, (_item, index) => `${index}`)),
      ),
    ]);
  });

  async function page(filter: SubjectFilter, after: SubjectKey, scanRows: number) {
    const query = selectSubjects(database, filter, after, LIMIT, 2, scanRows);
    let read = readPage([], filter, LIMIT, scanRows);
    const { rowsRead } = await costOf(async () => {
      const sent = await database.batch({ trace: newTrace() }, [query]);
      if (sent.ok) read = readPage(sent.value[0], filter, LIMIT, scanRows);
    });
    return { ...read, rowsRead };
  }
  const BEFORE: SubjectKey = { issuer, subject: '' };

  it('does not grow with the owners', async () => {
    const all = await page({ blocked: null, q: null }, { issuer, subject: owner(9) }, 500);
    expect([all.subjects.length, all.isPartial]).toEqual([LIMIT, false]);
    expect(all.rowsRead).toBeLessThan(20 * LIMIT);
  });

  it('does not grow with the tokens of one, live or dead', async () => {
    const { subjects, rowsRead } = await page({ blocked: null, q: null }, BEFORE, 500);
    const most = SUBJECT_TOKENS_COUNTED_MAX_ROWS;
    expect(subjects[0]).toMatchObject({ subject: owner(0), tokens: { live: 1, total: most, more: true } });
    expect(rowsRead).toBeLessThan(most + 20 * LIMIT);
  });

  it('of a search is bounded: a page that ends early says so, and the next one goes on until all are found', async () => {
    const filter = { blocked: false, q: `${owner(1_234)}@` };
    const names: unknown[] = [];
    const partial: boolean[] = [];
    let after: SubjectKey | null = BEFORE;
    while (after !== null) {
      const read: Awaited<ReturnType<typeof page>> = await page(filter, after, 1_000);
      expect(read.rowsRead).toBeLessThan(10 * 1_000);
      names.push(...read.subjects.map(({ subject }) => subject));
      partial.push(read.isPartial);
      after = read.next;
    }
    expect(names).toEqual([owner(1_234)]);
    expect(partial).toEqual([true, true, true, false]);
  });

  it('of a search shows nobody twice and nobody never, however its pages end', async () => {
    const filter = { blocked: null, q: 'owner-001' };
    const names: unknown[] = [];
    let after: SubjectKey | null = FIRST;
    while (after !== null) {
      const read: Awaited<ReturnType<typeof page>> = await page(filter, after, 70);
      names.push(...read.subjects.map(({ subject }) => subject));
      after = read.next;
    }
    expect(names).toEqual(Array.from({ length: 100 }, (_item, index) => owner(100 + index)));
  });
});
