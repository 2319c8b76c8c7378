// The paths of the console. Every view is a URL, and every link is made here.

const BASE = '/console';

/** Where a page of the console is. Ids may hold any character, so each is encoded. */
export const paths = {
  home: BASE,
  activity: `${BASE}/activity`,
  event: (eventId: string) => `${BASE}/activity/${encodeURIComponent(eventId)}`,
  tokens: `${BASE}/tokens`,
  token: (workspaceUuid: string, tokenId: string) =>
    `${BASE}/tokens/${encodeURIComponent(workspaceUuid)}/${encodeURIComponent(tokenId)}`,
  whose: `${BASE}/whose`,
  people: `${BASE}/people`,
  /** Somebody as filters name them: `issuer|subject`, or a label that is blocked. */
  person: (name: string) => `${BASE}/people/${encodeURIComponent(name)}`,
  webhooks: `${BASE}/webhooks`,
  delivery: (deliveryId: string) => `${BASE}/webhooks/${encodeURIComponent(deliveryId)}`,
  revocation: (revocationId: string) => `${BASE}/revocations/${encodeURIComponent(revocationId)}`,
  health: `${BASE}/health`,
  signIn: `${BASE}/sign-in`,
  signedOut: `${BASE}/signed-out`,
} as const;

/** Where signing in begins. It returns to `returnTo`, a path of the console. */
export const loginPath = (returnTo: string): string => `/auth/login?return_to=${encodeURIComponent(returnTo)}`;

/** The part of a path behind `/console`, by its segments. A segment that is not decodable is kept as it stands. */
export const segmentsOf = (pathname: string): readonly string[] =>
  pathname.slice(BASE.length).split('/').filter(Boolean).map(decoded);

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
