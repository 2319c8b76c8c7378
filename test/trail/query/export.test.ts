import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { askedIn } from '../../support/audit-detail.ts';
import { encodeCursor } from '../../../src/http/query.ts';
import type { OpenedExport } from '../../../src/trail/query/export.ts';
import { EXPORT_ENCODINGS, type ExportFormat } from '../../../src/trail/query/format.ts';
import { exportHeaders } from '../../../src/trail/query/routes.ts';
import { AUDIT_EXPORT_PAGE_ROWS } from '../../../src/config/limits.ts';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { failingBatches } from '../../support/failing-batches.ts';
import { createHarness, type Answer, type Harness } from '../../support/harness.ts';
import { auditRow } from '../audit-row.ts';
import { unguarded } from '../log/rig.ts';
import { expectUnauthenticRows } from '../../support/state-secret.ts';

// Rows are inserted as if requests had written them.
expectUnauthenticRows();

const EXPORT = '/api/v1/audit/export';
const HOUR_MS = 60 * 60 * 1000;
const WORKSPACE = 'e4e00000-0000-4000-8000-000000000007';
/** More than two pages. */
const ROWS = AUDIT_EXPORT_PAGE_ROWS * 2 + 100;

let harness: Harness;
beforeAll(async () => {
  harness = await createHarness();
  // Every tenth is the revocation of a token of its own.
  await addRows(
    Array.from({ length: ROWS }, (_item, index) => ({
      action: index % 10 === 0 ? 'service_account_token.revoke' : 'service_account_token.update',
      token_id: `tok-${index}`,
    })),
  );
});

/** Adds rows that are an hour old. Given columns replace those of the rows. */
async function addRows(rows: readonly Partial<AuditEventRow>[]): Promise<void> {
  const then = Date.now() - HOUR_MS;
  const names = Object.keys(auditRow()).filter((name) => name !== 'seq');
  const insert = env.DB.prepare(
    `insert into audit_events (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
  );
  const statements = rows.map((row) => {
    const values: Record<string, unknown> = auditRow({ occurred_at: then, settled_at: then, ...row });
    return insert.bind(...names.map((name) => values[name]));
  });
  await env.DB.batch(statements);
}

interface Line {
  readonly seq: number;
  readonly id: string;
  readonly action: string;
  readonly token_id: string | null;
}
interface Trailer {
  readonly complete: boolean;
  readonly count: number;
  readonly next: string | null;
}

const exportOf = async (parameters = '', by = harness): Promise<Answer> => await by.send('GET', EXPORT + parameters);

function parse(answer: Answer): { events: Line[]; trailer: Trailer } {
  const lines = answer.text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);
  return { trailer: lines.pop() as Trailer, events: lines as Line[] };
}

const maxSeq = async (): Promise<number> =>
  (await env.DB.prepare('select max(seq) as seq from audit_events').first<number>('seq')) ?? 0;
const rowOf = async (answer: Answer) =>
  await env.DB.prepare('select * from audit_events where id = ?')
    .bind(answer.headers.get('X-Audit-Event-Id'))
    .first<AuditEventRow>();

describe('an export', () => {
  it('gives every row up to where the trail ended, oldest first, and says that it is whole', async () => {
    const before = await maxSeq();
    const answer = await exportOf();
    expect(answer.status).toBe(200);
    const { events, trailer } = parse(answer);
    expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: before }, (_item, index) => index + 1));
    expect(trailer).toEqual({ complete: true, count: before, next: null });
  });

  it.each([
    ['', 'application/x-ndjson', 'ndjson'],
    ['?format=ndjson', 'application/x-ndjson', 'ndjson'],
    ['?format=csv', 'text/csv; charset=utf-8', 'csv'],
  ])('is a file (%s)', async (parameters, contentType, extension) => {
    const { headers } = await exportOf(parameters);
    expect(headers.get('Content-Type')).toBe(contentType);
    expect(headers.get('Content-Disposition')).toMatch(
      new RegExp(`^attachment; filename="countersign-audit-\\d{8}T\\d{6}Z\\.${extension}"$`),
    );
    expect(headers.get('Cache-Control')).toBe(extension === 'csv' ? 'no-store, no-transform' : 'no-store');
  });

  it('shows events as the query does', async () => {
    const [event] = parse(await exportOf('?token_id=tok-0')).events;
    const { body } = await harness.send('GET', '/api/v1/audit/events?token_id=tok-0&action=service_account_token.*');
    expect(event).toEqual(body.data[0]);
  });

  it.each([
    ['an action', '?action=service_account_token.revoke', ROWS / 10],
    ['a token', '?token_id=tok-1', 1],
    ['what has no index', '?status=success&action=service_account_token.*&ip=192.0.2.1', ROWS],
    ['what nothing matches', '?ip=192.0.2.99', 0],
  ])('takes the filters of the query: %s', async (_name, parameters, count) => {
    const { events, trailer } = parse(await exportOf(parameters));
    expect([events.length, trailer]).toEqual([count, { complete: true, count, next: null }]);
  });

  it('is the same rows in CSV', async () => {
    const filter = 'action=service_account_token.revoke';
    const { events } = parse(await exportOf(`?${filter}`));
    const lines = (await exportOf(`?format=csv&${filter}`)).text.trimEnd().split('\r\n');
    expect(lines.shift()).toMatch(/^seq,id,/);
    expect(lines.map((line) => line.split(',').slice(0, 2))).toEqual(events.map(({ seq, id }) => [String(seq), id]));
  });
});

describe('CSV', () => {
  it('is records alone, all of as many cells, and says how long it is', async () => {
    const answer = await exportOf('?format=csv&action=service_account_token.revoke');
    expect(answer.headers.get('Content-Length')).toBe(String(new TextEncoder().encode(answer.text).length));
    expect(answer.headers.get('Link')).toBeNull();
    expect(answer.text).toMatch(/\r\n$/);
    expect(answer.text).not.toContain('#');
  });

  const headersOf = (asked: string, format: ExportFormat, known: OpenedExport['known']) =>
    exportHeaders(`https://countersign.example${asked}`, format, known, Date.UTC(2026, 0, 31, 9, 30, 1, 7));

  it('names where it goes on, for what was asked for', async () => {
    const asked = `${EXPORT}?format=csv&cursor=c2VxOjE&actor=a%7Cb%3E%3B%2C%22%C3%A9&from=2000-01-01T00:00:00%2B01:00`;
    const { Link } = headersOf(asked, 'csv', { bytes: 1, next: encodeCursor(7) });
    const target = /^<([!#-;=?-~]+)>; rel="next"$/.exec(Link ?? '')?.[1] ?? '';
    const next = new URL(target, 'https://countersign.example/elsewhere');
    expect(next.pathname).toBe(EXPORT);
    expect(Object.fromEntries(next.searchParams)).toEqual({
      format: 'csv',
      cursor: encodeCursor(7),
      actor: 'a|b>;,"é',
      from: '2000-01-01T00:00:00+01:00',
    });
    expect((await exportOf(next.search)).status).toBe(200);
  });

  it.each<[string, ExportFormat, OpenedExport['known'], Record<string, string>]>([
    ['its length, where it is known', 'csv', { bytes: 9, next: null }, { 'Content-Length': '9' }],
    ['nothing, where its last line says it', 'ndjson', null, {}],
  ])('says in its headers %s', (_what, format, known, said) => {
    expect(headersOf(EXPORT, format, known)).toEqual({
      'Content-Type': EXPORT_ENCODINGS[format].contentType,
      'Content-Disposition': `attachment; filename="countersign-audit-20260131T093001Z.${format}"`,
      'Cache-Control': known === null ? 'no-store' : 'no-store, no-transform',
      ...said,
    });
  });

  it('does not begin where D1 fails before its length is known: 503, and no event', async () => {
    const { db } = failingBatches((batch) => batch === 2);
    const broken = await createHarness({ like: harness, db });
    const answer = await exportOf('?format=csv', broken);
    expect([answer.status, answer.body.code]).toEqual([503, 'audit_unavailable']);
    expect(answer.text).not.toContain('tok-');
  });

  it('breaks where D1 fails later, short of the length that it said', async () => {
    // Three pages are read for its length, the first together with the row of the export.
    const { db } = failingBatches((batch) => batch === 5);
    const broken = await createHarness({ like: harness, db });
    const request = new Request(`https://countersign.example${EXPORT}?format=csv&action=service_account_token.*`, {
      headers: { Authorization: `Bearer ${await broken.jwtFor('admin')}` },
    });
    const response = await broken.worker.fetch(request);
    const reader = response.body!.getReader();
    let bytes = 0;
    const readToEnd = async (): Promise<void> => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) bytes += part.value.length;
    };
    await expect(readToEnd()).rejects.toThrow('The trail could not be read to its end.');
    expect(bytes).toBeLessThan(Number(response.headers.get('Content-Length')));
    expect(broken.lines.findLast(({ event }) => event === 'export')).toMatchObject({ level: 'error', end: 'failed' });
  });
});

it('an export goes on from a cursor and gives the rest, each row one time', async () => {
  const filter = 'action=service_account_token.*';
  const all = parse(await exportOf(`?${filter}`)).events;
  const half = await harness.send('GET', `/api/v1/audit/events?${filter}&order=asc&limit=200`);
  const rest = parse(await exportOf(`?${filter}&cursor=${half.body.pagination.next_cursor}`)).events;
  expect([...half.body.data, ...rest]).toEqual(all);
});

describe('what can still change is not exported', () => {
  const THIRD = 'e4e00000-0000-4000-8000-000000000003';

  it('until it is final, or latest=true asks for it', async () => {
    const now = Date.now();
    await addRows([
      { workspace_uuid: THIRD, token_id: 'before' },
      {
        workspace_uuid: THIRD,
        token_id: 'open',
        status: 'attempted',
        settled_at: null,
        upstream_status: null,
        occurred_at: now,
      },
      { workspace_uuid: THIRD, token_id: 'behind' },
    ]);
    const tokensOf = async (parameters: string) =>
      parse(await exportOf(`?action=service_account_token.*&workspace_uuid=${THIRD}${parameters}`)).events.map(
        (event) => event.token_id,
      );
    expect(await tokensOf('')).toEqual(['before']);
    expect(await tokensOf('&latest=true')).toEqual(['before', 'open', 'behind']);
    await env.DB.prepare(
      `update audit_events set status = 'success', settled_at = ?, outcome = '{}' where token_id = 'open'`,
    )
      .bind(now)
      .run();
    expect(await tokensOf('')).toEqual(['before', 'open', 'behind']);
  });
});

describe('an export does not run after a trail that grows while it is being sent', () => {
  it.each([
    ['from its beginning', Infinity],
    ['from where whole pages are left', 2 * AUDIT_EXPORT_PAGE_ROWS],
  ])('%s', async (_where, lastRows) => {
    const { db, sent } = failingBatches(() => false);
    const counted = await createHarness({ like: harness, db });
    const before = await maxSeq();
    const count = Math.min(before, lastRows);
    const request = new Request(
      `https://countersign.example${EXPORT}?latest=true&cursor=${encodeCursor(before - count)}`,
      { headers: { Authorization: `Bearer ${await counted.jwtFor('admin')}` } },
    );
    const response = await counted.worker.fetch(request);
    await addRows(Array.from({ length: AUDIT_EXPORT_PAGE_ROWS }, () => ({ token_id: `since ${before}` })));
    const text = new TextDecoder().decode(await response.arrayBuffer());
    expect(text).not.toContain(`since ${before}`);
    expect(text.trimEnd().split('\n').at(-1)).toBe(`{"complete":true,"count":${count},"next":null}`);
    expect(sent()).toBe(Math.ceil(count / AUDIT_EXPORT_PAGE_ROWS));
  });
});

describe('the export is in the trail', () => {
  it('before its first byte leaves, with what was asked for', async () => {
    const jwt = await harness.jwtFor('admin');
    const asked = `format=csv&status=success&token_id=tok-7&workspace_uuid=${WORKSPACE}`;
    const request = new Request(`https://countersign.example${EXPORT}?${asked}`, {
      headers: { Authorization: `Bearer ${jwt}` },
    });
    const response = await harness.worker.fetch(request);
    const id = response.headers.get('X-Audit-Event-Id');
    const row = await env.DB.prepare('select * from audit_events where id = ?').bind(id).first<AuditEventRow>();
    expect(row).toMatchObject({
      action: 'audit.export',
      status: 'success',
      actor_subject: 'admin-1',
      workspace_uuid: WORKSPACE,
      token_id: 'tok-7',
      count: 1,
      read_key: null,
    });
    expect(askedIn(row)).toEqual({ format: 'csv', status: 'success' });
    await response.body?.cancel();
  });

  it('with where it began, and that it has what can still change', async () => {
    const answer = await exportOf(`?token_id=tok-7&cursor=${encodeCursor(3)}&latest=true`);
    expect(askedIn(await rowOf(answer))).toEqual({ format: 'ndjson', after_seq: 3, latest: true });
  });

  it('each time', async () => {
    const [first, second] = [await exportOf('?token_id=tok-8'), await exportOf('?token_id=tok-8')];
    expect(first.headers.get('X-Audit-Event-Id')).not.toBe(second.headers.get('X-Audit-Event-Id'));
  });

  it('and nothing leaves where it cannot be recorded: 503, and no event', async () => {
    const { db, sent } = failingBatches(() => true);
    const broken = await createHarness({ like: harness, db });
    const answer = await exportOf('', broken);
    expect([answer.status, answer.body.code, sent()]).toEqual([503, 'audit_unavailable', 1]);
    expect(answer.text).not.toContain('tok-');
  });

  it('and so is the attempt of a caller without audit:read', async () => {
    const other = await createHarness({
      like: harness,
      roles: { reader: { permissions: ['tokens:read'], tokens: 'any', workspaces: ['*'], scopes: ['*'] } },
    });
    const denied = await other.send('GET', EXPORT, { jwt: await other.jwtFor('reader') });
    expect([denied.status, denied.body.code]).toEqual([403, 'forbidden']);
    expect(await rowOf(denied)).toMatchObject({ action: 'audit.export', status: 'failure', error_code: 'forbidden' });
  });
});

describe('when D1 fails on the way', () => {
  it('the answer breaks, and nothing in it says that it is whole', async () => {
    // The first batch has the row and the first page.
    const { db } = failingBatches((batch) => batch === 2);
    const broken = await createHarness({ like: harness, db });
    const request = new Request(`https://countersign.example${EXPORT}`, {
      headers: { Authorization: `Bearer ${await broken.jwtFor('admin')}` },
    });
    const response = await broken.worker.fetch(request);
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    const readToEnd = async (): Promise<void> => {
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    };
    await expect(readToEnd()).rejects.toThrow('The trail could not be read to its end.');
    expect(text.trimEnd().split('\n')).toHaveLength(AUDIT_EXPORT_PAGE_ROWS);
    expect(text).not.toContain('"complete"');
    expect(broken.lines.findLast(({ event }) => event === 'export')).toMatchObject({
      level: 'error',
      end: 'failed',
      events: AUDIT_EXPORT_PAGE_ROWS,
    });
  });
});

it('the log says how an export ended, and what it took', async () => {
  const answer = await exportOf('?token_id=tok-7');
  const { trailer } = parse(answer);
  expect(harness.lines.findLast(({ event }) => event === 'export')).toEqual({
    level: 'info',
    event: 'export',
    request_id: answer.headers.get('X-Request-Id'),
    event_id: answer.headers.get('X-Audit-Event-Id'),
    end: 'complete',
    events: trailer.count,
    duration_ms: expect.any(Number),
    d1_ms: expect.any(Number),
    d1_trips: 1,
    time: expect.any(String),
  });
});

describe('a parameter that is not understood is named, and nothing is recorded', () => {
  it.each([
    ['format', '?format=xml'],
    ['format', '?format=csv&format=csv'],
    ['limit', '?limit=10'],
    ['order', '?order=asc'],
    ['cursor', '?cursor=MTIz'],
    ['latest', '?latest=yes'],
    ['from', '?from=yesterday'],
  ])('%s (%s)', async (name, parameters) => {
    const before = await maxSeq();
    const answer = await exportOf(parameters);
    expect([answer.status, answer.body.code, Object.keys(answer.body.errors)]).toEqual([
      400,
      'invalid_request',
      [name],
    ]);
    expect(await maxSeq()).toBe(before);
  });
});

it('takes GET alone', async () => {
  const answer = await harness.send('POST', EXPORT, { body: {} });
  expect([answer.status, answer.headers.get('Allow')]).toEqual([405, 'GET']);
});

it('an export shows a row that somebody with the database has put in below the first number, as every list does', async () => {
  const ids = ['a', 'b'].map((digit) => `00000000-0000-4000-8000-${digit.repeat(12)}`);
  await unguarded([
    `insert into audit_events (seq, id, occurred_at, action, status, actor_type, detail, settled_at)
     values (-7, '${ids[0]}', 1, 'subject.block', 'success', 'user', '{}', 1), (0, '${ids[1]}', 1, 'subject.block', 'success', 'user', '{}', 1)`,
  ]);
  const headers = { Authorization: `Bearer ${await harness.jwtFor('admin')}` };
  for (const parameters of ['?format=ndjson', '?format=ndjson&latest=true', '?format=ndjson&action=subject.block']) {
    // No service of ours makes such a row, so the answer is off the contract.
    // oxlint-disable-next-line no-await-in-loop -- each adds a row to the trail that it reads
    const answer = await harness.worker.fetch(
      new Request(`https://countersign.example${EXPORT}${parameters}`, { headers }),
    );
    // oxlint-disable-next-line no-await-in-loop
    const lines = (await answer.text())
      .trimEnd()
      .split('\n')
      .map((line): Line & Trailer => JSON.parse(line));
    expect(lines.slice(0, 2).map(({ seq, id }) => [seq, id])).toEqual([
      [-7, ids[0]],
      [0, ids[1]],
    ]);
    expect(lines.at(-1)).toMatchObject({ complete: true, count: lines.length - 1 });
    const others = lines.slice(2, -1).map(({ seq }) => seq);
    expect(others).toEqual(parameters.includes('action') ? [] : Array.from(others, (_, index) => index + 1));
  }
  await unguarded(['delete from audit_events where seq < 1'], '%delete_guard');
});
