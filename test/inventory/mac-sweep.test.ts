import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { MAC_SWEEP_TOKENS, UNAUTHENTIC_TOLD_MS } from '../../src/config/trail-limits.ts';
import type { Database } from '../../src/db/database.ts';
import { jwksMac } from '../../src/identity/key-archive.ts';
import { sweepMacs } from '../../src/inventory/mac-sweep.ts';
import { createOwnerMacs, type Owned } from '../../src/inventory/owner-macs.ts';
import { createMac } from '../../src/kit/mac.ts';
import { err } from '../../src/kit/result.ts';
import { createRowMacs } from '../../src/trail/row-macs.ts';
import { context, database, NOW, storeEvent, storeToken, WORKSPACE } from '../revocation/orders/leased.ts';

// What the job of the cron makes of the rows that carry a MAC.

const SECRET = new Uint8Array(32).fill(7);
const macsUntil = (adoptUntilMs: number | null) => createOwnerMacs({ secret: SECRET, adoptUntilMs, now: () => NOW });
const rowMacsUntil = (adoptUntilMs: number | null) =>
  createRowMacs({ mac: createMac(SECRET, 'audit-event/v1'), adoptUntilMs, now: () => NOW });
const NOTHING = { adopted_owners: 0, unauthentic_rows: 0 };

const run = async (statement: string, ...values: unknown[]): Promise<readonly Record<string, unknown>[]> =>
  (
    await env.DB.prepare(statement)
      .bind(...values)
      .all()
  ).results;
const noted = async () => await run('select kind, name, found_at from unauthentic_rows order by kind, name');
const macOf = async (id: string, workspace = WORKSPACE) =>
  (await run('select owner_mac from tokens where workspace_uuid = ? and token_id = ?', workspace, id))[0]?.[
    'owner_mac'
  ];

beforeEach(async () => {
  for (const table of ['unauthentic_rows', 'mac_sweeps', 'tokens', 'jwks_cache']) await run(`delete from ${table}`);
});

interface Terms {
  readonly secret?: Uint8Array | null;
  readonly adopts?: boolean;
  /** The batch that D1 does not take, by its number from 1. */
  readonly refused?: number;
  /** What somebody else does once the job has read. */
  readonly meanwhile?: () => Promise<unknown>;
}

async function sweep({ secret = SECRET, adopts = false, refused, meanwhile }: Terms = {}) {
  let batches = 0;
  const lines: unknown[] = [];
  const batch: Database['batch'] = async (...sent) => {
    batches += 1;
    if (batches === 2) await meanwhile?.();
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- D1 does not take it
    return batches === refused ? (err('rejected') as never) : await database.batch(...sent);
  };
  const dependencies = {
    database: { ...database, batch },
    runtime: { now: () => NOW, log: (line: unknown) => void lines.push(line) },
    owners: macsUntil(adopts ? NOW + 1 : null),
    rowMacs: rowMacsUntil(adopts ? NOW + 1 : null),
    secret,
  };
  const report = await sweepMacs(dependencies, context);
  return { report, lines, batches };
}

/** A token with an owner and its MAC. */
async function owned(token_id: string, values: Readonly<Record<string, unknown>> = {}): Promise<void> {
  const owner = { workspace_uuid: WORKSPACE, token_id, owner_issuer: 'i', owner_subject: 'alice' } satisfies Owned;
  await storeToken({ ...owner, owner_mac: macsUntil(null).of(owner), ...values });
}
const minted = async (token_id: string, values: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
  await storeEvent({ token_id, action: 'service_account_token.create', status: 'success', settled_at: NOW, ...values });
const nameOf = (id: string): string => `${WORKSPACE} ${id}`;
const told = (kind: string, name: string) => ({ level: 'error', event: 'row_unauthentic', kind, name });
const FORGED = { owner_subject: 'mallory' };
const NO_OWNER = { owner_issuer: null, owner_subject: null, owner_mac: null };
/** What is found by so many runs, each of which notes nothing for the next. */
async function foundIn(runs: number): Promise<readonly number[]> {
  const found: number[] = [];
  for (let count = 0; count < runs; count += 1) {
    found.push((await sweep()).report.unauthentic_rows);
    await run('delete from unauthentic_rows');
  }
  return found;
}
/** The sweep begins behind all tokens that there are. */
const moveBehindAll = async (): Promise<unknown> =>
  await run(`insert into mac_sweeps (kind, position) select 'owner', max(rowid) from tokens`);

// Before the others, which leave events.
it('a trail without any event is adopted up to nothing', async () => {
  expect(await run('select seq from audit_events')).toEqual([]);
  await sweep({ adopts: true });
  expect(await run(`select position from mac_sweeps where kind = 'row'`)).toEqual([{ position: 0 }]);
});

describe('an owner', () => {
  it('is told of where it has no right MAC, or was taken away, and its token has not ended', async () => {
    await owned('right');
    await minted('right');
    await owned('acknowledged', { ...FORGED, ended_by: 'acknowledged' });
    await owned('absent', { ...FORGED, ended_by: 'absent' });
    await owned('of-nobody', NO_OWNER);
    await minted('another-token');
    await minted('of-nobody', { status: 'failure' });
    await minted('of-nobody', { action: 'service_account_token.update' });
    await minted('of-nobody', { workspace_uuid: 'elsewhere' });
    await owned('a-forged', FORGED);
    await owned('b-listed', { ...FORGED, ended_by: 'listed' });
    await owned('c-without-mac', { owner_mac: null });
    await owned('d-bereft', NO_OWNER);
    await minted('d-bereft', { workspace_uuid: WORKSPACE.toUpperCase() });
    const { report, lines } = await sweep();
    const wrong = ['a-forged', 'b-listed', 'c-without-mac', 'd-bereft'].map(nameOf);
    expect(report).toEqual({ adopted_owners: 0, unauthentic_rows: 4 });
    expect(lines).toEqual(wrong.map((name) => told('owner', name)));
    expect(await noted()).toEqual(wrong.map((name) => ({ kind: 'owner', name, found_at: NOW })));
  });

  it('stays noted while it is wrong, and is forgotten once it is right, wherever the sweep is', async () => {
    for (const id of ['wrong', 'right']) await owned(id, id === 'wrong' ? FORGED : {});
    await moveBehindAll();
    await run(
      `insert into unauthentic_rows select 'owner', value, 5 from json_each(?)`,
      JSON.stringify(['right', 'wrong'].map(nameOf)),
    );
    await run(`insert into unauthentic_rows values ('attempt', ?, ?)`, nameOf('right'), NOW);
    expect((await sweep()).report).toEqual({ adopted_owners: 0, unauthentic_rows: 1 });
    expect(await noted()).toEqual([
      { kind: 'attempt', name: nameOf('right'), found_at: NOW },
      { kind: 'owner', name: nameOf('wrong'), found_at: 5 },
    ]);
  });

  it('without a MAC gets its own one while owners are adopted, and no other row does', async () => {
    const WITHOUT = { owner_mac: null };
    await owned('old', WITHOUT);
    await owned('nobodys', NO_OWNER);
    await owned('ended', { ...WITHOUT, ended_by: 'absent' });
    await owned('old', { ...WITHOUT, workspace_uuid: 'elsewhere', ended_by: 'absent' });
    await owned('new');
    expect((await sweep({ adopts: true })).report).toEqual({ adopted_owners: 1, unauthentic_rows: 0 });
    const owner = { workspace_uuid: WORKSPACE, token_id: 'old', owner_issuer: 'i', owner_subject: 'alice' };
    expect(await macOf('old')).toBe(macsUntil(null).of(owner));
    for (const id of ['nobodys', 'ended']) expect(await macOf(id)).toBeNull();
    expect(await macOf('old', 'elsewhere')).toBeNull();
  });

  it('gets no MAC if somebody has changed it since it was read', async () => {
    const ids = ['mac', 'issuer', 'subject'];
    for (const id of ids) await owned(id, { owner_mac: null });
    const meanwhile = async (): Promise<void> => {
      for (const id of ids) await run(`update tokens set owner_${id} = 'changed' where token_id = ?`, id);
    };
    await sweep({ adopts: true, meanwhile });
    expect(await Promise.all(ids.map(async (id) => await macOf(id)))).toEqual(['changed', null, null]);
  });
});

it('the job goes through all tokens, some at a time, and begins anew behind the last', async () => {
  await run(
    `insert into tokens (workspace_uuid, token_id, created_at) select ?, value, 1 from json_each(?)`,
    WORKSPACE,
    JSON.stringify(Array.from({ length: MAC_SWEEP_TOKENS }, (_item, index) => `token-${index}`)),
  );
  await owned('last', FORGED);
  expect(await foundIn(3)).toEqual([0, 1, 0]);
});

it('the job does not look again at the last token that it has looked at, but where no others are left', async () => {
  await owned('forged', FORGED);
  await moveBehindAll();
  expect(await foundIn(3)).toEqual([0, 1, 1]);
});

describe('archived keys', () => {
  const keep = async (issuer: string, mac: string | null): Promise<unknown> =>
    await run(`insert into jwks_cache values (?, '{}', 1, ?)`, issuer, mac);
  const kept = async () => (await run('select issuer from jwks_cache order by issuer')).map(({ issuer }) => issuer);
  const rightMac = jwksMac(SECRET)('right', '{}', 1);

  it('that are forged are deleted and told of, and no others', async () => {
    await keep('right', rightMac);
    await keep('old', null);
    await keep('forged', rightMac);
    const { report, lines } = await sweep();
    expect(report).toEqual({ adopted_owners: 0, unauthentic_rows: 1 });
    expect([await kept(), lines]).toEqual([['old', 'right'], [told('jwks', 'forged')]]);
    expect(await noted()).toEqual([{ kind: 'jwks', name: 'forged', found_at: NOW }]);
  });

  it('that were put right since they were read stay', async () => {
    await keep('right', 'wrong');
    await sweep({ meanwhile: async () => await run('update jwks_cache set mac = ?', rightMac) });
    expect(await kept()).toEqual(['right']);
  });
});

describe('the rows of the trail', () => {
  const adopted = async () => await run(`select position, mac from mac_sweeps where kind = 'row'`);
  const newest = async () => Number((await run('select max(seq) as seq from audit_events'))[0]?.['seq']);

  it('are adopted up to the newest one, with a MAC, in each run until the adoption ends', async () => {
    await minted('one');
    await sweep({ adopts: true });
    expect(await adopted()).toEqual([rowMacsUntil(NOW + 1).adopt(await newest())]);
    await minted('two');
    await sweep({ adopts: true });
    const last = await adopted();
    expect(last).toEqual([rowMacsUntil(NOW + 1).adopt(await newest())]);
    await minted('three');
    await sweep();
    expect(await adopted()).toEqual(last);
  });

  it('are not adopted where the adoption is over, or there is no secret', async () => {
    await minted('one');
    await sweep();
    await sweep({ adopts: true, secret: null });
    expect(await adopted()).toEqual([]);
  });

  it('are adopted under the new secret where the old one has left a number', async () => {
    await minted('one');
    await run(`insert into mac_sweeps (kind, position, mac) values ('row', ?, 'of another secret')`, await newest());
    await sweep({ adopts: true });
    expect(await adopted()).toEqual([rowMacsUntil(NOW + 1).adopt(await newest())]);
  });
});

it('what is over is told of for a day, and a wrong owner for as long as it is wrong', async () => {
  const old = NOW - UNAUTHENTIC_TOLD_MS;
  const rows = [
    ['attempt', 'gone', old - 1],
    ['jwks', 'gone', old - 1],
    ['jwks', 'kept', old],
    ['owner', 'kept', old - 1],
  ];
  for (const row of rows) await run('insert into unauthentic_rows values (?, ?, ?)', ...row);
  await sweep();
  expect((await noted()).map(({ kind, name }) => [kind, name])).toEqual([
    ['jwks', 'kept'],
    ['owner', 'kept'],
  ]);
});

describe('the job says nothing', () => {
  beforeEach(async () => {
    await owned('forged', FORGED);
    await run(`insert into jwks_cache values ('forged', '{}', 1, 'wrong')`);
  });

  it.each([1, 2])('where D1 does not take batch %i', async (refused) => {
    const { report, lines } = await sweep({ refused });
    expect([report, lines, await noted()]).toEqual([NOTHING, [], []]);
  });

  it('and asks for nothing where there is no secret', async () => {
    const { report, lines, batches } = await sweep({ secret: null });
    expect([report, lines, batches]).toEqual([NOTHING, [], 0]);
  });
});
