import { beforeAll, describe, expect, it } from 'vitest';
import { createHarness, type Harness } from '../../support/harness.ts';
import { newWorkspace, spellingsOf, storedSpellingsOf } from '../../support/spellings.ts';
import { insertRows, meteredD1 } from './trail.ts';

// The trail keeps each spelling that was written, and a filter finds all of them.

const EVENTS = '/api/v1/audit/events';
const WORKSPACE = newWorkspace();
const OTHER = newWorkspace();
const BEGIN_MS = Date.UTC(2026, 0, 15);
/** 2^12 spellings in two halves, as many as a caller could make up. */
const MADE_UP = Array.from({ length: 300 }, (_item, index) =>
  WORKSPACE.split('')
    .map((character, place) => ((index >> (place % 12)) & 1 ? character.toUpperCase() : character))
    .join(''),
);
const WRITTEN = [WORKSPACE, ...Object.values(storedSpellingsOf(WORKSPACE)), WORKSPACE, ...MADE_UP];

const { db, batches } = meteredD1();
let harness: Harness;
let seqs: number[];
beforeAll(async () => {
  harness = await createHarness({ db });
  const all = await insertRows(
    WRITTEN.flatMap((workspace_uuid, index) => [
      {
        workspace_uuid,
        token_id: `tok-${index % 2}`,
        action: index % 3 === 0 ? 'service_account_token.create' : 'service_account_token.get',
        occurred_at: BEGIN_MS + index * 1_000,
      },
      { workspace_uuid: OTHER, occurred_at: BEGIN_MS + index * 1_000 },
      { workspace_uuid: null, occurred_at: BEGIN_MS + index * 1_000 },
    ]),
  );
  seqs = all.filter((_seq, index) => index % 3 === 0);
});

const ask = async (parameters: Readonly<Record<string, string>>) => {
  batches.length = 0;
  const answer = await harness.send('GET', `${EVENTS}?${new URLSearchParams(parameters).toString()}`);
  expect(answer.status, answer.text).toBe(200);
  const events = (answer.body.data as { seq: number; workspace_uuid: string; action: string }[]).filter(
    ({ action }) => action !== 'audit.query',
  );
  return { events, next: answer.body.pagination?.next_cursor as string | null };
};

describe('a filter by workspace', () => {
  it.each(Object.entries({ 'as it is': WORKSPACE, ...spellingsOf(WORKSPACE) }))(
    'finds every spelling, as it was written: asked for %s',
    async (_name, workspace_uuid) => {
      const shown = await ask({ workspace_uuid, limit: '100', order: 'asc' });
      expect(shown.events.map(({ seq }) => seq)).toEqual(seqs.slice(0, 100));
      expect(shown.events.map((event) => event.workspace_uuid)).toEqual(WRITTEN.slice(0, 100));
    },
  );

  it.each(['asc', 'desc'])('gives each once, page by page: %s', async (order) => {
    const found: number[] = [];
    const read = async (cursor: string | null): Promise<void> => {
      const page = await ask({ workspace_uuid: WORKSPACE, limit: '70', order, ...(cursor !== null && { cursor }) });
      found.push(...page.events.map(({ seq }) => seq));
      if (page.next !== null && page.events.length > 0) await read(page.next);
    };
    await read(null);
    expect(found).toEqual(order === 'asc' ? seqs : seqs.toReversed());
  });

  it.each([
    ['an action', { action: 'service_account_token.create' }, (index: number) => index % 3 === 0],
    ['a token', { token_id: 'tok-1' }, (index: number) => index % 2 === 1],
    [
      'times',
      { from: new Date(BEGIN_MS + 3_000).toISOString(), to: new Date(BEGIN_MS + 50_000).toISOString() },
      (index: number) => index >= 3 && index < 50,
    ],
    ['a status', { status: 'failure' }, () => false],
    ['whoever asks', { actor: 'me' }, () => false],
  ])('goes with %s', async (_name, others, isWanted) => {
    const shown = await ask({ workspace_uuid: WORKSPACE.toUpperCase(), limit: '100', order: 'asc', ...others });
    const wanted = seqs.filter((_seq, index) => isWanted(index)).slice(0, 100);
    expect(shown.events.map(({ seq }) => seq)).toEqual(wanted);
  });

  it.each([
    ['first', {}],
    ['oldest', { order: 'asc' }],
  ])('reads no more than it shows and ten for each of the two indexes: %s', async (_page, others) => {
    await ask({ workspace_uuid: WORKSPACE, limit: '50', ...others });
    const [reads] = batches.map(({ rowsRead }) => rowsRead.slice(1, -1));
    expect(reads!.reduce((sum, rows) => sum + rows, 0)).toBeLessThanOrEqual(2 * 50 + 10);
  });

  it('finds nothing of another workspace, in whatever spelling', async () => {
    expect((await ask({ workspace_uuid: newWorkspace(), limit: '100' })).events).toEqual([]);
    const other = await ask({ workspace_uuid: OTHER.toUpperCase(), limit: '100' });
    expect(new Set(other.events.map((event) => event.workspace_uuid))).toEqual(new Set([OTHER]));
  });

  it('is in the trail in the one spelling', async () => {
    const asked = await harness.send('GET', `${EVENTS}?workspace_uuid=${WORKSPACE.toUpperCase()}&limit=1`);
    const row = await harness.send('GET', `${EVENTS}/${asked.headers.get('X-Audit-Event-Id')}`);
    expect(row.body.data).toMatchObject({ action: 'audit.query', workspace_uuid: WORKSPACE });
  });

  it('of an export finds every spelling too', async () => {
    const file = await harness.send('GET', `/api/v1/audit/export?workspace_uuid=urn:uuid:${WORKSPACE}&format=ndjson`);
    const lines = file.text
      .trim()
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as { seq: number });
    expect(lines.map(({ seq }) => seq).filter((seq) => seqs.includes(seq))).toEqual(seqs);
  });

  it.each(['', 'a b', '{shop}', 'urn:uuid:shop', `(${WORKSPACE})`, 'a/b'])(
    'that is no id is refused: %j',
    async (text) => {
      const answer = await harness.send('GET', `${EVENTS}?${new URLSearchParams({ workspace_uuid: text }).toString()}`);
      expect(answer.status).toBe(400);
      expect(answer.body.errors.workspace_uuid[0]).toMatch(
        /^Use the id of a workspace: a UUID, in any case and with or without hyphens, or up to 128 /,
      );
    },
  );
});

it('the reading of an event stands beside those of its workspace', async () => {
  const { events } = await ask({ workspace_uuid: WORKSPACE, order: 'asc', limit: '2' });
  const written = events[1] as unknown as { id: string; workspace_uuid: string };
  const reading = await harness.send('GET', `${EVENTS}/${written.id}`);
  expect(reading.body.data.workspace_uuid).toBe(WORKSPACE.toUpperCase());
  const row = await harness.send('GET', `${EVENTS}/${reading.headers.get('X-Audit-Event-Id')}`);
  expect(row.body.data.workspace_uuid).toBe(WORKSPACE);
});
