import { fingerprintKeys } from '../../src/config/secrets.ts';
import type { ConfigProblem } from '../../src/config/problems.ts';
import { err, ok, type Result } from '../../src/kit/result.ts';
import { printable } from '../terminal-text.ts';
import { askDatabase, type Database } from './database.ts';

/** The ids of the keys, the current one first, or null if the setting cannot be read. */
export function keyIdsOf(setting: unknown): readonly string[] | null {
  const keys = fingerprintKeys.safeParse(setting);
  return keys.success ? keys.data.map(({ id }) => id) : null;
}

/** Describes the keys, as in `2 keys, current k2`. */
export function describeKeys(ids: readonly string[]): string {
  return `${ids.length} ${ids.length === 1 ? 'key' : 'keys'}, current ${ids[0] ?? ''}`;
}

/** The keys that live tokens still need and the setting lacks: the leaked secret of such a token would match none. */
export function missingKeys(ids: readonly string[], inUse: readonly string[]): readonly ConfigProblem[] {
  return inUse
    .filter((id) => !ids.includes(id))
    .map((id) => ({
      key: 'FINGERPRINT_KEYS',
      problem: `lacks key ${JSON.stringify(printable(id))}, which live tokens were fingerprinted with`,
      example: `${[...ids, printable(id)].map((known) => `${known}:…`).join(',')}, with the value that it had: \`npx wrangler secret put FINGERPRINT_KEYS --config wrangler.toml --env production\``,
    }));
}

/** Asks the database which keys the fingerprints of live tokens were made with. It changes nothing. */
export async function fingerprintKeysInUse(
  database: Database,
  nowMs: number,
): Promise<Result<readonly string[], ConfigProblem>> {
  const answer = await askDatabase(database, question(nowMs));
  if (answer.ok) return ok(answer.value.map(({ id }) => String(id)));
  const { reason, example } = answer.error;
  const problem = `(${database.place}) does not say which keys live tokens need: ${reason}`;
  return err({ key: 'DB', problem, example });
}

const question = (nowMs: number): string =>
  `select distinct fingerprint_key_id as id from tokens where fingerprint_key_id is not null and revoked_at is null and (expires_at is null or expires_at > ${nowMs}) order by id`;
