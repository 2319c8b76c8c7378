import * as z from 'zod';
import { eachOnce, grantName, type NameFault, presetFault, scopeFault } from '../config/grant-names.ts';
import {
  PRESET_MAX_CHARS,
  SCOPE_MAX_CHARS,
  SCOPES_MAX_COUNT,
  TOKEN_DESCRIPTION_MAX_BYTES,
  TOKEN_NAME_MAX_BYTES,
  TOKEN_TTL_MAX_SECONDS,
  WEBHOOK_PROBLEMS_MAX_COUNT,
} from '../config/limits.ts';
import { refuseUnknown } from '../http/query.ts';
import { byteLength } from '../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid, WORKSPACE_FORM, workspaceAsRead } from '../kit/ids.ts';
import { containsMarkerShape } from '../kit/marker.ts';
import type { Problems } from '../kit/problems.ts';
import { containsSecret } from '../kit/redaction.ts';
import { containsHiddenText, containsInvisible } from '../kit/text.ts';
import { durationSeconds, parseTimeMs, SECONDS_PER_DAY } from '../kit/time.ts';

/** Control characters, and line and paragraph separators, could make one name look like two in the trail. */
const CONTROL = /[\p{Cc}\p{Zl}\p{Zp}]/u;
const CONTROL_BUT_NEWLINE_AND_TAB = /(?![\n\t])[\p{Cc}\p{Zl}\p{Zp}]/u;

const LIKE_A_SECRET = 'Leave out what looks like a token or a JWT: this text is stored.';
const LIKE_A_MARKER = 'Leave out "-csgn-" with 16 letters or digits after it: this service adds it.';

/** Text that is passed on and stored: nothing in it is shaped like a secret or could pass for a marker. */
const wellFormedText = (maxBytes: number) =>
  z
    .string('Use text.')
    .refine((text) => !containsSecret(text), LIKE_A_SECRET)
    .refine((text) => !containsMarkerShape(text), LIKE_A_MARKER)
    .refine((text) => text.isWellFormed(), 'Use well-formed Unicode, without lone surrogates.')
    .refine((text) => byteLength(text) <= maxBytes, `Use at most ${maxBytes} bytes of UTF-8.`);

/** The name of a token. Its caller reads it again as it was sent, so it is never trimmed or otherwise changed here. */
export const tokenName = wellFormedText(TOKEN_NAME_MAX_BYTES)
  .refine((name) => name !== '', 'Give the token a name.')
  .refine((name) => name === name.trim(), 'Leave out the spaces at the beginning and the end.')
  .refine(
    (name) => !CONTROL.test(name) && !containsInvisible(name),
    'Leave out control characters, line breaks, direction marks and what nobody sees, such as zero-width spaces.',
  );

/** A description; it may be empty. It may hold the joiners and emoji styles that writing needs. */
export const tokenDescription = wellFormedText(TOKEN_DESCRIPTION_MAX_BYTES).refine(
  (text) => !CONTROL_BUT_NEWLINE_AND_TAB.test(text) && !containsHiddenText(text),
  'Leave out control characters other than newline (U+000A) and tab, direction marks and what nobody sees, such as zero-width spaces.',
);

const SCOPE_WORDING: Readonly<Record<NameFault, string>> = {
  secret: LIKE_A_SECRET,
  marker: LIKE_A_MARKER,
  wildcard:
    'Name each scope: none is a pattern. A role whose scopes are "*" has no ceiling, and grants each that is named.',
  form: 'Use a scope such as "api:read": lower case, its parts joined by colons.',
  too_long: `Use at most ${SCOPE_MAX_CHARS} characters.`,
};
const PRESET_FORM = `Use the name of a preset: 1 to ${PRESET_MAX_CHARS} lower-case letters, digits, ".", "-" and "_", the first a letter or digit.`;
const PRESET_WORDING: Readonly<Record<NameFault, string>> = {
  secret: LIKE_A_SECRET,
  marker: LIKE_A_MARKER,
  wildcard: PRESET_FORM,
  form: PRESET_FORM,
  too_long: PRESET_FORM,
};

/** A list of scopes. Their number is checked first: a long list of bad scopes must not make a long answer. */
export const scopeList = z
  .array(z.unknown(), 'Use a list of texts.')
  .max(SCOPES_MAX_COUNT, `Use at most ${SCOPES_MAX_COUNT} scopes.`)
  .pipe(z.array(grantName(scopeFault, SCOPE_WORDING, 'Use text.')))
  .transform(eachOnce);

/** One of PipeOps' named sets of scopes, such as `sandbox` or `mcp`. */
export const presetName = grantName(presetFault, PRESET_WORDING, 'Use text.');

export interface ScopeFields {
  readonly scopes?: readonly string[] | undefined;
  readonly permissions?: readonly string[] | undefined;
}

/** Reads `scopes`, or `permissions` as PipeOps' SDK calls them, or both if they are one set. Undefined: neither is given. */
export function readScopes(given: ScopeFields, problems: Problems): readonly string[] | undefined {
  const { scopes, permissions } = given;
  if (scopes !== undefined && permissions !== undefined && !isSameSet(scopes, permissions)) {
    const message = 'Give "scopes" or "permissions", or the same scopes in both.';
    problems.unacceptable('scopes', message);
    problems.unacceptable('permissions', message);
  }
  return scopes ?? permissions;
}

/** Whether two lists without duplicates are one set. */
const isSameSet = (some: readonly string[], others: readonly string[]): boolean =>
  some.length === others.length && some.every((one) => others.includes(one));

const UNREADABLE_TIME = 'Use a time in RFC 3339, such as "2030-01-31T12:00:00Z".';
const UNREADABLE_DURATION = 'Use a whole number and s, m, h, d or w, such as "30d", or a whole number of days.';

/** PipeOps' three forms of an expiry: a time, a duration such as `30d`, a whole number of days. */
export const expiryFields = {
  expires_at: z.string(UNREADABLE_TIME),
  expires_in: z.union([z.string(), z.number()], UNREADABLE_DURATION),
};

/**
 * Reads the expiry that a create asks for, in RFC 3339 with milliseconds, UTC; null: none. Empty text means none, as at PipeOps.
 *
 * Unacceptable are both fields at once, what cannot be read, a time that is not after `nowMs`, and one that is more than
 * `TOKEN_TTL_MAX_SECONDS` ahead.
 */
export function readExpiry(
  given: { readonly expires_at?: string | undefined; readonly expires_in?: string | number | undefined },
  nowMs: number,
  problems: Problems,
): string | null {
  const { expires_at: at = '', expires_in: within = '' } = given;
  if (at !== '' && within !== '') {
    problems.unacceptable('expires_at', 'Give "expires_at" or "expires_in", not both.');
    problems.unacceptable('expires_in', 'Give "expires_at" or "expires_in", not both.');
    return null;
  }
  if (at !== '') return checked('expires_at', parseTimeMs(at), UNREADABLE_TIME, nowMs, problems);
  if (within !== '') {
    const seconds = typeof within === 'number' ? secondsOfDays(within) : durationSeconds(within);
    const expiresAtMs = seconds === null ? null : nowMs + seconds * 1000;
    return checked('expires_in', expiresAtMs, UNREADABLE_DURATION, nowMs, problems);
  }
  return null;
}

function checked(
  field: string,
  expiresAtMs: number | null,
  unreadable: string,
  nowMs: number,
  problems: Problems,
): string | null {
  if (expiresAtMs === null) problems.unacceptable(field, unreadable);
  else if (expiresAtMs <= nowMs) problems.unacceptable(field, 'Use a time in the future.');
  else if (expiresAtMs - nowMs <= TOKEN_TTL_MAX_SECONDS * 1000) return new Date(expiresAtMs).toISOString();
  else problems.unacceptable(field, `Use a time at most ${TOKEN_TTL_MAX_SECONDS / SECONDS_PER_DAY} days ahead.`);
  return null;
}

const secondsOfDays = (days: number): number | null => (Number.isSafeInteger(days) ? days * SECONDS_PER_DAY : null);

/** PipeOps' two names of the only parameter of any token route. The first is the one that we advise. */
export const WORKSPACE_PARAMETERS = ['workspace_uuid', 'workspace'] as const;

/** The workspace in a body, under either name. */
type InBody = { readonly [Name in (typeof WORKSPACE_PARAMETERS)[number]]?: string | undefined };

/** Every value that names the workspace of a request, with the name that it was given under. */
const namedIn = (query: URLSearchParams, inBody: InBody): readonly (readonly [name: string, value: string])[] =>
  WORKSPACE_PARAMETERS.flatMap((name) =>
    [...query.getAll(name), inBody[name] ?? []].flat().map((value) => [name, value] as const),
  );

/**
 * Tells a request from another one with its idempotency key: the request as it was sent, before any default, with its workspace in the
 * one spelling.
 *
 * `former` is what an earlier version of this service took, which knew a workspace by each of its spellings; null: it took the same.
 */
export function sentWithKey(query: URLSearchParams, body: Readonly<Record<string, unknown>>) {
  const sentIn = (spell: (text: string) => string) => [
    namedIn(query, {}).map(([, value]) => spell(value)),
    Object.fromEntries(
      Object.entries(body).map(([name, value]) => [
        name,
        WORKSPACE_PARAMETERS.some((known) => known === name) && typeof value === 'string' ? spell(value) : value,
      ]),
    ),
  ];
  const spelled = namedIn(query, body).find(([, value]) => workspaceAsRead(value) !== value)?.[1];
  const former = spelled === undefined ? null : { workspaceUuid: spelled, sent: sentIn((text) => text) };
  return { sent: sentIn(workspaceAsRead), former };
}

/**
 * Reads the workspace that a request is about: from the query, the body or the configured default, under either of PipeOps' names. Null:
 * none can be used, which is reported. Every other query parameter is refused.
 *
 * An empty value is refused too and never means the default: a script sends it whose variable is unset.
 */
export function readWorkspace(
  query: URLSearchParams,
  inBody: InBody,
  defaultWorkspaceUuid: string | null,
  problems: Problems,
): string | null {
  const unknown = new Set(query.keys());
  for (const name of WORKSPACE_PARAMETERS) unknown.delete(name);
  refuseUnknown('parameter', [...unknown], WORKSPACE_PARAMETERS, problems);

  const named = namedIn(query, inBody);
  const [parameter] = named[0] ?? WORKSPACE_PARAMETERS;
  const read = named.map(([, value]) => parseWorkspaceUuid(value));
  if (read.includes(null)) {
    problems.misunderstood(parameter, `Use the id of a workspace: ${WORKSPACE_FORM}.`);
    return null;
  }
  if (new Set(read).size > 1) {
    problems.misunderstood(parameter, 'Give one workspace: this request names several.');
    return null;
  }
  const workspaceUuid = read[0] ?? defaultWorkspaceUuid;
  if (workspaceUuid === null) {
    problems.misunderstood(
      parameter,
      'Name the workspace: in the query, in the body of a create or update, or by PIPEOPS_WORKSPACE_UUID in the configuration of this service.',
    );
    return null;
  }
  return workspaceUuid;
}

/** Reads the id of a token as it stood in the path, decoded; null: it is no id, which is reported. */
export function readTokenId(id: string, problems: Problems): string | null {
  if (isTokenId(id)) return id;
  problems.misunderstood('id', 'Use the id of a token, as a create or a list gave it.');
  return null;
}

/**
 * Reads the fields of a body. A field that is not in order is reported and left out, so that the others can still be judged. Null counts
 * as absent, as PipeOps' CLI means it.
 *
 * @param schema every field optional
 * @param within the path of the object that the fields stand in, such as `metadata.`
 */
export function readFields<S extends z.ZodObject>(
  body: Readonly<Record<string, unknown>>,
  schema: S,
  problems: Problems,
  within = '',
): z.output<S> {
  const known = Object.keys(schema.shape);
  const path = (name: string): string => within + name;
  const unknown = Object.keys(body).filter((name) => !known.includes(name));
  refuseUnknown('field', unknown.map(path), known.map(path), problems);

  const given = Object.entries(body).filter(([name, value]) => known.includes(name) && value !== null);
  const parsed = schema.safeParse(Object.fromEntries(given));
  if (parsed.success) return parsed.data;
  const bad = new Set(parsed.error.issues.map((issue) => String(issue.path[0])));
  for (const issue of told(parsed.error.issues)) problems.unacceptable(path(String(issue.path[0])), describe(issue));
  return schema.parse(Object.fromEntries(given.filter(([name]) => !bad.has(name))));
}

/** Of the items of lists only the first ones are told: a thousand must not come back as a thousand complaints. */
const told = (issues: readonly z.core.$ZodIssue[]): readonly z.core.$ZodIssue[] => {
  const ofItems = issues.filter(({ path: [, index] }) => index !== undefined);
  const beyond = new Set(ofItems.slice(WEBHOOK_PROBLEMS_MAX_COUNT));
  return issues.filter((issue) => !beyond.has(issue));
};

/** The message of an issue. Of a list it tells the position, counted from 1. */
const describe = ({ message, path: [, index] }: z.core.$ZodIssue): string =>
  typeof index === 'number' ? `Number ${index + 1}: ${message}` : message;
