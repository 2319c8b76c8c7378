import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { expect, it } from 'vitest';
import { BUNDLE } from '../../local/build.ts';

// The Worker as it is deployed.

const bundle = readFileSync(BUNDLE, 'utf8');

it('holds no statement that could alter the trail’s guards', () => {
  // Drizzle's dialects carry a migrator, in a method that nothing here calls.
  expect(bundle).not.toMatch(/\.migrate\(/);
  const own = withoutMigrators(bundle);
  expect(own).not.toMatch(/\b(create|drop|alter)\s+(temp\w*\s+)?(table|trigger|index|view)\b/i);
  expect(own).not.toMatch(/\b(pragma|vacuum|reindex|attach\s+database)\b/i);
});

it('has no switch for faults or clocks', () => {
  expect(bundle).not.toMatch(/__control|injected: failed|TEST_MIGRATIONS/);
});

it('knows nothing of what npm start serves in front of it', () => {
  expect(bundle).not.toMatch(/local\/leak|['"`/]local['"`]/);
});

// Cloudflare takes 3 MB. This is what the service has come to, with room for a part or two: whoever needs more looks first at what grew.
// The log of the trail is 29 KiB of it, and no other code of the service could seal.
it('is at most 280 KiB compressed', () => {
  expect(gzipSync(bundle).byteLength).toBeLessThanOrEqual(280 * 1024);
});

/** Without the methods named so, each from its name to the brace that closes it. */
function withoutMigrators(text: string): string {
  const start = text.search(/\bmigrate\((?:\w+,){2}\w+\)\{/);
  if (start === -1) return text;
  let depth = 0;
  let end = text.indexOf('{', start);
  do {
    if (text[end] === '{') depth += 1;
    if (text[end] === '}') depth -= 1;
    end += 1;
  } while (depth > 0 && end < text.length);
  return withoutMigrators(text.slice(0, start) + text.slice(end));
}
