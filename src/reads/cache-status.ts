/** Where an answer came from. */
export type CacheStatus =
  /** A list that was held: by this isolate, or in D1. `ttlMs` below 0: it stands in for one that PipeOps did not give. */
  | { readonly from: 'memory' | 'd1'; readonly ttlMs: number; readonly ageMs: number }
  /** PipeOps, for this read or for another that wanted the same. */
  | { readonly from: 'pipeops'; readonly why: 'miss' | 'request'; readonly isShared: boolean };

/** The header `Cache-Status` (RFC 9211), and `Age` (RFC 9111 §5.1) of what was held. */
export function cacheHeaders(status: CacheStatus): Readonly<Record<string, string>> {
  if (status.from === 'pipeops') {
    return { 'Cache-Status': `countersign; fwd=${status.why}${status.isShared ? '; collapsed' : ''}` };
  }
  const ttl = `ttl=${Math.floor(status.ttlMs / 1000)}`;
  const detail = status.ttlMs < 0 ? '; detail=stale' : status.from === 'd1' ? '; detail=d1' : '';
  return {
    'Cache-Status': `countersign; hit; ${ttl}${detail}`,
    Age: String(Math.max(0, Math.floor(status.ageMs / 1000))),
  };
}
