import { fingerprintKeys } from '../../src/config/secrets.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { printable } from '../terminal-text.ts';

/** The ids of the keys, the current one first; null: the setting cannot be read. */
export function keyIdsOf(setting: unknown): readonly string[] | null {
  const keys = fingerprintKeys.safeParse(setting);
  return keys.success ? keys.data.map(({ id }) => id) : null;
}

/** `2 keys, current k2`. */
export function describeKeys(ids: readonly string[]): string {
  return `${ids.length} ${ids.length === 1 ? 'key' : 'keys'}, current ${ids[0] ?? ''}`;
}

/** A key that is missing: a leaked secret of such a token would be nobody's. */
export function missingKeys(ids: readonly string[], inUse: readonly string[]): readonly ConfigProblem[] {
  return inUse
    .filter((id) => !ids.includes(id))
    .map((id) => ({
      key: 'FINGERPRINT_KEYS',
      problem: `lacks key ${JSON.stringify(printable(id))}, which live tokens were fingerprinted with`,
      example: `${[...ids, printable(id)].map((known) => `${known}:…`).join(',')}, with the value that it had: \`npx wrangler secret put FINGERPRINT_KEYS\``,
    }));
}
