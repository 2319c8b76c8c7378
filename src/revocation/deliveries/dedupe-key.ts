import { base64url } from 'jose';

/** What tells one delivery of a source from another: a digest of its sender's id, or of its body where there is none. */
export async function dedupeKey(senderId: string | null, body: Uint8Array): Promise<string> {
  const bytes = senderId === null ? body : new TextEncoder().encode(senderId);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return `${senderId === null ? 'body' : 'id'}:${base64url.encode(digest)}`;
}
