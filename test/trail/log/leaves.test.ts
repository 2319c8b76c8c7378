import { describe, expect, it } from 'vitest';
import type { AuditEventRow } from '../../../src/db/schema.ts';
import { leafHash } from '../../../src/tlog/merkle.ts';
import { entryOfRow } from '../../../src/trail/log/facts.ts';
import { assign, type Awaits, factOf, nextOf } from '../../../src/trail/log/leaves.ts';
import type { FactKind } from '../../../src/vocabulary.ts';
import { countedRow, finalRow, openAttempt } from './rig.ts';

// Which leaf an event gets, and when. A fact that is sealed too early would change after it was signed.

const CASES: readonly [string, AuditEventRow, Awaits | null, FactKind | null, Awaits | null][] = [
  ['an event that is over', finalRow(), null, 'final', null],
  ['an open attempt', openAttempt(), null, 'recorded', 'settlement'],
  ['an open attempt that is sealed', openAttempt(), 'settlement', null, 'settlement'],
  ['an attempt that was settled since', finalRow(), 'settlement', 'settled', null],
  ['an event whose leaf was lost', finalRow(), 'leaf', 'final', null],
  ['an open attempt whose leaf was lost', openAttempt(), 'leaf', 'recorded', 'settlement'],
  ['a row that counts', countedRow(), null, null, 'close'],
  ['a row that counts still', countedRow(), 'close', null, 'close'],
  ['a row that counted', countedRow({ closed_at: 9 }), 'close', 'counted', null],
  ['a row that counted, whose leaf was lost', countedRow({ closed_at: 9 }), 'leaf', 'counted', null],
];

describe('the log says', () => {
  it.each(CASES)('of %s what does not change any more', (_case, row, awaits, fact, next) => {
    expect(factOf({ row, awaits })).toBe(fact);
    expect(nextOf({ row, awaits }, fact)).toBe(next);
  });
});

it('a chunk adds a leaf for each event that has something to say, and no other', () => {
  const candidates = CASES.map(([, row, awaits], index) => ({ row: { ...row, seq: index + 1 }, awaits }));
  const { leaves, hashes, over, waiting, unauthentic } = assign(candidates, ({ seq }) => seq !== 5);
  const expected = CASES.flatMap(([, row, , fact], index) => {
    if (fact === null) return [];
    const hash = leafHash(entryOfRow(fact, { ...row, seq: index + 1 }, index + 1 !== 5));
    return [{ kind: fact, seq: index + 1, hash, authentic: index + 1 === 5 ? 0 : 1 }];
  });
  expect(leaves).toEqual(
    expected.map(({ hash, ...leaf }) => ({ ...leaf, hash: Buffer.from(hash).toString('base64') })),
  );
  expect(hashes).toEqual(expected.map(({ hash }) => hash));
  expect(over).toEqual([4, 5, 6, 9, 10]);
  expect(waiting).toEqual([
    { seq: 2, awaits: 'settlement' },
    { seq: 6, awaits: 'settlement' },
    { seq: 7, awaits: 'close' },
  ]);
  expect(unauthentic).toEqual([candidates[4]?.row.id]);
});
