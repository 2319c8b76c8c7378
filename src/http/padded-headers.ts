/**
 * The request with no white space at the ends of its header values: it is not part of them (RFC 9110 §5.5), and workerd keeps
 * what trails. Nobody behind this has to think of it.
 */
export function withoutPadding(request: Request): Request {
  if (![...request.headers.values()].some(isPadded)) return request;
  // Headers that are set, not copied, lose what is at their ends: Fetch, "normalize".
  return new Request(request, { headers: new Headers([...request.headers]) });
}

/** OWS of RFC 9110 §5.6.3: spaces and tabs. */
const isPadded = (value: string): boolean => /^[ \t]|[ \t]$/.test(value);
