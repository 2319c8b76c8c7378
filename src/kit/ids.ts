import { TOKEN_ID_MAX_CHARS } from '../config/limits.ts';
import { containsSecret } from './redaction.ts';

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

/** Whether text is a UUID as this service writes its own: small letters, five groups (RFC 9562 §4). */
export const isOwnUuid = (text: string): boolean => uuidOf(text) === text;

/** What `parseWorkspaceUuid` reads, for whoever wrote something else. */
export const WORKSPACE_FORM = `a UUID, in any case and with or without hyphens, or up to ${TOKEN_ID_MAX_CHARS} letters, digits, ".", "_", "~" and "-" with a letter or digit first`;

/**
 * The one value of a workspace, however its id is spelled: everything that is kept, compared or sent is this. Every door reads with
 * it: requests, the policy, the configuration, webhooks, filters, and PipeOps' answers.
 *
 * An id that is no UUID is opaque, and stays as it is. Null: the text is no id; text shaped like a secret is never one.
 */
export const parseWorkspaceUuid = (text: string): string | null => uuidOf(text) ?? (isId(text) ? text : null);

/** The same of text that was stored or answered, and may be no id at all: then it stays as it is. */
export const workspaceAsRead = (text: string): string => parseWorkspaceUuid(text) ?? text;

/**
 * Whether PipeOps names another workspace than this one. Where one of the two is no UUID, it is another kind of id, such as a
 * database's number, which says nothing.
 */
export function isElsewhere(workspaceUuid: string, workspaceId: string | null): boolean {
  const [own, other] = [uuidOf(workspaceUuid), workspaceId === null ? null : uuidOf(workspaceId)];
  return own !== null && other !== null && own !== other;
}

/** Whether PipeOps names this very workspace. Where neither this nor `isElsewhere` holds, nobody knows. */
export const isWithin = (workspaceUuid: string, workspaceId: string | null): boolean =>
  workspaceId !== null && workspaceAsRead(workspaceId) === workspaceAsRead(workspaceUuid);

/** RFC 9562 §4: 32 hexadecimal digits, in either case. The hyphens help the eye and mean nothing. */
const DIGITS = /^[0-9a-f]{32}$/;
/** As RFC 9562 §4 writes it as a URN, and as .NET and PipeOps' Go library write it in braces. */
const WRAPPINGS = [/^urn:uuid:(.+)$/i, /^\{(.+)\}$/];

/**
 * The one spelling of a UUID, as RFC 9562 §4 has it: small letters, five groups. Null: the text is no UUID.
 *
 * It is read in any case, with hyphens or without, as a URN and in braces, for issuers, consoles and libraries write all of these.
 * Hyphens may stand between any digits: databases read them wherever they are, so a UUID with a hyphen in an odd place must not
 * pass for another id. `canonicalWorkspace` says the same to D1.
 */
export function uuidOf(text: string): string | null {
  const inner = WRAPPINGS.map((wrapping) => wrapping.exec(text)?.[1]).find((found) => found !== undefined) ?? text;
  const digits = inner.replaceAll('-', '').toLowerCase();
  if (!DIGITS.test(digits)) return null;
  const groups = [
    digits.slice(0, 8),
    digits.slice(8, 12),
    digits.slice(12, 16),
    digits.slice(16, 20),
    digits.slice(20),
  ];
  return groups.join('-');
}
