import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { momentOf } from '../../console/views/activity/moments.ts';
import {
  CLOSED_LISTS,
  FILTERS,
  type FilterName,
  filterOf,
  parseQuestion,
  printTerms,
  queryOfDetail,
  READS,
  type Term,
  withTerm,
} from '../../console/views/activity/question.ts';
import { placeOf, placePath, questionPath, withoutRange, withRange } from '../../console/views/activity/place.ts';
import { SAVED, SAVED_OF_ONES_OWN } from '../../console/views/activity/saved.ts';
import { suggestionsAt, take } from '../../console/views/activity/suggestions.ts';
import type { AuditEvent } from '../../package/client/types.ts';
import { FILTER_PARAMETERS } from '../../src/trail/query/filter.ts';

const NOW = Date.UTC(2026, 10, 28, 12);
const ALL = { showsReads: true, isOwn: false, nowMs: NOW };
const filterFor = (typed: string, asked = ALL) => filterOf(parseQuestion(typed).terms, asked);

describe('a question', () => {
  it('may name every filter of the API, by the short name and by that of the wire', () => {
    expect(FILTERS.map(({ parameter }) => parameter).toSorted()).toEqual([...FILTER_PARAMETERS].toSorted());
    for (const { name, parameter } of FILTERS) {
      const value = CLOSED_LISTS[name]?.[0] ?? '24h';
      expect(parseQuestion(`${parameter}:${value}`)).toEqual(parseQuestion(`${name}:${value}`));
      expect(parseQuestion(`${name}:${value}`)).toEqual({ terms: [{ name, value }], problems: [] });
    }
  });

  it.each<[string, object]>([
    ['', {}],
    ['  status:failure   code:forbidden ', { status: 'failure', code: 'forbidden' }],
    ['action:audit.query,audit.export', { action: ['audit.query', 'audit.export'] }],
    ['-action:audit.* action:!auth.reject', { action: ['!audit.*', '!auth.reject'] }],
    ['actor:"Kim \\"K\\" Doe"', { actor: 'Kim "K" Doe' }],
    ['actor:https://issuer.example|kim', { actor: 'https://issuer.example|kim' }],
    ['name:"deploy of the shop" ip:::1', { token_name: 'deploy of the shop', ip: '::1' }],
    [
      'token:a workspace:b request:c policy:d prefix:e',
      { token_id: 'a', workspace_uuid: 'b', request_id: 'c', policy_version: 'd', token_prefix: 'e' },
    ],
    ['from:24h', { from: '2026-11-27T12:00:00.000Z' }],
    ['from:2026-11-01 to:2026-11-02', { from: '2026-11-01T00:00:00.000Z', to: '2026-11-03T00:00:00.000Z' }],
    ['from:2026-11-01T10:00:00+02:00', { from: '2026-11-01T08:00:00.000Z' }],
  ])('is the filter of the API: %s', (typed, filter) => {
    expect(parseQuestion(typed).problems).toEqual([]);
    expect(filterFor(typed)).toEqual(filter);
  });

  it.each([
    ['linus', 'actor:linus or name:linus'],
    ['acton:x', 'There is no filter “acton”'],
    ['status:', '“status:” lacks a value'],
    ['status:done', '“done” is no status.'],
    ['code:forbid', 'Did you mean forbidden?'],
    ['type:User', '“User” is no type.'],
    ['action:create', 'Did you mean service_account_token.create?'],
    ['action:audit.query,nope', '“nope” is no action.'],
    ['-status:failure', 'Only actions can be left out'],
    ['-action:!audit.*', 'say the same'],
    ['status:failure status:success', '“status” stands there twice'],
    ['from:yesterday', '“yesterday” is no time'],
    ['from:2026-02-30', '“2026-02-30” is no time'],
  ])('that is not understood is answered in a sentence: %s', (typed, words) => {
    const { problems } = parseQuestion(typed);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(words);
    expect(problems[0]).toMatch(/[.?]$/);
  });

  it.each(['sat_a1B2c3D4e5F6g7H8', 'name:sat_a1B2c3D4e5F6g7H8 ip:::1', 'eyJhbGciOiJFUzI1NiJ9.e30.x'])(
    'with a secret asks for nothing, and does not repeat it: %s',
    (typed) => {
      expect(parseQuestion(typed)).toEqual({ terms: [], problems: [expect.stringContaining('held a secret')] });
      expect(JSON.stringify(placeOf(new URLSearchParams({ q: typed })))).not.toMatch(/sat_|eyJ/);
    },
  );

  it('hides reads, unless it names actions or asks for them', () => {
    const hidden = READS.map((action) => `!${action}`);
    const quiet = { ...ALL, showsReads: false };
    expect(filterFor('status:failure', quiet)).toEqual({ status: 'failure', action: hidden });
    expect(filterFor('-action:audit.query', quiet)).toEqual({
      action: ['!audit.query', ...hidden.filter((one) => one !== '!audit.query')],
    });
    expect(filterFor('action:audit.*', quiet)).toEqual({ action: ['audit.*'] });
    expect(filterFor('', ALL)).toEqual({});
  });

  it('is about oneself for whoever may ask about nobody else', () => {
    expect(filterFor('actor:kim', { ...ALL, isOwn: true })).toEqual({ actor: 'me' });
  });

  it.each([...SAVED, ...SAVED_OF_ONES_OWN])('that is saved is understood: $title', ({ query }) => {
    expect(parseQuestion(query).problems).toEqual([]);
    expect(printTerms(parseQuestion(query).terms).replaceAll(' action:', ',')).toBe(query.replaceAll(' action:', ','));
  });

  it('of others is told by the row that it left', () => {
    const row = {
      detail: { limit: 50, actor: 'kim', action: READS.map((one) => `!${one}`) },
      token_id: 't',
      workspace_uuid: null,
    };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- only these fields are read
    expect(queryOfDetail(row as unknown as AuditEvent)).toBe('actor:kim token:t');
  });
});

const freeNames = [
  'actor',
  'scope',
  'token',
  'name',
  'prefix',
  'workspace',
  'role',
  'policy',
  'request',
  'ip',
] as const satisfies readonly FilterName[];
const term = fc.oneof(
  fc.record({ name: fc.constantFrom(...freeNames), value: fc.string({ unit: 'grapheme', minLength: 1 }) }),
  fc.record({
    name: fc.constantFrom(...freeNames),
    value: fc.string({ unit: fc.constantFrom('"', '\\', ' ', ':', 'a', '\n'), minLength: 1 }),
  }),
  fc.record({ name: fc.constant('code' as const), value: fc.constantFrom(...(CLOSED_LISTS.code ?? [])) }),
);
const manyTerms: fc.Arbitrary<readonly Term[]> = fc
  .tuple(
    fc.uniqueArray(term, { selector: ({ name }) => name }),
    fc.array(fc.record({ isNegated: fc.boolean(), value: fc.constantFrom(...(CLOSED_LISTS.action ?? [])) })),
  )
  .map(([others, actions]) => [
    ...actions.map(({ isNegated, value }) => ({ name: 'action' as const, value: `${isNegated ? '!' : ''}${value}` })),
    ...others,
  ]);

describe('what is printed', () => {
  it('is read as the same terms', () => {
    fc.assert(
      fc.property(manyTerms, (given) => {
        expect(parseQuestion(printTerms(given))).toEqual({ terms: given, problems: [] });
      }),
    );
  });

  it('is never made of what was not understood, whatever is typed', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('"', '\\', ' ', ':', '-', '!', 'a', 'ip:', 'actor:', 'action:') }),
        (typed) => {
          const read = parseQuestion(typed).terms;
          expect(parseQuestion(printTerms(read)).terms).toEqual(read);
        },
      ),
    );
  });

  it('has one value of a name that is set, and none of one that is taken away', () => {
    const before = parseQuestion('actor:kim from:7d').terms;
    expect(printTerms(withTerm(before, 'from', '24h'))).toBe('actor:kim from:24h');
    expect(printTerms(withTerm(before, 'actor', null))).toBe('from:7d');
  });
});

describe('what is suggested', () => {
  const at = (typed: string, known = {}) => {
    const caret = typed.indexOf('^');
    const text = typed.replace('^', '');
    return suggestionsAt(text, caret === -1 ? text.length : caret, known);
  };
  const textsOf = (typed: string, known = {}) => at(typed, known).suggestions.map(({ text }) => text);

  it.each<[string, readonly string[]]>([
    ['st', ['status:']],
    ['token_', ['token:', 'name:', 'prefix:']],
    ['-', ['-action:']],
    ['linus', ['actor:linus', 'name:linus', 'scope:linus']],
    ['status:', ['status:attempted', 'status:success', 'status:failure']],
    ['status:f', ['status:failure']],
    ['code:role', ['code:no_role']],
    ['action:subject.b', ['action:subject.block']],
    ['action:audit.query,subject.b', ['action:audit.query,subject.block']],
    ['action:!subject.b', ['action:!subject.block']],
    ['-action:subject.b', ['-action:subject.block']],
    ['status:failure from:', ['from:1h', 'from:24h', 'from:7d', 'from:30d']],
    ['nothing:', []],
    ['stat^us:failure code:x', ['status:']],
  ])('of %s', (typed, expected) => {
    expect(textsOf(typed)).toEqual(expected);
  });

  it('of nothing are the names of all filters, as many as are read', () => {
    expect(textsOf('')).toHaveLength(12);
    expect(textsOf('')[0]).toBe('action:');
  });

  it('are values that are known, in quotes where they need them', () => {
    expect(textsOf('actor:k', { actor: ['me', 'kim', 'Kim Doe', 'ak'] })).toEqual([
      'actor:kim',
      'actor:"Kim Doe"',
      'actor:ak',
    ]);
    expect(textsOf('actor:kim', { actor: ['kim'] })).toEqual([]);
  });

  it.each([
    ['stat', 'status:', 'status:', 7],
    ['status:f', 'status:failure', 'status:failure ', 15],
    ['status:f^ code:forbidden', 'status:failure', 'status:failure code:forbidden', 15],
    ['st^ code:forbidden', 'status:', 'status: code:forbidden', 7],
  ])('takes the place of the word at the caret: %s', (typed, text, whole, caret) => {
    const suggested = at(typed);
    expect(take(typed.replace('^', ''), suggested, text)).toEqual({ typed: whole, caret });
  });
});

describe('the address of a question', () => {
  const place = (search: string) => placeOf(new URLSearchParams(search));

  it('holds what was typed, the times beside the rest', () => {
    const path = placePath(parseQuestion('from:7d actor:"Kim Doe" -action:audit.* to:1d').terms, true);
    expect(path).toBe('/console/activity?q=actor%3A%22Kim+Doe%22+action%3A%21audit.*&from=7d&to=1d&reads=shown');
    expect(place(path.split('?')[1] ?? '')).toMatchObject({
      typed: 'actor:"Kim Doe" action:!audit.* from:7d to:1d',
      showsReads: true,
      question: { problems: [] },
    });
    expect(placePath([], false)).toBe('/console/activity');
    expect(questionPath('status:failure from:7d')).toBe('/console/activity?q=status%3Afailure&from=7d');
  });

  it('that somebody wrote by hand is understood, or answered in a sentence', () => {
    expect(place('q=from:7d+ip:::1').question).toEqual(parseQuestion('from:7d ip:::1'));
    expect(place('q=status:failure&from=yesterday').question.problems).toHaveLength(1);
    expect(place('q=from:7d&from=1d').question.problems).toEqual(['“from” stands there twice. An event has only one.']);
  });

  it.each<[number, number, string]>([
    [Date.UTC(2026, 10, 26), Date.UTC(2026, 10, 28), 'ip:::1 from:2026-11-26 to:2026-11-27'],
    [Date.UTC(2026, 10, 26), Date.UTC(2026, 10, 29), 'ip:::1 from:2026-11-26'],
    [Date.UTC(2026, 10, 28, 9), Date.UTC(2026, 10, 28, 11), 'ip:::1 from:2026-11-28T09:00:00Z to:2026-11-28T11:00:00Z'],
    [Date.UTC(2026, 10, 28, 9), Date.UTC(2026, 10, 28, 13), 'ip:::1 from:2026-11-28T09:00:00Z'],
  ])('is narrowed to a range of bars, which stays open where it reaches to now: %s to %s', (fromMs, toMs, typed) => {
    const terms = withRange(parseQuestion('from:7d ip:::1 to:1h').terms, { fromMs, toMs }, NOW);
    expect(printTerms(terms)).toBe(typed);
    const { from } = filterOf(terms, ALL);
    expect(from).toBe(new Date(fromMs).toISOString());
    expect(printTerms(withoutRange(terms))).toBe('ip:::1');
  });
});

describe('a moment', () => {
  it.each<[string, 'from' | 'to', number | null]>([
    ['30m', 'from', NOW - 1_800_000],
    ['2w', 'from', NOW - 14 * 86_400_000],
    ['2026-11-28', 'from', Date.UTC(2026, 10, 28)],
    ['2026-11-28', 'to', Date.UTC(2026, 10, 29)],
    ['2026-11-28T09:30Z', 'to', Date.UTC(2026, 10, 28, 9, 30)],
    ['2026-11-28T09:30:00', 'from', null],
    ['2026-13-01', 'from', null],
    ['2026-02-29T00:00:00Z', 'from', null],
    ['', 'from', null],
  ])('of %s as %s', (text, end, atMs) => {
    expect(momentOf(text, end, NOW)).toBe(atMs);
  });
});
