import type { RateWindow } from '../failures.ts';

// How an answer tells of a rate limit: those of this service, and those of PipeOps.

/**
 * The headers of a 429 of this service: those that PipeOps' clients read, and those of draft-ietf-httpapi-ratelimit-headers.
 * `X-RateLimit-Reset` is in seconds since the epoch, as this service reads PipeOps' own; `t` is in seconds from now.
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

/** The value of the header `RateLimit-Policy` for a limit (draft-ietf-httpapi-ratelimit-headers). */
export const ratePolicy = ({ policy, limit, windowSeconds }: Omit<RateWindow, 'untilMs'>): string =>
  `"${policy}";q=${limit};w=${windowSeconds}`;
