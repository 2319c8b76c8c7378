import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ACTOR_LABEL_MAX_BYTES, ACTOR_SUBJECT_MAX_BYTES } from '../../src/config/limits.ts';
import { identityOf } from '../../src/identity/identity.ts';
import { createTestIssuer } from '../support/issuer.ts';

const issuer = await createTestIssuer();
const policy = issuer.policy({ subject: 'owner', label: 'name', actorType: 'service_account' });

const subjectOf = (owner: unknown) => {
  const result = identityOf({ owner }, policy);
  return result.ok ? result.value.subject : { refused: result.error };
};
const labelOf = (name: unknown) => {
  const result = identityOf({ owner: 'a', name }, policy);
  return result.ok ? result.value.label : undefined;
};
/** The runner cannot report a lone surrogate; JSON spells it in ASCII. */
const escaped = (value: unknown) => JSON.stringify(value);

it('is made from the policy and the claims that it names', () => {
  const claims = { owner: '42', name: 'acme/shop', sub: 'repo:acme/shop', ref: 'refs/heads/main' };
  expect(identityOf(claims, policy)).toEqual({
    ok: true,
    value: { issuer: issuer.issuer, subject: '42', label: 'acme/shop', actorType: 'service_account', claims },
  });
});

describe('the subject', () => {
  it.each<[string, unknown, unknown]>([
    ['is text', 'alice', 'alice'],
    ['keeps its spaces and letters', ' Alice Ünal 🙂 ', ' Alice Ünal 🙂 '],
    ['is a whole number', 123_456_789, '123456789'],
    ['is the last number that a double holds exactly', Number.MAX_SAFE_INTEGER, '9007199254740991'],
    ['is just short enough', 'x'.repeat(ACTOR_SUBJECT_MAX_BYTES), 'x'.repeat(ACTOR_SUBJECT_MAX_BYTES)],
    ['is missing', undefined, { refused: 'claim_missing' }],
    ['is empty', '', { refused: 'subject_empty' }],
    ['is blank', ' \u00a0 ', { refused: 'subject_empty' }],
    ['is null', null, { refused: 'claim_malformed' }],
    ['is a boolean', true, { refused: 'claim_malformed' }],
    ['is an object', { id: 'alice' }, { refused: 'claim_malformed' }],
    ['is an array', ['alice'], { refused: 'claim_malformed' }],
    ['is a fraction', 1.5, { refused: 'claim_malformed' }],
    ['is a number that two numbers round to', Number.MAX_SAFE_INTEGER + 1, { refused: 'claim_malformed' }],
    ['is infinite', Infinity, { refused: 'claim_malformed' }],
    ['is a byte too long', 'x'.repeat(ACTOR_SUBJECT_MAX_BYTES + 1), { refused: 'claim_malformed' }],
    ['is too long in bytes alone', 'ü'.repeat(ACTOR_SUBJECT_MAX_BYTES / 2 + 1), { refused: 'claim_malformed' }],
    ['has a NUL', 'alice\u0000', { refused: 'claim_malformed' }],
    ['has a line break', 'alice\nbob', { refused: 'claim_malformed' }],
    ['has a line separator', 'alice\u2028bob', { refused: 'claim_malformed' }],
    ['has a C1 control', 'alice\u0085', { refused: 'claim_malformed' }],
    ['has a lone surrogate', 'alice\ud800', { refused: 'claim_malformed' }],
    ['has a zero-width space', 'ali\u200bce', { refused: 'claim_malformed' }],
    ['has a zero-width joiner', 'ali\u200dce', { refused: 'claim_malformed' }],
    ['has a mark that reorders it', 'ali\u202ece', { refused: 'claim_malformed' }],
    ['has a soft hyphen', 'ali\u00adce', { refused: 'claim_malformed' }],
    ['has a variation selector', 'alice\ufe0f', { refused: 'claim_malformed' }],
    ['is nothing but a filler', '\u3164', { refused: 'claim_malformed' }],
    ['is a secret that is hidden', 'sat_\u{e0001}0123456789abcdef', { refused: 'claim_malformed' }],
    ['is shaped like a secret', 'sat_0123456789abcdef', { refused: 'claim_malformed' }],
  ])('%s', (_name, claim, expected) => {
    expect(escaped(subjectOf(claim))).toBe(escaped(expected));
  });

  it('is the whole claim or refused: no two claims give one subject', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (claim) => {
        const subject = subjectOf(claim);
        expect(typeof subject !== 'string' || subject === claim).toBe(true);
      }),
    );
  });
});

describe('the label', () => {
  const long = `${'x'.repeat(ACTOR_LABEL_MAX_BYTES)}🙂`;
  it.each<[string, unknown, string | null]>([
    ['is text', 'alice@acme.example', 'alice@acme.example'],
    ['is a whole number', 42, '42'],
    ['is missing', undefined, null],
    ['is null', null, null],
    ['is empty', '', null],
    ['is an object', { name: 'alice' }, null],
    ['is a fraction', 1.5, null],
    ['is whole, however long', long, long],
    ['loses its control characters', 'a\u0000b\nc\u2029d', 'a\ufffdb\ufffdc\ufffdd'],
    ['loses its lone surrogates', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
    ['loses what looks like a secret', 'token sat_0123456789abcdef', 'token [redacted]'],
  ])('%s', (_name, claim, expected) => {
    expect(escaped(labelOf(claim))).toBe(escaped(expected));
  });

  it('is null where the policy names no claim', () => {
    expect(identityOf({ sub: 'alice', name: 'Alice' }, issuer.policy())).toMatchObject({
      ok: true,
      value: { label: null },
    });
  });

  it('is always well-formed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (claim) => {
        expect((labelOf(claim) ?? '').isWellFormed()).toBe(true);
      }),
    );
  });
});
