import { isProofOfAbsence } from '../../inventory/absence.ts';
import type { TokenList, UpstreamToken } from '../../pipeops/types.ts';
import type { RevocationMode } from '../../vocabulary.ts';

/**
 * What a look shows of an order's token. `alive`: as if there were no order. `inactive`: suspended. `absent`: the look proves
 * that it is not there. `silent`: the look says nothing about it.
 */
export type Sight = 'alive' | 'inactive' | 'revoked' | 'expired' | 'absent' | 'silent';

/** A token as PipeOps shows it. Whether it is active matters to a suspension alone, and PipeOps may leave that out. */
export function sightOf(mode: RevocationMode, { isRevoked, isExpired, isActive }: UpstreamToken): Sight {
  if (isRevoked) return 'revoked';
  if (isExpired) return 'expired';
  if (mode === 'revoke' || isActive === true) return 'alive';
  return isActive === null ? 'silent' : 'inactive';
}

/**
 * What a list shows of a token. Only a complete one proves an end; `silent` where the token has to be asked for by itself.
 *
 * @param there the token in the list; undefined: the list lacks it.
 * @param isNoProof the list lacks so many tokens that it proves no absence.
 */
export function sightIn(
  mode: RevocationMode,
  list: Pick<TokenList, 'complete' | 'pages'>,
  there: UpstreamToken | undefined,
  isNoProof: boolean,
): Sight {
  if (there === undefined) return isProofOfAbsence(list) && !isNoProof ? 'absent' : 'silent';
  const sight = sightOf(mode, there);
  return list.complete || (sight !== 'revoked' && sight !== 'expired') ? sight : 'silent';
}
