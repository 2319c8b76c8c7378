import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { ISSUER } from '../support/harness.ts';
import { measuredD1 } from '../support/measured-d1.ts';
import { countOf, createLimitHarness } from './limiting.ts';

// What the limit costs: rows that D1 reads and writes for a create, whatever its owner has left behind.

const MOST = 2_000;
const ROLES = { ci: { permissions: ['tokens:create', 'tokens:revoke'], workspaces: ['*'], scopes: ['api:read'] } };

/** Rows of the inventory: `expiresAt` and `revokedAt` are SQL. */
const own = async (subject: string, count: number, expiresAt: string, revokedAt: string): Promise<unknown> =>
  await env.DB.prepare(
    `with recursive n(i) as (select 1 union all select i + 1 from n where i < ?)
     insert into tokens (workspace_uuid, token_id, owner_issuer, owner_subject, created_at, expires_at, revoked_at, ended_by)
     select 'w', hex(randomblob(8)), ?, ?, 1, ${expiresAt}, ${revokedAt}, iif(${revokedAt} is null, null, 'acknowledged') from n`,
  )
    .bind(count, ISSUER, subject)
    .run();

const FAR = Date.UTC(2100, 0);

it('a create costs the same, whatever is dead', async () => {
  const measured = measuredD1();
  const harness = await createLimitHarness({ db: measured.db, roles: ROLES });
  const cost = async () =>
    await measured.of(async () => {
      expect((await harness.create()).status).toBe(201);
    });
  await cost();
  const before = await cost();
  await own(`ci-${harness.subject}`, 10_000, String(FAR), '5');
  await own(`ci-${harness.subject}`, 1_000, '5', 'null');
  await own('stranger', 10_000, String(FAR), 'null');
  // Of one that has not been counted since: above four fifths of the limit that is done once.
  expect(await countOf(harness)).toMatchObject({ live: 1_002 });
  const after = await cost();
  expect(after.rowsRead).toBeLessThanOrEqual(before.rowsRead + 8);
  expect(after.rowsWritten).toBe(before.rowsWritten);
  // What the limit costs of it: a count, the reservation that comes and goes, and the index of live tokens. Three of the others are the
  // indexes by which the trail is asked for a token's name, life and prefix, and one is that of a workspace's inventory.
  expect(before.rowsWritten).toBeLessThanOrEqual(27);
});

it('at the limit the live tokens are counted once, and then only what has expired since', async () => {
  const measured = measuredD1();
  const harness = await createLimitHarness({ db: measured.db, roles: ROLES });
  expect((await harness.create()).status).toBe(201);
  await own(`ci-${harness.subject}`, MOST - 1, String(FAR), 'null');
  await own(`ci-${harness.subject}`, 10_000, String(FAR), '5');
  const refused = async () =>
    await measured.of(async () => {
      const answer = await harness.create();
      expect([answer.status, answer.body.code]).toEqual([403, 'token_limit_reached']);
    });
  const first = await refused();
  expect(first.rowsRead).toBeGreaterThan(MOST);
  expect(first.rowsRead).toBeLessThan(MOST + 100);
  for (let n = 0; n < 3; n += 1) {
    const again = await refused();
    expect(again.rowsRead).toBeLessThan(100);
    // Its row in the trail, inserted and settled.
    expect(again.rowsWritten).toBeLessThanOrEqual(first.rowsWritten);
  }
  // Nothing is due: what expires in a hundred years is not counted again in ten minutes either, unless it is time.
  harness.age(601);
  expect((await refused()).rowsRead).toBeGreaterThan(MOST);
  expect((await refused()).rowsRead).toBeLessThan(100);
});

it('tokens that expired unseen are counted off once, not with each create', async () => {
  const measured = measuredD1();
  const harness = await createLimitHarness({ db: measured.db, roles: ROLES });
  expect((await harness.create()).status).toBe(201);
  await own(`ci-${harness.subject}`, MOST - 1, '5', 'null');
  expect(await countOf(harness)).toMatchObject({ live: MOST });
  const { rowsRead } = await measured.of(async () => expect((await harness.create()).status).toBe(201));
  expect(rowsRead).toBeLessThan(100);
  expect(await countOf(harness)).toMatchObject({ live: 2 });
  // The ends of what was counted off are noted by and by, and take nothing off again.
  await env.DB.prepare(
    `update tokens set revoked_at = 9, ended_by = 'absent' where owner_subject = ? and expires_at = 5`,
  )
    .bind(`ci-${harness.subject}`)
    .run();
  expect(await countOf(harness)).toMatchObject({ live: 2 });
});

it('a count of a clock that ran ahead is put right by the next create', async () => {
  const harness = await createLimitHarness();
  await own(`ci-${harness.subject}`, 2, String(Date.now() + 3_600_000), 'null');
  await env.DB.prepare('update token_counts set live = 0, counted_at = ? where owner_subject = ?')
    .bind(FAR + 1, `ci-${harness.subject}`)
    .run();
  expect(await harness.whoami()).toEqual({ count: 2, limit: 3 });
  expect((await harness.create()).status).toBe(201);
  expect(await countOf(harness)).toMatchObject({ live: 3 });
  expect((await harness.create()).status).toBe(403);
});
