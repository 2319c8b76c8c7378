import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { BUNDLE } from '../../local/build.ts';

// The Worker as it is deployed.

const bundle = readFileSync(BUNDLE, 'utf8');

it('holds no statement that could alter the trail’s guards', () => {
  // Drizzle's dialects carry a migrator, in a method that nothing here calls.
  const migrators =
    bundle.match(/\n {2}(?:async )?migrate\(migrations, session, config\d*\) \{[\s\S]*?\n {2}\}/g) ?? [];
  expect(bundle).not.toMatch(/\.migrate\(/);
  const own = migrators.reduce((text, migrator) => text.replace(migrator, ''), bundle);
  expect(own).not.toMatch(/\b(create|drop|alter)\s+(temp\w*\s+)?(table|trigger|index|view)\b/i);
  expect(own).not.toMatch(/\b(pragma|vacuum|reindex|attach\s+database)\b/i);
});

it('has no switch for faults or clocks', () => {
  expect(bundle).not.toMatch(/__control|injected: failed|TEST_MIGRATIONS/);
});

it('is at most 200 KiB compressed', () => {
  expect(gzipSync(bundle).byteLength).toBeLessThanOrEqual(200 * 1024);
});
