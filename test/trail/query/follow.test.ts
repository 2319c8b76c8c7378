import { env } from 'cloudflare:workers';
import { beforeAll, describe, expect, it } from 'vitest';
import { AUDIT_UNFINISHED_MS } from '../../../src/config/limits.ts';
import { createDatabase } from '../../../src/db/database.ts';
import { newTrace } from '../../../src/kit/trace.ts';
import { type EventFilter, NO_FILTER } from '../../../src/trail/query/filter.ts';
import { selectEnds } from '../../../src/trail/query/follow.ts';
import { workerRuntime } from '../../../src/worker-runtime.ts';
import { insertRows, OPEN } from './trail.ts';

const NOW_MS = Date.UTC(2026, 0, 1);
const database = createDatabase(env.DB, workerRuntime);
const [TOO_OLD, TOO_EARLY, FIRST, SECOND, SETTLED] = [1, 2, 3, 4, 5];

beforeAll(async () => {
  const open = { ...OPEN, occurred_at: NOW_MS, token_id: 'first' } as const;
  await insertRows([
    { ...open, occurred_at: NOW_MS - AUDIT_UNFINISHED_MS },
    { ...open, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS },
    { ...open, occurred_at: NOW_MS - AUDIT_UNFINISHED_MS + 1 },
    { ...open, occurred_at: NOW_MS + AUDIT_UNFINISHED_MS - 1, token_id: 'second' },
    { occurred_at: NOW_MS },
  ]);
});

describe('the first open attempt that is waited for', () => {
  it.each<[string, Partial<EventFilter>, number, number | null]>([
    ['is neither too old nor of a clock that ran ahead', {}, 0, FIRST],
    ['lies behind those', {}, TOO_OLD, FIRST],
    ['lies behind the last of those', {}, TOO_EARLY, FIRST],
    ['lies behind where the page begins', {}, FIRST, SECOND],
    ['is not there, where the page begins at the last', {}, SECOND, null],
    ['is one that may come to match', { tokenId: 'second' }, 0, SECOND],
    ['is not there, where none may come to match', { tokenId: 'third' }, 0, null],
  ])('%s', async (_name, filter, afterSeq, openSeq) => {
    const query = selectEnds(database, { ...NO_FILTER, ...filter }, afterSeq, NOW_MS);
    const read = await database.batch({ trace: newTrace() }, [query]);
    expect(read.ok && read.value[0]).toEqual([{ newest_seq: SETTLED, open_seq: openSeq }]);
  });
});
