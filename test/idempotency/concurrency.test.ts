import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS } from '../support/harness.ts';
import { create, creates, live, newKey, outcomeOf, posts } from './harness.ts';

// Identical creates are sent at once, through one isolate and through two.

describe.each([2, 20])('%i identical creates at once', (count) => {
  it.each([
    ['one isolate', 1],
    ['two isolates', 2],
  ])('mint once: %s', async (_case, isolates) => {
    const first = await createHarness();
    const second = await createHarness({ like: first });
    const key = newKey();
    const answers = await Promise.all(
      Array.from({ length: count }, async (_, n) => await create(n % isolates === 0 ? first : second, key)),
    );
    expect(await posts(first)).toBe(1);
    const [id] = await live(first);
    expect(await live(first)).toEqual([id]);

    const minted = answers.filter(({ status }) => status === 201);
    expect(minted.filter(({ headers }) => headers.get('Idempotency-Replayed') === null)).toHaveLength(1);
    for (const { body } of minted) expect(body.data).toEqual(minted[0]?.body.data);
    for (const { status, body } of answers.filter((answer) => answer.status !== 201)) {
      expect([status, body.code]).toEqual([409, 'idempotency_in_flight']);
    }

    const rows = await creates(first);
    expect(rows).toHaveLength(count);
    const holder = rows.find((row) => row.status === 'success' && row.upstream_status !== null);
    for (const row of rows.filter(({ id: rowId }) => rowId !== holder?.id)) {
      expect(outcomeOf(row)).toMatchObject({ idempotent_of: holder?.id });
    }
    // Whoever was told to come back gets the answer then.
    expect((await create(second, key)).body.data).toEqual(minted[0]?.body.data);
  });
});

it('while the first is under way, the second is told its event id, and asks PipeOps for nothing', async () => {
  const first = await createHarness();
  const key = newKey();
  await first.control.fault({ match: { workspace_uuid: first.workspace, method: 'POST' }, delay_ms: 1_500 });
  const slow = create(first, key);
  await expect.poll(async () => await posts(first)).toBe(1);
  const answer = await create(await createHarness({ like: first }), key);
  expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_in_flight']);
  expect(answer.headers.get('Retry-After')).toBe('5');
  const minted = await slow;
  expect(minted.status).toBe(201);
  const firstId = minted.headers.get('X-Audit-Event-Id');
  expect(answer.body.errors['Idempotency-Key'][0]).toContain(firstId);
  expect(answer.body.event_id).not.toBe(firstId);
  expect(answer.headers.get('X-Audit-Event-Id')).toBe(answer.body.event_id);
  const own = (await creates(first)).find(({ id }) => id === answer.body.event_id);
  expect(own).toMatchObject({ status: 'failure', error_code: 'idempotency_in_flight' });
  expect(outcomeOf(own)).toEqual({ idempotent_of: firstId });
  expect(await posts(first)).toBe(1);
});

it('different keys at once mint each', async () => {
  const harness = await createHarness();
  await Promise.all(Array.from({ length: 5 }, async () => await create(harness, newKey())));
  expect(await live(harness)).toHaveLength(5);
  expect((await harness.send('GET', TOKENS)).body.data.total).toBe(5);
});
