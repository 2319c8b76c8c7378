import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { interruptedBefore } from '../idempotency/harness.ts';
import { clearOrders, ordersOf } from '../revocation/harness.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { ISSUER, TOKENS } from '../support/harness.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import {
  codeOf,
  countOf,
  createRotatingHarness,
  expectAsBefore,
  parsed,
  stateOf,
  type RotatingHarness,
} from './rotating.ts';

// What fails, and what happens beside a rotation, leaves either its token or the successor as the one that its owner has.

let harness: RotatingHarness;
let old: { id: string; token: string };
beforeEach(async () => {
  await clearOrders();
  harness = await createRotatingHarness();
  old = await harness.own();
});
const before = async () => await harness.token(old.id);
const alive = async () => await harness.alive();

describe('nothing changes where', () => {
  it.each<[string, object, readonly [number, string]]>([
    ['PipeOps rejects it', { status: 422, body: { success: false, message: 'no' } }, [422, 'upstream_rejected']],
    [
      'PipeOps asks us to wait',
      { status: 429, headers: { 'Retry-After': '1' }, body: {} },
      [429, 'upstream_rate_limited'],
    ],
  ])('%s', async (_case, fault, expected) => {
    const was = await before();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, ...fault });
    const answer = await harness.rotate(old.id);
    expect(codeOf(answer)).toEqual(expected);
    expect(await harness.rowOf(answer)).toMatchObject({ status: 'failure', error_code: expected[1] });
    harness.age(2);
    await env.DB.prepare('delete from upstream_limits').run();
    harness = { ...(await createRotatingHarness({ like: harness })), subject: harness.subject, jwt: harness.jwt };
    await expectAsBefore(harness, was);
  });

  it('PipeOps grants more than it was asked for, so the successor is withheld', async () => {
    const was = await before();
    const wide = await createRotatingHarness({
      like: harness,
      runtime: twistedTokens('POST', () => ({ scopes: ['*'] })),
    });
    const answer = await harness.rotate(old.id, { through: wide });
    expect(codeOf(answer)).toEqual([502, 'upstream_disobeyed']);
    expect(parsed((await harness.rowOf(answer))?.outcome)).toMatchObject({ came: { scopes: ['*'] } });
    await expectAsBefore(harness, was);
  });
});

describe('the successor is revoked and the token lives where D1', () => {
  it('takes nothing any more', async () => {
    const was = await before();
    const { db } = failingBatches((batch) => batch > 1);
    const key = crypto.randomUUID();
    const answer = await harness.rotate(old.id, { through: await harness.over(db), key });
    expect(codeOf(answer)).toEqual([503, 'audit_unavailable']);
    expect(await alive()).toEqual([old.id]);
    expect(codeOf(await harness.rotate(old.id))).toEqual([409, 'rotation_in_flight']);
    expect(codeOf(await harness.rotate(old.id, { key }))).toEqual([409, 'idempotency_in_flight']);
    await harness.settle();
    expect((await harness.rowOf(answer))?.status).toBe('failure');
    await expectAsBefore(harness, was);
  });

  const lost = async (commit: () => Promise<unknown>): Promise<never> => {
    await commit();
    throw new Error('injected: the answer was lost');
  };
  it.each<[string, string, (batch: number) => boolean]>([
    ['commits the second trip and answers no try of it', '24h', (batch) => batch > 1 && batch < 5],
    ['commits all and answers nothing', '24h', (batch) => batch > 1],
    [
      'commits the second trip and answers no try of it, in a rotation without overlap',
      '0s',
      (batch) => batch > 1 && batch < 5,
    ],
  ])('%s', async (_case, overlap, fails) => {
    const was = await before();
    const { db } = failingBatches(fails, lost);
    const key = crypto.randomUUID();
    const answer = await harness.rotate(old.id, { through: await harness.over(db), key, body: { overlap } });
    expect(codeOf(answer)).toEqual([503, 'audit_unavailable']);
    expect(await alive()).toEqual([old.id]);
    expect(stateOf(await harness.token(old.id))).toEqual(stateOf(was));
    const orders = (await ordersOf(harness)).filter(({ token_id }) => token_id === old.id);
    expect(orders).toMatchObject([{ cause: 'rotation', state: 'lifted', next_at: null }]);
    const revokes = (await harness.rows()).filter(
      ({ action, token_id }) => action.endsWith('.revoke') && token_id === old.id,
    );
    expect(revokes.map(({ status, error_code }) => [status, error_code])).toEqual(
      overlap === '0s' ? [['failure', 'not_applied']] : [],
    );
    harness.age(90_000);
    await harness.settle();
    await expectAsBefore(harness, was);
  });

  it('commits the second trip and answers no try of it, and PipeOps does not take the revoke of the successor', async () => {
    const was = await before();
    const { db } = failingBatches((batch) => batch > 1 && batch < 5, lost);
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 500 });
    expect(codeOf(await harness.rotate(old.id, { through: await harness.over(db) }))).toEqual([
      503,
      'audit_unavailable',
    ]);
    expect(stateOf(await harness.token(old.id))).toEqual(stateOf(was));
    await harness.settle();
    await expectAsBefore(harness, was);
  });
});

describe('an outcome that nobody knows', () => {
  it.each(['before_commit', 'after_commit'] as const)('keeps others out until it is settled: %s', async (drop) => {
    const was = await before();
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop });
    const answer = await harness.rotate(old.id);
    expect(codeOf(answer)).toEqual([504, 'outcome_unknown']);
    const other = await harness.rotate(old.id);
    expect(codeOf(other)).toEqual([409, 'rotation_in_flight']);
    expect(other.headers.get('Retry-After')).not.toBeNull();
    expect(await harness.rowOf(other)).toMatchObject({ status: 'failure', error_code: 'rotation_in_flight' });
    await harness.settle();
    expect(await harness.rowOf(answer)).toMatchObject({
      status: 'failure',
      error_code: drop === 'after_commit' ? 'undelivered' : 'not_applied',
    });
    await expectAsBefore(harness, was);
  });
});

describe('a key', () => {
  it('gives the same secret again, also once its token was retired', async () => {
    const key = crypto.randomUUID();
    const body = { overlap: '3h' };
    const first = await harness.rotate(old.id, { key, body });
    const again = await harness.rotate(old.id, { key, body });
    expect([again.status, again.headers.get('Idempotency-Replayed')]).toEqual([201, 'true']);
    expect(again.body.data).toEqual(first.body.data);
    expect(parsed((await harness.rowOf(again))?.outcome)).toMatchObject({
      idempotent_of: first.headers.get('X-Audit-Event-Id'),
    });
    harness.age(3 * 3_600 - 300);
    await harness.cron();
    expect((await harness.rotate(old.id, { key, body })).body.data).toEqual(first.body.data);
    expect(await alive()).toEqual([old.id, first.body.data.id]);
    harness.age(301);
    await harness.cron();
    expect(await alive()).toEqual([first.body.data.id]);
  });

  it('gives it again for an hour where there is no overlap', async () => {
    const key = crypto.randomUUID();
    const body = { overlap: '0s' };
    const first = await harness.rotate(old.id, { key, body });
    harness.age(3_500);
    await harness.cron();
    expect((await harness.rotate(old.id, { key, body })).body.data).toEqual(first.body.data);
    harness.age(101);
    await harness.cron();
    expect(codeOf(await harness.rotate(old.id, { key, body }))).toEqual([409, 'not_rotatable']);
  });

  it('gives it again where the isolate died between the second trip and the answer', async () => {
    const key = crypto.randomUUID();
    let committed = false;
    // Whatever the isolate would have done after its second trip it does not do.
    const { db, sent } = failingBatches(
      (batch) => batch > 1,
      async (commit) => {
        if (sent() === 2) {
          await commit();
          committed = true;
        }
        return await new Promise<never>(() => {});
      },
    );
    const dying = await harness.over(db);
    void harness.rotate(old.id, { through: dying, key });
    await expect.poll(() => committed, { timeout: 5_000 }).toBe(true);
    const answer = await harness.rotate(old.id, { key });
    expect(answer.status, answer.text).toBe(201);
    const minted = (await harness.upstreamTokens()).find(({ id }) => id === answer.body.data.id);
    expect(answer.body.data.token).toBe(minted?.secret);
    expect((await harness.token(old.id)).replaced_by).toBe(answer.body.data.id);
  });

  it('is of one request: another token, another overlap or another lifetime is refused', async () => {
    const other = await harness.own();
    const key = crypto.randomUUID();
    await harness.rotate(old.id, { key });
    const reused = [422, 'idempotency_key_reused'];
    expect(codeOf(await harness.rotate(other.id, { key }))).toEqual(reused);
    expect(codeOf(await harness.rotate(old.id, { key, body: { overlap: '1h' } }))).toEqual(reused);
    expect(codeOf(await harness.rotate(old.id, { key, body: { expires_in: '1d' } }))).toEqual(reused);
    expect((await harness.token(other.id)).rotation_event_id).toBeNull();
    expect((await harness.rotate(other.id)).status).toBe(201);
    // A create with it is another request.
    const body = { name: 'deploy', scopes: ['api:read'] };
    const headers = { 'Idempotency-Key': key };
    expect((await harness.send('POST', TOKENS, { jwt: await harness.jwt(), body, headers })).status).toBe(201);
  });

  it('gives a leaver nothing again', async () => {
    const key = crypto.randomUUID();
    await harness.rotate(old.id, { key });
    await harness.offboard({ issuer: ISSUER, subject: harness.subject, mode: 'suspend' });
    expect(codeOf(await harness.rotate(old.id, { key }))).toEqual([403, 'subject_blocked']);
  });
});

describe('a hundred rotations at once of one token', () => {
  it('with keys of their own mint one', async () => {
    const second = await createRotatingHarness({ like: harness });
    const answers = await Promise.all(
      Array.from({ length: 100 }, async (_, n) => await harness.rotate(old.id, n % 2 === 0 ? {} : { through: second })),
    );
    const minted = answers.filter(({ status }) => status === 201);
    expect(minted).toHaveLength(1);
    const next = minted[0]?.body.data.id;
    for (const { status, body } of answers.filter((answer) => answer.status !== 201)) {
      expect([status, ['rotation_in_flight', 'not_rotatable'].includes(body.code)], body.message).toEqual([409, true]);
      expect(body.errors ?? { replaced_by: [next] }).toEqual({ replaced_by: [next] });
    }
    expect(await alive()).toEqual([old.id, next]);
    expect(await countOf(harness.subject)).toMatchObject({ live: 2, open: 0 });
    expect((await harness.token(old.id)).replaced_by).toBe(next);
    expect((await ordersOf(harness)).filter(({ cause }) => cause === 'rotation')).toHaveLength(1);
  });

  it('with one key mint one, and give its answer to whoever comes later', async () => {
    const key = crypto.randomUUID();
    const answers = await Promise.all(Array.from({ length: 40 }, async () => await harness.rotate(old.id, { key })));
    const minted = answers.filter(({ status }) => status === 201);
    expect(new Set(minted.map(({ body }) => body.data.token)).size).toBe(1);
    for (const answer of answers.filter(({ status }) => status !== 201)) {
      expect(codeOf(answer)).toEqual([409, 'idempotency_in_flight']);
    }
    expect((await harness.rotate(old.id, { key })).body.data).toEqual(minted[0]?.body.data);
    expect(await alive()).toHaveLength(2);
  });

  it('of a caller that was often denied in this minute mint one as well', async () => {
    for (let n = 0; n < 11; n += 1) await harness.rotate(`tok-${n}`);
    const answers = await Promise.all(Array.from({ length: 6 }, async () => await harness.rotate(old.id)));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(await alive()).toHaveLength(2);
    expect(await countOf(harness.subject)).toMatchObject({ live: 2, open: 0 });
  });
});

it('a stranger who asks for a rotation keeps nobody from one, even where its refusal is not settled', async () => {
  const { db } = failingBatches((batch) => batch > 1);
  const stranger = await harness.jwt('boss', { sub: 'boss' });
  const answer = await harness.rotate(old.id, { as: stranger, through: await harness.over(db) });
  expect(answer.status).toBe(503);
  expect((await harness.rotate(old.id)).status).toBe(201);
});

const MOMENTS = ['before trip 1', 'between trip 1 and PipeOps', 'between PipeOps and trip 2', 'after trip 2'] as const;
type Moment = (typeof MOMENTS)[number];
const BY = ['subject', 'label', 'former label'] as const;
const MODES = ['revoke', 'suspend'] as const;
/** Whom a block finds makes a difference to the batch that settles and to those after it; when it came before that, none. */
const OFFBOARDINGS = [
  ...MOMENTS.map((moment) => [moment, 'subject', 'revoke'] as const),
  ...MODES.flatMap((mode) =>
    BY.flatMap((by) =>
      MOMENTS.slice(2).map((moment): [Moment, (typeof BY)[number], typeof mode] => [moment, by, mode]),
    ),
  ).filter(([, by, mode]) => by !== 'subject' || mode !== 'revoke'),
] as const;

it.each(OFFBOARDINGS)(
  'offboarding %s, by %s with mode %s, leaves nothing of the leaver alive',
  async (moment, by, mode) => {
    const label = `alice-${harness.workspace}@example.com`;
    const labelled = await harness.jwt('owner', { email: label });
    const { id } = await harness.mint('labelled', labelled);
    // The caller carries another label by now than the one that its token was minted under.
    const as = by === 'former label' ? await harness.jwt('owner', { email: `other-${label}` }) : labelled;
    const whom = by === 'subject' ? { issuer: ISSUER, subject: harness.subject } : { label };
    const offboard = async () => await harness.offboard({ ...whom, mode });
    if (moment === 'before trip 1') await offboard();
    const through = moment.startsWith('between')
      ? await harness.slow(moment.endsWith('PipeOps') ? 'before' : 'after', offboard)
      : harness;
    const answer = await harness.rotate(id, { as, through });
    if (moment === 'after trip 2') await offboard();
    expect(codeOf(answer), answer.text).toEqual(
      moment === 'after trip 2' ? [201, undefined] : [403, 'subject_blocked'],
    );
    expect(await harness.rowOf(answer)).toMatchObject({ error_code: answer.body.code ?? null });
    await harness.settle();
    expect(await alive()).toEqual([]);
  },
);

it('a leaver whose tokens have no orders yet, since it has too many for one batch, gets no successor', async () => {
  const block = async () =>
    await env.DB.prepare(
      `insert into subject_blocks (issuer, subject, delivery_id, created_at) values (?, ?, 'none', 1)`,
    )
      .bind(ISSUER, harness.subject)
      .run();
  const answer = await harness.rotate(old.id, { through: await harness.slow('after', block) });
  expect(codeOf(answer)).toEqual([403, 'subject_blocked']);
  expect(await alive()).toEqual([old.id]);
});

it('the offboarding of whoever carries a label by now keeps nobody from rotating what was minted under it before', async () => {
  const label = `team-${harness.workspace}@example.com`;
  const { id } = await harness.mint('labelled', await harness.jwt('owner', { email: label }));
  const as = await harness.jwt('owner', { email: `alice-${label}` });
  await harness.send('GET', TOKENS, { jwt: as });
  await harness.send('GET', TOKENS, {
    jwt: await harness.jwt('owner', { email: label, sub: `bob-${harness.workspace}` }),
  });
  await harness.offboard({ label, mode: 'revoke' });
  const answer = await harness.rotate(id, { as });
  expect(answer.status, answer.text).toBe(201);
  await harness.settle();
  expect(await alive()).toEqual([old.id, id, answer.body.data.id]);
});

describe('no successor is alive of a token that, while it is minted,', () => {
  const pipeopsFails = async () =>
    await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'DELETE' }, status: 500 });
  const EVENTS: readonly (readonly [string, () => Promise<unknown>, readonly string[]])[] = [
    [
      'its owner revokes',
      async () => await harness.send('DELETE', `${TOKENS}/${old.id}`, { jwt: await harness.jwt() }),
      [],
    ],
    ['an administrator revokes', async () => await harness.send('DELETE', `${TOKENS}/${old.id}`), []],
    [
      'somebody orders by its id',
      async () => {
        await pipeopsFails();
        await harness.sendEvent('scanner', 'token.revoke', { token_id: old.id, workspace_uuid: harness.workspace });
      },
      [],
    ],
    [
      'leaks',
      async () => {
        await pipeopsFails();
        await harness.leak(old.token);
      },
      [],
    ],
    [
      'an administrator suspends',
      async () => await harness.send('PATCH', `${TOKENS}/${old.id}`, { body: { is_active: false } }),
      [],
    ],
    ['expires', async () => await harness.expire(old.id), ['old']],
    [
      'gets fewer scopes',
      async () =>
        await env.DB.prepare(`update tokens set scopes = '["api:none"]' where token_id = ?`).bind(old.id).run(),
      ['old'],
    ],
  ];
  it.each(EVENTS)('%s', async (_case, happens, left) => {
    const answer = await harness.rotate(old.id, { through: await harness.slow('after', happens) });
    expect(codeOf(answer), answer.text).toEqual([409, 'not_rotatable']);
    const row = await harness.rowOf(answer);
    expect(row).toMatchObject({ status: 'failure', error_code: 'not_rotatable' });
    expect((await harness.token(old.id)).replaced_by).toBeNull();
    await harness.settle();
    expect(await alive()).toEqual(left.map(() => old.id));
    expect(await countOf(harness.subject)).toMatchObject({ open: 0 });
  });

  it('an administrator revokes before PipeOps is asked', async () => {
    const revoke = async () => await harness.send('DELETE', `${TOKENS}/${old.id}`);
    expect(codeOf(await harness.rotate(old.id, { through: await harness.slow('before', revoke) }))).toEqual([
      409,
      'not_rotatable',
    ]);
    await harness.settle();
    expect(await alive()).toEqual([]);
  });

  it('somebody revokes just before the batch that settles it', async () => {
    // Trip 1, what counts the call to mint if it is not reserved, and then trip 2.
    const revoke = async () => await harness.send('DELETE', `${TOKENS}/${old.id}`);
    const answer = await harness.rotate(old.id, { through: await harness.over(interruptedBefore(2, revoke)) });
    expect(codeOf(answer), answer.text).toEqual([409, 'not_rotatable']);
    await harness.settle();
    expect(await alive()).toEqual([]);
  });
});
