import { env } from 'cloudflare:workers';
import { describe, expect, it } from 'vitest';
import { labelDigest } from '../../src/subjects/labels.ts';
import { ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { createCompany, jwtNow, list, namesIn, readsAt } from './isolates.ts';

// Two batches of an isolate's reads at D1 at once. What both write down is decided by their SQL, since D1 runs them one after another,
// in whatever order they come.

const WAYS = ['fails before', 'fails after', 'hangs before', 'hangs after'] as const;
type Way = (typeof WAYS)[number];

/** A D1 whose batches wait, from when it is told to hold them. */
function holdingD1() {
  const held: {
    readonly run: () => Promise<void>;
    /** D1 takes the batch. Its answer arrives when what this gives is called. */
    readonly commit: () => Promise<() => void>;
    readonly break: (way: Way) => Promise<void>;
  }[] = [];
  let isHolding = false;
  const db = new Proxy(env.DB, {
    get: (target, key) => {
      const value: unknown = Reflect.get(target, key);
      if (key !== 'batch') return typeof value === 'function' ? value.bind(target) : value;
      return async (statements: D1PreparedStatement[]) => {
        if (!isHolding) return await target.batch(statements);
        const { promise, resolve, reject } = Promise.withResolvers<D1Result[]>();
        const commit = async () => {
          const answer = await target.batch(statements);
          return () => resolve(answer);
        };
        held.push({
          run: async () => (await commit())(),
          commit,
          break: async (way) => {
            if (way.endsWith('after')) await target.batch(statements);
            if (way.startsWith('fails')) reject(new Error('injected'));
          },
        });
        return await promise;
      };
    },
  });
  const hold = (isHeld: boolean): void => {
    isHolding = isHeld;
  };
  const atD1 = async (count: number) => await expect.poll(() => held.length, { interval: 5 }).toBe(count);
  return { db, held, hold, atD1 };
}

/** An isolate that knows the list of its workspace, on a D1 that can be told to wait. */
async function setUp(prepare: (isolate: Harness) => Promise<unknown> = async (isolate) => await isolate.mint('one')) {
  const d1 = holdingD1();
  const deadlines: (() => void)[] = [];
  const company = await createCompany({
    db: d1.db,
    runtime: {
      timeout: () => {
        const controller = new AbortController();
        deadlines.push(() => controller.abort(new DOMException('deadline', 'TimeoutError')));
        return controller.signal;
      },
    },
  });
  const { first: isolate } = company;
  company.age(61 - ((isolate.runtime.now() / 1000) % 60));
  await prepare(isolate);
  await list(isolate);
  d1.hold(true);
  deadlines.length = 0;
  return { ...d1, company, isolate, deadlines };
}

const ORDERS = [
  ['in their order', [0, 1]],
  ['the later one first', [1, 0]],
] as const;
/** Of the subject that is named like the workspace. */
const currentLabel = async ({ workspace }: Harness) =>
  await env.DB.prepare(
    'select label_digest from subject_labels where issuer = ? and subject = ? order by last_seen_at desc limit 1',
  )
    .bind(ISSUER, workspace)
    .first<string>('label_digest');
const idOf = ({ headers }: Answer) => headers.get('X-Audit-Event-Id');
const counts = async ({ workspace }: Harness) =>
  (
    await env.DB.prepare(
      `select count from audit_events where workspace_uuid = ? and upstream_status is null
        and action = 'service_account_token.list' order by seq`,
    )
      .bind(workspace)
      .all<{ count: number }>()
  ).results.map(({ count }) => count);

describe.each(ORDERS)('two groups of reads, %s', (_order, order) => {
  it('are counted in one row, where they are alike', async () => {
    const { isolate, held, atD1 } = await setUp();
    const reads = [list(isolate)];
    await atD1(1);
    reads.push(list(isolate), list(isolate));
    await atD1(2);
    for (const index of order) await held[index]?.run();
    const answers = await Promise.all(reads);
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(new Set(answers.map(idOf)).size).toBe(1);
    expect(await counts(isolate)).toEqual([3]);
  });

  it('are of the current generation, or not answered from the list', async () => {
    const { company, isolate, held, hold, atD1 } = await setUp();
    const other = await company.another({ db: env.DB });
    const reads = [list(isolate)];
    await atD1(1);
    reads.push(list(isolate));
    await atD1(2);
    await other.mint('two');
    hold(false);
    for (const index of order) await held[index]?.run();
    const answers = await Promise.all(reads);
    expect(answers.map(namesIn)).toEqual([
      ['one', 'two'],
      ['one', 'two'],
    ]);
  });

  it('take one lease, and make one call', async () => {
    const { company, isolate, held, hold, atD1 } = await setUp();
    const before = (await readsAt(isolate)).length;
    company.age(16);
    const reads = [list(isolate)];
    await atD1(1);
    reads.push(list(isolate));
    await atD1(2);
    hold(false);
    for (const index of order) await held[index]?.run();
    expect((await Promise.all(reads)).map(({ status }) => status)).toEqual([200, 200]);
    expect(await readsAt(isolate)).toHaveLength(before + 1);
  });

  it('leave the label that their caller carries now', async () => {
    const { isolate, held, hold, atD1 } = await setUp();
    const labelled = async (email: string) =>
      await isolate.send('GET', TOKENS, { jwt: await jwtNow(isolate, 'admin', { sub: isolate.workspace, email }) });
    const reads = [labelled('old')];
    await atD1(1);
    reads.push(labelled('new'));
    await atD1(2);
    hold(false);
    for (const index of order) await held[index]?.run();
    await Promise.all(reads);
    // Where D1 had them in the other order, the next read sets that right.
    await labelled('new');
    expect(await currentLabel(isolate)).toBe(labelDigest('new'));
  });
});

it('a label is written again where D1 answered two batches in another order than it ran them', async () => {
  const { isolate, held, hold, atD1 } = await setUp();
  const labelled = async (email: string) =>
    await isolate.send('GET', TOKENS, { jwt: await jwtNow(isolate, 'admin', { sub: isolate.workspace, email }) });
  const reads = [labelled('old')];
  await atD1(1);
  reads.push(labelled('new'));
  await atD1(2);
  hold(false);
  const answered = () => isolate.lines.filter(({ event }) => event === 'request').length;
  const before = answered();
  const answerNew = await held[1]?.commit();
  await held[0]?.run();
  await expect.poll(answered, { interval: 5 }).toBe(before + 1);
  answerNew?.();
  await Promise.all(reads);
  await labelled('new');
  expect(await currentLabel(isolate)).toBe(labelDigest('new'));
});

describe.each(WAYS)('the group that overtook %s', (way) => {
  it('and its reads are answered with their row, or with audit_unavailable; the one before it is answered', async () => {
    const { isolate, held, hold, atD1, deadlines } = await setUp();
    const first = list(isolate);
    await atD1(1);
    const others = ['a', 'b', 'c'].map(
      async (sub) => await isolate.send('GET', TOKENS, { jwt: await jwtNow(isolate, 'admin', { sub }) }),
    );
    await atD1(2);
    hold(false);
    await held[1]?.break(way);
    if (way.startsWith('hangs')) deadlines.at(-1)?.();
    await held[0]?.run();
    const answers = await Promise.all(others);
    expect((await first).status).toBe(200);
    const outcomes = await Promise.all(
      answers.map(async (answer) => ({
        status: answer.status,
        code: answer.body.code as string | undefined,
        row: await env.DB.prepare('select status from audit_events where id = ?').bind(idOf(answer)).first('status'),
      })),
    );
    for (const outcome of outcomes) {
      expect([
        { status: 200, code: undefined, row: 'success' },
        { status: 503, code: 'audit_unavailable', row: null },
      ]).toContainEqual(outcome);
    }
    // D1 answers again: so does everybody.
    expect((await list(isolate)).status).toBe(200);
  });
});

it('a generation that is owed is raised by every batch that goes before D1 has answered one', async () => {
  const { company, isolate, held, hold, atD1 } = await setUp();
  const other = await company.another({ db: env.DB });
  const before = await list(other);
  // The revoke's second batch fails each time: PipeOps has revoked, and D1 does not know.
  const id = before.body.data.tokens[0].id as string;
  const revoke = isolate.send('DELETE', `${TOKENS}/${id}`);
  await atD1(1);
  await held[0]?.run();
  for (let batch = 1; batch <= 3; batch += 1) {
    await expect.poll(() => held.length).toBeGreaterThan(batch);
    await held[batch]?.break('fails before');
  }
  expect((await revoke).body.code).toBe('outcome_unknown');
  const waiting = held.length;
  const reads = [list(isolate)];
  await atD1(waiting + 1);
  reads.push(list(isolate));
  await atD1(waiting + 2);
  hold(false);
  for (const batch of [held[waiting + 1], held[waiting]]) await batch?.run();
  for (const answer of await Promise.all(reads)) {
    expect(answer.body.data.tokens).toMatchObject([{ id, is_revoked: true }]);
  }
});
