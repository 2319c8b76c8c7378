import { env } from 'cloudflare:workers';
import { beforeEach, describe, expect, it } from 'vitest';
import { LABEL_NOTE_MS, LABEL_NOTES_MAX_COUNT } from '../../src/config/limits.ts';
import { createLabelMemory, labelDigest } from '../../src/subjects/labels.ts';
import { failingBatches } from '../support/failing-batches.ts';
import { createHarness, ISSUER, TOKENS, type Harness, type HarnessOptions } from '../support/harness.ts';

// Who carries which label is kept up by what callers do anyway: no trip to D1 is made for it.

let subject: string;
let nowMs: number;
beforeEach(() => {
  subject = `alice-${crypto.randomUUID()}`;
  nowMs = Date.now();
});

const createIsolate = async (options: HarnessOptions = {}): Promise<Harness> =>
  await createHarness({ ...options, runtime: { now: () => nowMs, ...options.runtime } });
/** A JWT that was issued just now, whatever the clock of the test says. */
const jwtOf = async (harness: Harness, email: string | null, role = 'admin') => {
  const iat = Math.floor(nowMs / 1000);
  return await harness.jwtFor(role, { sub: subject, iat, exp: iat + 300, ...(email !== null && { email }) });
};
const mutate = async (harness: Harness, email: string | null) =>
  await harness.send('PATCH', `${TOKENS}/unknown`, { jwt: await jwtOf(harness, email), body: { name: 'renamed' } });
const READS = {
  list: TOKENS,
  get: `${TOKENS}/unknown`,
  'audit query': '/api/v1/audit/events?limit=1',
  'audit event': `/api/v1/audit/events/${crypto.randomUUID()}`,
  deliveries: '/api/v1/webhooks/deliveries',
};
const read = async (harness: Harness, email: string | null, path: string = READS.list) =>
  await harness.send('GET', path, { jwt: await jwtOf(harness, email) });

interface LabelRow {
  readonly label_digest: string;
  readonly first_seen_at: number;
  readonly last_seen_at: number;
}
const labels = async (): Promise<LabelRow[]> =>
  (
    await env.DB.prepare('select * from subject_labels where issuer = ? and subject = ? order by last_seen_at')
      .bind(ISSUER, subject)
      .all<LabelRow>()
  ).results;
const currentLabel = async () => (await labels()).at(-1)?.label_digest;
const trips = (harness: Harness) => harness.lines.findLast((line) => 'd1_trips' in line)?.['d1_trips'];

describe('a mutation', () => {
  it('writes its caller’s label only where it is not the current one', async () => {
    const harness = await createIsolate();
    const atMs = nowMs;
    await mutate(harness, 'Old@acme.example');
    nowMs += 5_000;
    await mutate(harness, 'old@ACME.example');
    expect(await labels()).toMatchObject([
      { label_digest: labelDigest('old@acme.example'), first_seen_at: atMs, last_seen_at: atMs },
    ]);
    await mutate(harness, 'new@acme.example');
    expect(await currentLabel()).toBe(labelDigest('new@acme.example'));
    nowMs += 5_000;
    await mutate(harness, 'old@acme.example');
    expect(await labels()).toMatchObject([
      { label_digest: labelDigest('new@acme.example'), first_seen_at: atMs + 5_000, last_seen_at: atMs + 5_000 },
      { label_digest: labelDigest('old@acme.example'), first_seen_at: atMs, last_seen_at: atMs + 10_000 },
    ]);
  });

  it('tells the later label from the earlier, also where the clock stands or jumps back', async () => {
    const harness = await createIsolate();
    const said = ['one', 'two', 'three', 'one', 'two'];
    for (const [index, label] of said.entries()) {
      // The clock of the test stands, then jumps back.
      if (index === 3) nowMs -= 3_600_000;
      await mutate(harness, label);
      expect(await currentLabel()).toBe(labelDigest(label));
    }
    expect(await labels()).toHaveLength(3);
    const times = (await labels()).map(({ last_seen_at }) => last_seen_at);
    expect(new Set(times).size).toBe(3);
  });

  it('writes nothing of a caller without a label, whose last one stays', async () => {
    const harness = await createIsolate();
    await mutate(harness, null);
    expect(await labels()).toEqual([]);
    await mutate(harness, 'one');
    await mutate(harness, null);
    expect(await labels()).toHaveLength(1);
  });

  it('makes no trip for the label', async () => {
    const harness = await createIsolate();
    await mutate(harness, 'one');
    const before = trips(harness);
    await mutate(harness, 'two');
    expect([before, trips(harness)]).toEqual([2, 2]);
  });
});

describe.each(Object.entries(READS))('a read: %s', (_name, path) => {
  it('brings its caller’s label with the row that it writes, without a trip of its own', async () => {
    const [harness, other] = [await createIsolate(), await createIsolate()];
    await read(harness, 'one', path);
    expect(await currentLabel()).toBe(labelDigest('one'));
    const withLabel = trips(harness);
    await read(other, null, path);
    expect(withLabel).toBe(trips(other));
  });
});

describe('a read', () => {
  it('brings the label again after ten minutes, or once it differs', async () => {
    const harness = await createIsolate();
    await read(harness, 'one');
    // Another isolate has seen another label since.
    await mutate(await createIsolate(), 'two');
    nowMs += LABEL_NOTE_MS - 1;
    await read(harness, 'one');
    expect(await currentLabel()).toBe(labelDigest('two'));
    nowMs += 1;
    await read(harness, 'one');
    expect(await currentLabel()).toBe(labelDigest('one'));
    await read(harness, 'three');
    expect(await currentLabel()).toBe(labelDigest('three'));
  });

  it('brings it again where D1 did not take it', async () => {
    let fails = true;
    const { db } = failingBatches(() => fails);
    const harness = await createIsolate({ db });
    expect((await read(harness, 'one')).status).toBe(503);
    expect((await read(harness, 'one', READS['audit query'])).status).toBe(503);
    expect(await labels()).toEqual([]);
    fails = false;
    await read(harness, 'one');
    expect(await currentLabel()).toBe(labelDigest('one'));
  });

  it('notes one label for each caller of a group, the last one', async () => {
    const harness = await createIsolate();
    const said = ['one', 'two', 'three', 'four'];
    await Promise.all(said.map(async (label) => await read(harness, label)));
    expect(said.map(labelDigest)).toContain(await currentLabel());
    const times = (await labels()).map(({ last_seen_at }) => last_seen_at);
    expect(new Set(times).size).toBe(times.length);
  });
});

it('a stranger with a good JWT carries no label here', async () => {
  const harness = await createIsolate();
  const jwt = await jwtOf(harness, 'one', 'nobody');
  expect((await harness.send('GET', TOKENS, { jwt })).status).toBe(403);
  expect(await labels()).toEqual([]);
});

it('an isolate remembers the callers that came last', () => {
  const memory = createLabelMemory();
  const noteOf = (index: number) => ({ issuer: 'i', subject: `s-${index}`, label: 'l' });
  for (let index = 0; index <= LABEL_NOTES_MAX_COUNT; index += 1) memory.noted([noteOf(index)], 0);
  expect(memory.due([noteOf(0), noteOf(1), noteOf(LABEL_NOTES_MAX_COUNT)], 1)).toEqual([noteOf(0)]);
  memory.forget([noteOf(1)]);
  expect(memory.due([noteOf(1)], 1)).toEqual([noteOf(1)]);
  expect(memory.due([{ ...noteOf(2), label: null }], 1)).toEqual([]);
});
