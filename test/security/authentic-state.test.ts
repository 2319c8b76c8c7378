import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { LOG_CLOSE_AFTER_MS } from '../../src/config/trail-limits.ts';
import { createHarness, type Harness, TOKENS } from '../support/harness.ts';
import { expectUnauthenticRows, NO_STATE, STATE_SECRET } from '../support/state-secret.ts';
import { clearTrail } from '../trail/log/rig.ts';
import { TRAIL_KEY } from '../trail/log/sealed.ts';
import { faultOnce, lastSentBody, liveTokens, settleAll, withClock } from '../trail/reconcile/reconciling.ts';

// What somebody gains who can write to D1 and knows no secret of the Worker: nothing that the MACs cover.

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke', 'tokens:rotate'],
    scopes: ['api:read'],
    workspaces: ['*'],
    tokens: 'own',
  },
};
const NOW = { alice: { sub: 'alice', role: 'owner' }, mallory: { sub: 'mallory', role: 'owner' } };

const run = async (statement: string, ...values: unknown[]) =>
  await env.DB.prepare(statement)
    .bind(...values)
    .run();

beforeEach(async () => {
  await settleAll();
  for (const table of ['unauthentic_rows', 'mac_sweeps', 'tokens', 'jwks_cache', 'job_leases'])
    await run(`delete from ${table}`);
});

expectUnauthenticRows();

const setUp = async (settings: Record<string, string> = { STATE_SECRET }) => {
  const harness = await createHarness({ roles, env: { ...NO_STATE, ...settings } });
  const as = async (who: keyof typeof NOW) => await harness.jwtFor('owner', NOW[who]);
  const mint = async (who: keyof typeof NOW) => (await harness.mint('deploy', await as(who))).id;
  const ask = async (who: keyof typeof NOW | 'admin', method: string, path: string) => {
    const jwt = who === 'admin' ? await harness.jwtFor('admin') : await as(who);
    const key = { 'Idempotency-Key': `rotation-${crypto.randomUUID()}` };
    return await harness.send(method, path, {
      jwt,
      ...(method === 'PATCH' && { body: { name: 'renamed' } }),
      ...(path.endsWith('/rotate') && { headers: key, body: {} }),
    });
  };
  const shown = async (who: keyof typeof NOW | 'admin', path: string) =>
    [...(await ask(who, 'GET', path)).text.matchAll(/"uuid":"([^"]+)"/g)].map(([, id]) => id);
  return { harness, mint, ask, shown };
};

/** What `/readyz` and the log say. */
const told = async (harness: Harness) => {
  await harness.cron();
  const line = harness.lines.findLast(({ event }) => event === 'cron');
  const met = harness.lines.filter(({ event }) => event === 'row_unauthentic').map(({ kind, name }) => [kind, name]);
  const degraded = [line?.['degraded'] ?? []].flat().filter((reason) => reason === 'trail_unauthentic');
  return { degraded, met };
};
const NOTHING = { degraded: [], met: [] };

const nowOf = async (id: string, owner: string | null, mac: string | null) =>
  await run('update tokens set owner_subject = ?, owner_mac = ? where token_id = ?', owner, mac, id);

describe('the owner of a token', () => {
  it('is authenticated from its create on', async () => {
    const { harness, mint, ask } = await setUp();
    const id = await mint('alice');
    expect((await harness.inventory())[0]?.owner_mac).toMatch(/^[\w-]{22}$/);
    expect((await ask('alice', 'GET', `${TOKENS}/${id}`)).status).toBe(200);
    expect((await ask('mallory', 'GET', `${TOKENS}/${id}`)).status).toBe(404);
    expect(await told(harness)).toEqual(NOTHING);
  });

  // Before the others: the rows of a caller's first ten denials a minute are its own.
  it('of a planted row is none', async () => {
    const { harness, ask } = await setUp();
    const { id } = await harness.control.insertToken({ workspace_uuid: harness.workspace, name: 'by hand' });
    const { issuer } = harness.issuer;
    await run(
      `insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at) values (?, ?, ?, 'mallory', 1)`,
      harness.workspace,
      id,
      issuer,
    );
    expect((await ask('mallory', 'DELETE', `${TOKENS}/${id}`)).status).toBe(404);
    expect((await harness.rows()).at(-1)).toMatchObject({ status: 'failure', error_code: 'not_found' });
    expect((await told(harness)).met).toEqual([['owner', `${harness.workspace} ${id}`]]);
  });

  const FORGERIES: readonly [string, (ids: { alices: string; mallorys: string }) => Promise<unknown>][] = [
    [
      'changed',
      async ({ alices }) => await run(`update tokens set owner_subject = 'mallory' where token_id = ?`, alices),
    ],
    ['changed, without a MAC', async ({ alices }) => await nowOf(alices, 'mallory', null)],
    [
      'copied with its MAC from a token of its own',
      async ({ alices, mallorys }) =>
        await run(
          `update tokens set owner_subject = 'mallory',
             owner_mac = (select owner_mac from tokens where token_id = ?) where token_id = ?`,
          mallorys,
          alices,
        ),
    ],
  ];

  it.each(FORGERIES)('that was %s gives its new owner nothing, and is noticed', async (_case, forge) => {
    const { harness, mint, ask, shown } = await setUp();
    const ids = { alices: await mint('alice'), mallorys: await mint('mallory') };
    await forge(ids);
    const path = `${TOKENS}/${ids.alices}`;
    const answers = [];
    for (const [method, at] of [
      ['GET', path],
      ['GET', `${path}/events`],
      ['PATCH', path],
      ['DELETE', path],
      ['POST', `${path}/rotate`],
    ] as const)
      answers.push((await ask('mallory', method, at)).status);
    expect(answers).toEqual([404, 404, 404, 404, 404]);
    for (const list of [TOKENS, '/api/v1/inventory']) expect(await shown('mallory', list)).toEqual([ids.mallorys]);
    expect(await shown('admin', '/api/v1/inventory')).toContain(ids.alices);
    expect(await told(harness)).toEqual({
      degraded: ['trail_unauthentic'],
      met: [['owner', `${harness.workspace} ${ids.alices}`]],
    });
    // A person revokes it, and that settles the matter.
    expect((await ask('admin', 'DELETE', path)).status).toBe(200);
    expect((await harness.rows()).at(-1)).toMatchObject({ status: 'success', token_id: ids.alices });
    expect((await told(harness)).degraded).toEqual([]);
  });

  it.each([
    ['another owner', 'somebody else'],
    ['none', null],
  ])('is noticed where a leaver’s token got %s, so that offboarding does not find it', async (_case, owner) => {
    const { harness, mint } = await setUp();
    const id = await mint('alice');
    await run(
      'update tokens set owner_subject = ?1, owner_issuer = iif(?1 is null, null, owner_issuer), owner_mac = null where token_id = ?2',
      owner,
      id,
    );
    expect(await told(harness)).toEqual({
      degraded: ['trail_unauthentic'],
      met: [['owner', `${harness.workspace} ${id}`]],
    });
  });

  it('is right again where it was rolled back to what this service wrote, and is told of no more', async () => {
    const { harness, mint, ask } = await setUp();
    const id = await mint('alice');
    await run(`update tokens set owner_subject = 'mallory' where token_id = ?`, id);
    await told(harness);
    await run(`update tokens set owner_subject = 'alice' where token_id = ?`, id);
    expect((await told(harness)).degraded).toEqual([]);
    expect((await ask('alice', 'GET', `${TOKENS}/${id}`)).status).toBe(200);
  });
});

describe('owners from before the secret', () => {
  const before = async (settings: Record<string, string>) => {
    const old = await setUp({});
    const id = await old.mint('alice');
    const harness = await createHarness({ roles, like: old.harness, env: { ...NO_STATE, ...settings } });
    const ask = async () =>
      (await harness.send('GET', `${TOKENS}/${id}`, { jwt: await harness.jwtFor('owner', NOW.alice) })).status;
    return { harness, id, ask };
  };

  it('count until STATE_ADOPT_UNTIL, and get a MAC meanwhile', async () => {
    const { harness, ask } = await before({ STATE_SECRET, STATE_ADOPT_UNTIL: '2999-12-31' });
    expect(await ask()).toBe(200);
    expect(await told(harness)).toEqual(NOTHING);
    expect(harness.lines.findLast(({ event }) => event === 'cron')).toMatchObject({ adopted_owners: 1 });
    const later = await createHarness({ roles, like: harness, env: { ...NO_STATE, STATE_SECRET } });
    const jwt = await later.jwtFor('owner', NOW.alice);
    expect((await later.send('GET', `${TOKENS}/${(await later.inventory())[0]!.token_id}`, { jwt })).status).toBe(200);
    expect(await told(later)).toEqual(NOTHING);
  });

  it.each([
    ['without it', { STATE_SECRET }],
    ['after it', { STATE_SECRET, STATE_ADOPT_UNTIL: '2020-01-01' }],
  ])('do not count %s', async (_case, settings) => {
    const { harness, id, ask } = await before(settings);
    expect(await ask()).toBe(404);
    expect(await told(harness)).toEqual({
      degraded: ['trail_unauthentic'],
      met: [['owner', `${harness.workspace} ${id}`]],
    });
  });

  it('and changed ones count as ever where there is no secret', async () => {
    const { harness, mint, ask } = await setUp({});
    const id = await mint('alice');
    await run(`update tokens set owner_subject = 'mallory' where token_id = ?`, id);
    expect((await ask('mallory', 'GET', `${TOKENS}/${id}`)).status).toBe(200);
    expect((await harness.inventory())[0]?.owner_mac).toBeNull();
    expect((await harness.rows()).every((row) => row.recorded_mac === null)).toBe(true);
    expect(await told(harness)).toEqual(NOTHING);
  });
});

describe('archived keys', () => {
  it('that are forged are deleted and told of for a day', async () => {
    const { harness } = await setUp();
    await run(
      `insert into jwks_cache values ('https://forged.example', '{"keys":[]}', 9e15, 'AAAAAAAAAAAAAAAAAAAAAA')`,
    );
    expect(await told(harness)).toEqual({
      degraded: ['trail_unauthentic'],
      met: [['jwks', 'https://forged.example']],
    });
    expect((await env.DB.prepare('select * from jwks_cache').all()).results).toEqual([]);
    await run('update unauthentic_rows set found_at = found_at - ?', 24 * 60 * 60 * 1000 + 1);
    expect((await told(harness)).degraded).toEqual([]);
  });
});

/** Makes a copy of the last row under another id, as somebody with D1 does it. */
const plant = async (id: string, changes: Readonly<Record<string, unknown>>) => {
  const row = await env.DB.prepare('select * from audit_events order by seq desc limit 1').first();
  const planted = { ...row, id, seq: Number(row?.['seq']) + 1, outcome: null, token_id: null, ...changes };
  const names = Object.keys(planted);
  await run(
    `insert into audit_events (${names.join(', ')}) values (${names.map(() => '?').join(', ')})`,
    ...Object.values(planted),
  );
};
describe('an attempt', () => {
  const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };
  const withSecret = async () => await withClock({ env: { ...NO_STATE, STATE_SECRET } });

  it('that this service recorded is reconciled', async () => {
    const { harness, age } = await withSecret();
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, CREATE);
    age(121);
    await harness.cron();
    expect((await harness.rows())[0]).toMatchObject({ status: 'failure', error_code: 'undelivered' });
    expect(await liveTokens(harness)).toEqual([]);
    expect((await told(harness)).met).toEqual([]);
  });

  const OPEN = {
    status: 'attempted',
    settled_at: null,
    upstream_status: null,
    error_code: null,
    settled_mac: null,
  };
  const FAILED = { status: 'failure', settled_at: 1, upstream_status: null, error_code: 'not_applied', outcome: '{}' };

  it.each([
    ['open, with no MAC', { ...OPEN, recorded_mac: null }],
    ['open, with the MAC of another row', OPEN],
    ['failed', { ...FAILED, recorded_mac: null }],
  ])('that was planted %s has no token revoked whose name bears its marker', async (_case, columns) => {
    const { harness, age } = await withSecret();
    const id = crypto.randomUUID();
    const { id: victim } = await harness.mint();
    const marker = /[0-9a-z]+$/.exec((await lastSentBody(harness)).name)?.[0];
    await plant(id, columns);
    expect(marker).toBeDefined();
    await run('delete from tokens where token_id = ?', victim);
    age(121);
    await harness.cron();
    await harness.send('GET', TOKENS, { headers: { 'Cache-Control': 'no-cache' } });
    expect((await liveTokens(harness)).map((token) => token.id)).toEqual([victim]);
    expect((await harness.rows()).find((row) => row.id === id)?.status).toBe(columns.status);
    const { degraded, met } = await told(harness);
    expect([degraded, met[0]]).toEqual([['trail_unauthentic'], ['attempt', id]]);
  });
});

describe('a row of the trail', () => {
  /** A service that seals, and rows of each kind that it has written by itself. */
  const used = async () => {
    await clearTrail();
    const { harness, age } = await withClock({ env: { ...NO_STATE, STATE_SECRET, TRAIL_KEY } });
    const { id } = await harness.mint();
    for (const path of [`${TOKENS}/${id}`, '/api/v1/audit/events', TOKENS]) await harness.send('GET', path);
    await harness.send('PATCH', `${TOKENS}/${id}`, { body: { name: 'renamed' } });
    await harness.send('DELETE', `${TOKENS}/${id}`);
    await harness.send('DELETE', `${TOKENS}/${id}`);
    await harness.send('POST', TOKENS, { jwt: await harness.jwtFor('nobody'), body: { name: 'x', scopes: [] } });
    await faultOnce(harness, { drop: 'after_commit' });
    await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
    age(121);
    await harness.cron();
    return { harness, age };
  };
  const leaves = async () =>
    (
      await env.DB.prepare(
        'select a.id, l.authentic from trail_leaves as l join audit_events as a on a.seq = l.seq order by l.idx',
      ).all()
    ).results;

  it('that this service has written carries its MACs, and is sealed as authentic', async () => {
    const { harness, age } = await used();
    age(LOG_CLOSE_AFTER_MS / 1000);
    await harness.cron();
    const rows = await harness.rows();
    const kindsOf = (column: 'recorded_mac' | 'settled_mac') =>
      new Set(rows.filter((row) => row[column] !== null).map(({ action, status }) => `${action} ${status}`));
    expect(rows.filter(({ recorded_mac }) => recorded_mac === null)).toEqual([]);
    expect(rows.some(({ read_key }) => read_key !== null)).toBe(true);
    expect([...kindsOf('settled_mac')].toSorted()).toEqual([
      'service_account_token.create failure',
      'service_account_token.create success',
      'service_account_token.revoke success',
      'service_account_token.update success',
    ]);
    const sealed = await leaves();
    expect(sealed.length).toBeGreaterThanOrEqual(rows.length);
    expect(sealed.filter(({ authentic }) => authentic !== 1)).toEqual([]);
    expect(await told(harness)).toEqual(NOTHING);
  });

  it('that was added with the MAC of another is sealed as not authentic, and told of', async () => {
    const { harness } = await used();
    const id = crypto.randomUUID();
    await plant(id, {});
    expect(await told(harness)).toEqual({ degraded: ['trail_unauthentic'], met: [['row', id]] });
    expect((await leaves()).filter(({ authentic }) => authentic !== 1)).toEqual([{ id, authentic: 0 }]);
  });

  it.each([
    ['final', {}],
    ['open', { status: 'attempted', settled_at: null, upstream_status: null, error_code: null }],
  ])('that was added without a MAC is sealed as not authentic: %s', async (_case, columns) => {
    const { harness } = await used();
    const id = crypto.randomUUID();
    await plant(id, { recorded_mac: null, settled_mac: null, ...columns });
    expect((await told(harness)).met).toContainEqual(['row', id]);
    expect((await leaves()).filter(({ authentic }) => authentic !== 1)).toEqual([{ id, authentic: 0 }]);
  });

  it('from before the secret is sealed as it is, after the end of the adoption too', async () => {
    await clearTrail();
    const old = await setUp({});
    const first = await old.mint('alice');
    const adopting = { STATE_SECRET, STATE_ADOPT_UNTIL: '2999-12-31' };
    const harness = await createHarness({ roles, like: old.harness, env: { ...NO_STATE, ...adopting } });
    await harness.cron();
    // It was written after that by an isolate of the version before.
    const second = await old.mint('alice');
    const later = await createHarness({ roles, like: harness, env: { ...NO_STATE, STATE_SECRET, TRAIL_KEY } });
    await run('delete from job_leases');
    await later.cron();
    const rows = await later.rows();
    const of = (token: string) => rows.find(({ token_id }) => token_id === token)?.id;
    expect((await leaves()).filter(({ authentic }) => authentic !== 1)).toEqual([{ id: of(second), authentic: 0 }]);
    expect((await leaves()).some(({ id }) => id === of(first))).toBe(true);
    await run(`update mac_sweeps set position = 1000000 where kind = 'row'`);
    const third = await old.mint('alice');
    await run('delete from job_leases');
    await later.cron();
    expect((await leaves()).filter(({ authentic }) => authentic !== 1)).toHaveLength(2);
    expect((await later.rows()).some(({ token_id }) => token_id === third)).toBe(true);
  });
});
