import { describe, expect, it } from 'vitest';
import { createOwnerMacs, type MacTerms, type OwnedRow } from '../../src/inventory/owner-macs.ts';

// Which owners count, by the MAC that stands beside them.

const NOW = 1_900_000_000_000;
const SECRET = new Uint8Array(32).fill(7);
const OWNED = { workspace_uuid: 'w', token_id: 't', owner_issuer: 'i', owner_subject: 's' } as const;

const macsWith = (terms: Partial<MacTerms> = {}) =>
  createOwnerMacs({ secret: SECRET, adoptUntilMs: null, now: () => NOW, ...terms });
const right = (): OwnedRow => ({ ...OWNED, owner_mac: macsWith().of(OWNED) });

describe('an owner', () => {
  it('counts with its MAC, however often it is asked about', () => {
    const macs = macsWith();
    expect([macs.isAuthentic(right()), macs.isAuthentic(right())]).toEqual([true, true]);
  });

  it.each([
    ['workspace_uuid', 'another'],
    ['token_id', 'another'],
    ['owner_issuer', 'another'],
    ['owner_subject', 'another'],
    ['owner_subject', null],
  ])('whose %s became %s does not count, before its MAC was found right and after', (column, value) => {
    const macs = macsWith();
    const forged = { ...right(), [column]: value };
    expect([macs.isAuthentic(forged), macs.isAuthentic(right()), macs.isAuthentic(forged)]).toEqual([
      false,
      true,
      false,
    ]);
  });

  it.each([
    [null, false],
    [NOW - 1, false],
    [NOW, false],
    [NOW + 1, true],
  ])('without a MAC, where owners are adopted until %s: %s', (adoptUntilMs, counts) => {
    expect(macsWith({ adoptUntilMs }).isAuthentic({ ...right(), owner_mac: null })).toBe(counts);
  });

  it.each([null, 'x'])('counts whatever its MAC is where there is no secret: %s', (owner_mac) => {
    const macs = macsWith({ secret: null });
    expect([macs.isAuthentic({ ...OWNED, owner_mac }), macs.of(OWNED)]).toEqual([true, null]);
  });

  it('that is none needs no MAC', () => {
    const macs = macsWith();
    const nobody = { ...OWNED, owner_issuer: null, owner_subject: null };
    expect([macs.isAuthentic({ ...nobody, owner_mac: null }), macs.of(nobody)]).toEqual([true, null]);
  });

  it('is believed if it counts; otherwise the token has none', () => {
    const macs = macsWith();
    const row = { ...right(), owner_label: 'alice', other: 1 };
    const forged = { ...row, owner_subject: 'mallory' };
    expect(macs.believed(row)).toEqual(row);
    expect(macs.believed(forged)).toEqual({ ...forged, owner_issuer: null, owner_subject: null, owner_label: null });
  });
});
