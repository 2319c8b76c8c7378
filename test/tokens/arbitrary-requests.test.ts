import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { create, NOW_MS, update } from './parsing.ts';

/** Text that no message of ours contains by chance. */
const foreign = fc.stringMatching(/^[QXZ§]{7,60}$/);
const value = fc.oneof(
  foreign,
  fc.jsonValue({ maxDepth: 3 }),
  fc.array(foreign, { maxLength: 20 }),
  fc.constantFrom('30d', '1s', '2027-01-01 00:00:00', 'api:read', 5, true, ['api:read']),
);
const names = ['name', 'description', 'metadata', 'scopes', 'permissions', 'preset', 'workspace_uuid', 'is_active'];
const name = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom(...names, 'expires_at', 'expires_in') },
  fc.constantFrom('__proto__', 'constructor', 'toString'),
  fc.string(),
);
const body = fc
  .array(fc.tuple(name, value), { maxLength: 12 })
  .map((entries) => JSON.stringify(Object.fromEntries(entries)));

/** Every text in a JSON value, keys left out. */
const textsOf = (json: unknown): string[] => {
  if (typeof json === 'string') return [json];
  return typeof json === 'object' && json !== null ? Object.values(json).flatMap(textsOf) : [];
};

it('any object is either read or refused with a reason, and no reason quotes it', () => {
  fc.assert(
    fc.property(body, (text) => {
      const foreignTexts = textsOf(JSON.parse(text)).filter((one) => /^[QXZ§]{7,}$/.test(one));
      for (const result of [create(text), update(text)]) {
        if (result.ok) continue;
        const told = JSON.stringify(result.error);
        expect(told).toContain('errors');
        for (const one of foreignTexts) expect(told).not.toContain(one);
      }
    }),
    { numRuns: 1000 },
  );
});

it('an answer stays small, whatever was sent', () => {
  const manyFields = Object.fromEntries(Array.from({ length: 2000 }, (_, n) => [`f${n}`, 1]));
  const manyScopes = { scopes: Array.from({ length: 5000 }, () => 1) };
  for (const sent of [manyFields, manyScopes, { metadata: manyFields }]) {
    expect(JSON.stringify(create(sent)).length).toBeLessThan(4096);
  }
});

it('an accepted expiry always lies ahead, by ten years at the most', () => {
  const digits = fc.integer({ min: 0, max: 400_000_000 });
  const within = fc.oneof(
    fc.double(),
    fc.integer(),
    fc.tuple(digits, fc.constantFrom('s', 'm', 'h', 'd', 'w', '')).map((parts) => parts.join('')),
  );
  const at = fc
    .date({ min: new Date('2020-01-01'), max: new Date('2050-01-01'), noInvalidDate: true })
    .map((date) => date.toISOString());
  const field = fc.oneof(
    within.map((expires_in) => ({ expires_in })),
    at.map((expires_at) => ({ expires_at })),
  );
  fc.assert(
    fc.property(field, (expiry) => {
      const result = create({ name: 'a', scopes: ['b'], ...expiry });
      if (!result.ok || result.value.expiresAt === null) return;
      const aheadMs = Date.parse(result.value.expiresAt) - NOW_MS;
      expect(aheadMs).toBeGreaterThan(0);
      expect(aheadMs).toBeLessThanOrEqual(3650 * 24 * 60 * 60 * 1000);
      expect(result.value.expiresAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }),
    { numRuns: 1000 },
  );
});
