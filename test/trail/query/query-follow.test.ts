import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { AUDIT_COUNTING_SLACK_MS, AUDIT_UNFINISHED_MS } from '../../../src/config/limits.ts';
import { createHarness, type Answer, type Harness } from '../../support/harness.ts';
import { insertRows, OPEN } from './trail.ts';

const EVENTS = '/api/v1/audit/events';
const MINUTE_MS = 60_000;

let harness: Harness;
let nowMs = 0;
/** Each test follows a workspace of its own, from here on. */
let begin = '';
beforeEach(async () => {
  // Half a minute is over, so a read of now is within the minute that counts it.
  nowMs = (Math.floor(Date.now() / MINUTE_MS) + 0.5) * MINUTE_MS;
  harness = await createHarness({ runtime: { now: () => nowMs } });
  const newest = await env.DB.prepare('select coalesce(max(seq), 0) as seq from audit_events').first<number>('seq');
  begin = btoa(`seq:${newest}`).replace(/=+$/, '');
});

/** A JWT that is issued now, by the clock of the test. */
const jwtOf = async (sub: string): Promise<string> => {
  const iat = Math.floor(nowMs / 1000);
  return await harness.jwtFor('admin', { sub, iat, exp: iat + 60 });
};
const query = async (parameters: string, sub = 'alice'): Promise<Answer> => {
  const answer = await harness.send('GET', `${EVENTS}?${parameters}`, { jwt: await jwtOf(sub) });
  expect(answer.status, answer.text).toBe(200);
  return answer;
};
const follow = async (cursor: string, parameters = ''): Promise<Answer> =>
  await query(`order=asc&cursor=${cursor}${parameters}`);
const tokensOf = (answer: Answer): string[] => answer.body.data.map(({ token_id }: { token_id: string }) => token_id);
const cursorOf = (answer: Answer): string => answer.body.pagination.next_cursor;
const settled = (token: string, ageMs = 0) => ({
  token_id: token,
  occurred_at: nowMs - ageMs,
  workspace_uuid: harness.workspace,
});

describe('an ascending page ends before a row that can still change', () => {
  it.each([
    ['an open attempt', OPEN, AUDIT_UNFINISHED_MS],
    // Half of its minute is left, and a read that began in it may still be counted.
    ['a counted read', { read_key: 'k' }, MINUTE_MS / 2 + AUDIT_COUNTING_SLACK_MS],
  ])('%s', async (_name, columns, finishedAfterMs) => {
    await insertRows([settled('before', 1), { ...settled('unfinished'), ...columns }, settled('after')]);
    const page = await follow(begin);
    expect(tokensOf(page)).toEqual(['before']);
    expect(page.body.pagination.has_more).toBe(false);
    expect(tokensOf(await follow(cursorOf(page)))).toEqual([]);

    expect(tokensOf(await follow(cursorOf(page), '&latest=true'))).toEqual(['unfinished', 'after']);
    nowMs += finishedAfterMs - 1;
    expect(tokensOf(await follow(cursorOf(page)))).toEqual([]);
    nowMs += 1;
    expect(tokensOf(await follow(cursorOf(page)))).toEqual(['unfinished', 'after']);
  });

  it('from the beginning of the trail too', async () => {
    await insertRows([settled('before', 1), { ...settled('open'), ...OPEN }, settled('after')]);
    expect(tokensOf(await query(`order=asc&workspace_uuid=${harness.workspace}`))).toEqual(['before']);
  });

  it('and a descending page shows it too', async () => {
    await insertRows([settled('before', 1), { ...settled('open'), ...OPEN }, settled('after')]);
    const answer = await query(`workspace_uuid=${harness.workspace}`);
    expect(tokensOf(answer).slice(0, 3)).toEqual(['after', 'open', 'before']);
  });

  it('but not before an old one, which is announced when it is settled', async () => {
    await insertRows([{ ...settled('old', AUDIT_UNFINISHED_MS), ...OPEN }, settled('after')]);
    expect(tokensOf(await follow(begin))).toEqual(['old', 'after']);
  });

  it.each([
    ['an open attempt', OPEN],
    ['a counted read', { read_key: 'ahead' }],
  ])('not before %s of a clock that ran ahead, which is put right', async (_name, columns) => {
    const day = 24 * 60 * MINUTE_MS;
    await insertRows([settled('before', 1), { ...settled('ahead', -day), ...columns }, settled('after')]);
    expect(tokensOf(await follow(begin))).toEqual(['before', 'ahead', 'after']);
    const parameters = `format=ndjson&workspace_uuid=${harness.workspace}&cursor=${begin}`;
    const exported = await harness.send('GET', `/api/v1/audit/export?${parameters}`, { jwt: await jwtOf('alice') });
    expect(exported.text.trimEnd().split('\n').at(-1)).toBe('{"complete":true,"count":3,"next":null}');
  });

  it('but not before one that its filter leaves out for good', async () => {
    await insertRows([{ ...settled('open'), ...OPEN, action: 'service_account_token.update' }, settled('after')]);
    expect(tokensOf(await follow(begin, '&action=service_account_token.get'))).toEqual(['after']);
    expect(tokensOf(await follow(begin, '&token_id=after'))).toEqual(['after']);
  });

  it('even where only its outcome or its token will make it match', async () => {
    await insertRows([
      { ...settled('x'), ...OPEN, token_id: null },
      { ...settled('x'), status: 'failure' },
    ]);
    expect(tokensOf(await follow(begin, '&status=failure'))).toEqual([]);
    expect(tokensOf(await follow(begin, '&token_id=x'))).toEqual([]);
    nowMs += AUDIT_UNFINISHED_MS;
    expect(tokensOf(await follow(begin, '&token_id=x'))).toEqual(['x']);
  });

  it.each([
    ['its code', 'code=forbidden', true],
    ['the role that allows it', 'role=ci', true],
    ['the scopes that PipeOps gives', 'scope=api:full', true],
    ['the token whose secret begins so', 'token_prefix=sat_abcdefg', true],
    ['nothing: it has another name', 'token_name=another', false],
    ['nothing: another policy decided', `policy_version=${'f'.repeat(16)}`, false],
    ['nothing: its action is left out', 'action=!service_account_token.create', false],
    ['nothing: what such an action does has no scope', 'scope=api:full&action=service_account_token.get', false],
  ])('an open create is waited for where it may come to match by %s', async (_what, filter, isWaitedFor) => {
    const create = { ...OPEN, action: 'service_account_token.create', token_id: null, token_name: 'deploy' } as const;
    const matching = {
      action: 'service_account_token.revoke',
      token_name: 'another',
      detail: JSON.stringify({ scopes: ['api:full'], policy: 'f'.repeat(16) }),
      outcome: '{"role":"ci"}',
      error_code: 'forbidden',
    } as const;
    await env.DB.prepare(
      'insert or ignore into tokens (workspace_uuid, token_id, created_at, token_prefix) values (?, ?, 1, ?)',
    )
      .bind(harness.workspace, 'after', 'sat_abcdefg')
      .run();
    await insertRows([
      { ...settled('x'), ...create },
      { ...settled('after'), ...matching, ...(filter.endsWith('get') && { action: 'service_account_token.get' }) },
    ]);
    const seen = tokensOf(await follow(begin, `&${filter}&workspace_uuid=${harness.workspace}`));
    const isFound = !filter.endsWith('get');
    expect(seen).toEqual(isWaitedFor || !isFound ? [] : ['after']);
  });
});

describe('a follower', () => {
  it('is told where to go on even when there is nothing new', async () => {
    const page = await follow(begin);
    expect(page.body).toMatchObject({ data: [], pagination: { next_cursor: begin, has_more: false } });
  });

  it('is not shown its own queries, unless it names them, and leaves them in the trail', async () => {
    await follow(begin, '&limit=7');
    const other = await query('limit=8', 'bob');
    nowMs += 2 * MINUTE_MS;
    const page = await follow(begin);
    expect(page.body.data.map(({ id }: { id: string }) => id)).toEqual([other.headers.get('X-Audit-Event-Id')]);
    const named = await follow(begin, '&action=audit.*');
    expect(named.body.data.map(({ detail }: { detail: { limit: number } }) => detail.limit)).toEqual([7, 8]);
    // Whoever names what to leave out does not name its own queries.
    expect((await follow(begin, '&action=!webhook.*')).body.data.map(({ id }: { id: string }) => id)).toEqual([
      other.headers.get('X-Audit-Event-Id'),
    ]);
    const first = await query(`order=asc&latest=true&limit=200&from=${new Date(nowMs - 3 * MINUTE_MS).toISOString()}`);
    const ids = first.body.data.map(({ id }: { id: string }) => id);
    expect(ids).toContain(page.headers.get('X-Audit-Event-Id'));
  });

  it('is shown what its filter leaves, and no more', async () => {
    await insertRows([
      { ...settled('from here'), ip: '192.0.2.8' },
      { ...settled('from there'), ip: '192.0.2.9' },
    ]);
    expect(tokensOf(await follow(begin, '&ip=192.0.2.9'))).toEqual(['from there']);
  });

  it('adds at most one row a minute to the trail while it waits', async () => {
    const first = await follow(begin);
    await follow(cursorOf(first));
    const last = await follow(cursorOf(await follow(cursorOf(first))));
    expect(last.headers.get('X-Audit-Event-Id')).toBe(first.headers.get('X-Audit-Event-Id'));
  });

  it('passes over many rows that are not for it', async () => {
    await insertRows(Array.from({ length: 260 }, () => settled('others')));
    const page = await follow(begin, '&token_id=mine&limit=10');
    expect(page.body.data).toEqual([]);
    const [mine] = await insertRows([settled('mine')]);
    const next = await follow(cursorOf(page), '&token_id=mine&limit=10');
    expect(next.body.data.map(({ seq }: { seq: number }) => seq)).toEqual([mine]);
    expect(cursorOf(page)).not.toBe(begin);
  });

  it('misses nothing, sees nothing twice and nothing unfinished, while rows are being written and settled', async () => {
    const written: string[] = [];
    const seen: string[] = [];
    const note = (page: Answer): void => {
      for (const { status, token_id: token } of page.body.data) seen.push(`${token} ${status}`);
    };
    let cursor = begin;
    for (let round = 0; round < 16; round += 1) {
      // Every third row is open for a while; those of two rounds ago are settled now.
      const names = Array.from({ length: round % 5 }, (_item, index) => `${round}-${index}`);
      await insertRows(names.map((name, index) => ({ ...settled(name), ...(index % 3 === 1 && OPEN) })));
      await settleOpen(`${round - 2}-`);
      written.push(...names.map((name) => `${name} success`));
      const page = await follow(cursor, '&limit=2');
      note(page);
      cursor = cursorOf(page);
    }
    await settleOpen('');
    for (let page = await follow(cursor); page.body.data.length > 0; page = await follow(cursor)) {
      note(page);
      cursor = cursorOf(page);
    }
    expect(seen).toEqual(written);
  });
});

/** Settles the open attempts on tokens whose id begins with a prefix. */
async function settleOpen(prefix: string): Promise<void> {
  const settle = `update audit_events set status = 'success', settled_at = ?, outcome = '{}'
    where status = 'attempted' and workspace_uuid = ? and token_id glob ?`;
  await env.DB.prepare(settle).bind(nowMs, harness.workspace, `${prefix}*`).run();
}
