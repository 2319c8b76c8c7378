import { isTokenId } from '../kit/ids.ts';
import type { Problems } from '../kit/problems.ts';

/** The id of a token as it stood in the path, decoded; null if it is not one, which is reported. */
export function readTokenId(id: string, problems: Problems): string | null {
  if (isTokenId(id)) return id;
  problems.misunderstood('id', 'Use the id of a token, as a create or a list gave it.');
  return null;
}
