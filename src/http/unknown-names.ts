import { containsSecret } from '../kit/redaction.ts';
import { UNKNOWN_NAMES_MAX_COUNT, UNKNOWN_NAME_MAX_CHARS } from '../config/limits.ts';
import type { Problems } from '../kit/problems.ts';

const NAME = new RegExp(`^[A-Za-z0-9_.-]{1,${UNKNOWN_NAME_MAX_CHARS}}$`);

/**
 * Reports fields or parameters that are not known. Only what reads like a name is repeated, and not without end: a
 * secret can be put in a name's place too.
 */
export function refuseUnknown(
  what: 'field' | 'parameter',
  names: readonly string[],
  known: readonly string[],
  problems: Problems,
): void {
  const message = `Unknown ${what}. Known: ${known.length > 0 ? known.join(', ') : 'none'}.`;
  const named = names.filter((name) => NAME.test(name) && !containsSecret(name)).slice(0, UNKNOWN_NAMES_MAX_COUNT);
  for (const name of named) problems.misunderstood(name, message);
  if (named.length < names.length) problems.misunderstood(what === 'field' ? 'body' : 'query', message);
}
