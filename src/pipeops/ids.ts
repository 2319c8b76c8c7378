import { TOKEN_ID_MAX_CHARS } from '../config/limits.ts';
import { containsSecret } from '../text/redaction.ts';

/**
 * What an id may look like, wherever it comes from: route, command or PipeOps. PipeOps' ids are opaque (UUIDs in
 * production, `tok-1` in its own tests). Only characters that RFC 3986 calls unreserved, so an id is never escaped in a
 * path; it starts with a letter or digit, so it is never `.` or `..`.
 */
const ID = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,${TOKEN_ID_MAX_CHARS - 1}}$`);

// Ids are stored and shown. A secret sent or answered in an id's place would be too, so its shape is no id.
const isId = (text: string): boolean => ID.test(text) && !containsSecret(text);

/** Whether a token id can be put into an upstream path. Text shaped like a secret is never one. */
export const isTokenId = (text: string): boolean => isId(text);

/** Whether a workspace's UUID can be put into an upstream query. Text shaped like a secret is never one. */
export const isWorkspaceUuid = (text: string): boolean => isId(text);
