import { ABSENCE_AFTER_SETTLED_MS, ABSENCE_GAP_MS } from '../config/limits.ts';
import type { TokenList } from '../pipeops/types.ts';

/** What is known of the absence of a token, or of the token of a create whose marker is looked for. Times are milliseconds since the epoch. */
export interface AbsenceSoFar {
  /** When its create was settled. A proof that was begun earlier may be older than the token. */
  readonly settledAtMs: number;
  /** When the first proof of its absence was begun; null: it was seen since, or never missed. */
  readonly unseenAtMs: number | null;
}

/**
 * What one more proof of absence means. `too_early`: it counts for nothing yet. `unseen`: it is an observation, and when it was begun
 * is `unseenAtMs` of the next judgement. `gone`: two independent proofs agree.
 */
export type AbsenceFinding = 'too_early' | 'unseen' | 'gone';

/**
 * The one rule of absence. A token is gone when two proofs agree that were begun at least ABSENCE_GAP_MS apart, the first of them at
 * least ABSENCE_AFTER_SETTLED_MS after its create was settled. One proof is not enough: a list may come from a replica that lags or be
 * empty by mistake, and a 404 may be about something else.
 *
 * A proof is a complete list of the workspace that lacks the token (see `isProofOfAbsence`), or a 404 for its id while the
 * workspace's list is answered.
 *
 * @param begunAtMs when the look that gave the proof was begun.
 */
export function judgeAbsence({ settledAtMs, unseenAtMs }: AbsenceSoFar, begunAtMs: number): AbsenceFinding {
  if (begunAtMs < settledAtMs + ABSENCE_AFTER_SETTLED_MS) return 'too_early';
  if (unseenAtMs === null || begunAtMs - unseenAtMs < ABSENCE_GAP_MS) return 'unseen';
  return 'gone';
}

/**
 * Whether a list proves by itself that an id it lacks is absent from its workspace. A token may slip through between two pages,
 * so a list of several pages proves it only together with a second one, or with a 404 for the id.
 */
export const isProofOfAbsence = ({ complete, pages }: Pick<TokenList, 'complete' | 'pages'>): boolean =>
  complete && pages === 1;
