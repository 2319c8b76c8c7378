import type { FieldErrors, RateWindow } from '../failures.ts';

// What the answers to failures have in common, as `wire-errors.ts` puts them together.

/**
 * The first problem of a request as one line, such as `scopes: name at least one scope or a preset.` PipeOps' own clients show
 * `message` and nothing else.
 *
 * @param otherwise for errors that name nothing.
 */
export function firstProblem(errors: FieldErrors, otherwise: string): string {
  const [field, texts = []] = Object.entries(errors)[0] ?? [];
  const [text] = texts;
  return field === undefined || text === undefined ? otherwise : `${field}: ${text.replace(FIRST_WORD, lowerCase)}`;
}

/** A word that is capital only because it begins a sentence: not `PipeOps`, not `RFC`. */
const FIRST_WORD = /^[A-Z][a-z]*(?![A-Za-z])/;
const lowerCase = (word: string): string => word.toLowerCase();

/**
 * The headers of a 429 of our own: those that PipeOps' clients read, and those of draft-ietf-httpapi-ratelimit-headers. A reset is in
 * seconds since the epoch in the former, as PipeOps' own is read here, and in seconds from now in the latter.
 */
export function rateHeaders({ policy, limit, windowSeconds, untilMs }: RateWindow, waitSeconds: number) {
  return {
    'X-RateLimit-Limit': String(limit),
    'X-RateLimit-Remaining': '0',
    'X-RateLimit-Reset': String(Math.ceil(untilMs / 1000)),
    'RateLimit-Policy': ratePolicy({ policy, limit, windowSeconds }),
    RateLimit: `"${policy}";r=0;t=${waitSeconds}`,
  };
}

/** The IETF's `RateLimit-Policy` of a limit. */
export const ratePolicy = ({ policy, limit, windowSeconds }: Omit<RateWindow, 'untilMs'>): string =>
  `"${policy}";q=${limit};w=${windowSeconds}`;
