import { describe, expect, it } from 'vitest';
import {
  beginningOf,
  isNamed,
  isTyped,
  isTypingAsked,
  mayOffboard,
  offboardWords,
  reinstatedWords,
  subjectOf,
  tokenCounts,
} from '../../console/views/people/words.ts';
import type { Role, Subject, WholeDelivery } from '../../package/client/types.ts';

const role = (given: Partial<Role>): Role => ({
  name: 'admin',
  permissions: ['tokens:revoke', 'audit:read'],
  tokens: 'any',
  workspaces: ['*'],
  scopes: ['*'],
  max_ttl_seconds: null,
  presets: {},
  max_tokens: 100,
  max_overlap_seconds: 0,
  ...given,
});

const subject = (given: Partial<Subject>): Subject => ({
  issuer: null,
  subject: null,
  label: null,
  tokens: { live: 0, total: 0 },
  blocks: [],
  ...given,
});

describe('who is offered an offboarding', () => {
  it.each([
    ['a role for all tokens of all workspaces', [role({})], true],
    ['a role of one workspace', [role({ workspaces: ['5877a4ae-0000-4000-8000-000000000001'] })], false],
    ['a role for its own tokens', [role({ tokens: 'own' })], false],
    ['a role that may not revoke', [role({ permissions: ['audit:read'] })], false],
    [
      'two roles that would do together',
      [role({ workspaces: [] }), role({ permissions: ['audit:read'] }), role({ tokens: 'own' })],
      false,
    ],
  ])('%s', (_who, roles, may) => {
    expect(mayOffboard(roles)).toBe(may);
  });
});

describe('whom a path names', () => {
  it.each([
    ['https://i.example|kim', { issuer: 'https://i.example', subject: 'kim' }],
    ['https://i.example|a|b', { issuer: 'https://i.example', subject: 'a|b' }],
    ['kim@acme.example', { label: 'kim@acme.example' }],
    ['|kim', { label: '|kim' }],
  ])('%s', (name, who) => {
    expect(subjectOf(name)).toEqual(who);
  });

  it('is found among others whose names begin in the same way', () => {
    const kim = { issuer: 'https://i.example', subject: 'kim' };
    expect(isNamed(subject(kim), kim)).toBe(true);
    expect(isNamed(subject({ ...kim, subject: 'kimberley' }), kim)).toBe(false);
    expect(isNamed(subject({ ...kim, issuer: 'https://j.example' }), kim)).toBe(false);
  });

  it('as a label is the entry of that label, and nobody who carries it', () => {
    const who = { label: 'Kim@Acme.example' };
    expect(isNamed(subject({ label: 'kim@acme.example' }), who)).toBe(true);
    expect(isNamed(subject({ issuer: 'i', subject: 'kim', label: 'kim@acme.example' }), who)).toBe(false);
  });

  it('is searched for by a beginning that cuts no character in half', () => {
    expect(beginningOf('x'.repeat(40))).toBe('x'.repeat(32));
    expect(beginningOf(`${'x'.repeat(31)}😀`)).toBe('x'.repeat(31));
    expect(beginningOf('kim😀')).toBe('kim😀');
  });
});

describe('an offboarding', () => {
  it.each([
    [0, 'revoke', 'They have no live token.'],
    [1, 'revoke', 'Their live token is revoked at PipeOps. That cannot be undone.'],
    [13, 'suspend', 'Their 13 live tokens are suspended at PipeOps. An administrator can resume each.'],
    [null, 'revoke', 'All their live tokens are revoked at PipeOps. That cannot be undone.'],
  ] as const)('of %s tokens says what it does (%s)', (live, mode, words) => {
    expect(offboardWords(live, mode)).toEqual([
      words,
      'Their sessions here end.',
      'They are refused everything until somebody reinstates them.',
    ]);
  });

  it('asks for the number or the name where it concerns more than ten tokens, or nobody knows how many', () => {
    expect([0, 10, 11, null].map(isTypingAsked)).toEqual([false, false, true, true]);
  });

  it.each([
    ['13', 13, true],
    [' 13 ', 13, true],
    ['kim', 13, true],
    ['12', 13, false],
    ['', 13, false],
    ['Kim', 13, false],
    ['1,000', 1_000, true],
    ['', null, false],
    ['kim', null, true],
    ['null', null, false],
  ])('takes “%s” for %s tokens: %s', (typed, live, isTaken) => {
    expect(isTyped(typed, live, 'kim')).toBe(isTaken);
  });

  it('is not confirmed by nothing where there is no name', () => {
    expect(isTyped(' ', null, '')).toBe(false);
  });
});

describe('a reinstatement', () => {
  const receipt = (given: Partial<WholeDelivery>): WholeDelivery => ({
    id: '1e02cc7c-b21e-4f38-9794-a35ab41bdcc7',
    source: null,
    event: 'subject.reinstated',
    sender_id: null,
    received_at: '2026-11-28T21:17:44.772Z',
    event_id: '2692281b-33b0-482a-b689-002c54a712da',
    ignored: null,
    refused: null,
    tokens: { matched: 0, unmatched: 0, out_of_scope: 0 },
    orders: { open: 0, acknowledged: 0, confirmed: 0, failed: 0 },
    items: [],
    revocations: [],
    ...given,
  });

  it.each([
    [{ blocks_lifted: 0 }, /^No block matches/],
    [{ blocks_lifted: 1 }, /^1 block was lifted\. They may call again\. Revoked tokens stay revoked/],
    [{ blocks_lifted: 2, still_blocked: true }, /^2 blocks were lifted\. Somebody is still blocked in another way/],
  ] as const)('of %j says what it lifted', (given, words) => {
    expect(reinstatedWords(receipt(given))).toMatch(words);
  });
});

it('tokens are told as live of all', () => {
  expect(tokenCounts({ live: 3, total: 12 })).toBe('3 live of 12');
  expect(tokenCounts({ live: 0, total: 0 })).toBe('No tokens');
  expect(tokenCounts({ live: 9, total: 1_000, more: true })).toBe('9 live of more than 1,000');
});
