/** RFC 9110 §9.2.1: methods that this service gives no effect to. */
const SAFE_METHODS: readonly string[] = ['GET', 'HEAD'];

/**
 * Whether a request under a header that Cloudflare derives from a cookie may have been made by another site's page.
 *
 * Browsers set `Sec-Fetch-Site` and `Origin` themselves. Whichever is there must say same origin, and one must be there:
 * a client that is not a browser sends `Sec-Fetch-Site: same-origin` itself, which a page cannot forge.
 */
export function isCrossSiteMutation(request: { method: string; url: string; headers: Headers }): boolean {
  if (SAFE_METHODS.includes(request.method)) return false;
  const fetchSite = request.headers.get('Sec-Fetch-Site');
  const origin = request.headers.get('Origin');
  if (fetchSite === null && origin === null) return true;
  if (fetchSite !== null && fetchSite !== 'same-origin') return true;
  return origin !== null && origin !== new URL(request.url).origin;
}
