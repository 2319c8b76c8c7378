import { TOKEN_ID_MAX_CHARS } from '../config/limits.ts';
import { containsSecret } from './redaction.ts';

/**
 * The form of an id, whether it comes from a route, a command or PipeOps. PipeOps' ids are opaque (UUIDs in production, `tok-1`
 * in its own tests). All of its characters are those that RFC 3986 calls unreserved, so an id is never escaped in a path. It
 * starts with a letter or a digit, so it is never `.` or `..`.
 */
const ID = new RegExp(`^[A-Za-z0-9][A-Za-z0-9._~-]{0,${TOKEN_ID_MAX_CHARS - 1}}$`);

/** Whether text may be an id. Ids are stored and shown, so text that is shaped like a secret is none. */
const isId = (text: string): boolean => ID.test(text) && !containsSecret(text);

/** Whether text may be the id of a token, so that it can be put into an upstream path. Text shaped like a secret may not. */
export const isTokenId = (text: string): boolean => isId(text);

/** The forms that `parseWorkspaceUuid` reads, for messages to whoever wrote something else. */
export const WORKSPACE_FORM = `a UUID, in any case and with or without hyphens, or up to ${TOKEN_ID_MAX_CHARS} letters, digits, ".", "_", "~" and "-" with a letter or digit first`;

/**
 * Reads the id of a workspace in its one spelling, in which it is stored, compared and sent. Everything that takes an id reads
 * it with this: requests, the policy, the configuration, webhooks, filters, and the answers of PipeOps.
 *
 * An id that is no UUID is opaque and stays as it is. Null: the text is no id. Text shaped like a secret never is.
 */
export const parseWorkspaceUuid = (text: string): string | null => uuidOf(text) ?? (isId(text) ? text : null);

/** A workspace's id that was stored, or that PipeOps answered, in its one spelling. Text that is no id stays as it is. */
export const workspaceAsRead = (text: string): string => parseWorkspaceUuid(text) ?? text;

/**
 * Whether PipeOps names another workspace than this one. It says nothing where one of the two is no UUID: PipeOps' own may be
 * another kind of id, such as the number of a row.
 */
export function isElsewhere(workspaceUuid: string, workspaceId: string | null): boolean {
  const [own, other] = [uuidOf(workspaceUuid), workspaceId === null ? null : uuidOf(workspaceId)];
  return own !== null && other !== null && own !== other;
}

/** Whether PipeOps names this very workspace. Where neither this nor `isElsewhere` is true, nobody knows. */
export const isWithin = (workspaceUuid: string, workspaceId: string | null): boolean =>
  workspaceId !== null && workspaceAsRead(workspaceId) === workspaceAsRead(workspaceUuid);

/** Whether text is a UUID as this service writes its own: in lower case and five groups (RFC 9562 §4). */
export const isOwnUuid = (text: string): boolean => uuidOf(text) === text;

/** A UUID is 32 hexadecimal digits in either case (RFC 9562 §4). Its hyphens help the eye and mean nothing. */
const DIGITS = /^[0-9a-f]{32}$/;
/** A UUID as a URN, as RFC 9562 §4 writes it, and in braces, as .NET and PipeOps' Go library write it. */
const WRAPPINGS = [/^urn:uuid:(.+)$/i, /^\{(.+)\}$/];

/**
 * The one spelling of a UUID, in lower case and five groups (RFC 9562 §4); null if the text is no UUID.
 *
 * It reads either case, with hyphens or without, a URN and braces, because issuers, consoles and libraries write all of these.
 * Hyphens may stand between any two digits: databases read them wherever they are, so a UUID with a hyphen in an odd place must
 * not pass for another id. `canonicalWorkspace` in src/db/workspace-spelling.ts is this rule in SQL.
 */
export function uuidOf(text: string): string | null {
  const inner = WRAPPINGS.map((wrapping) => wrapping.exec(text)?.[1]).find((match) => match !== undefined) ?? text;
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
