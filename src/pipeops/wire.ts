import * as z from 'zod';
import { UPSTREAM_BODY_MAX_BYTES } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { decodeUtf8, readBody } from '../kit/bytes.ts';
import { isElsewhere, isTokenId, workspaceAsRead } from '../kit/ids.ts';
import { isObject } from '../kit/json.ts';
import { markerOf, stripMarker } from '../kit/marker.ts';
import { isSecret, redact } from '../kit/redaction.ts';
import { err, ok, type Result } from '../kit/result.ts';
import { parseTimeMs, rfc3339OrNull } from '../kit/time.ts';
import type { MintedToken, UpstreamToken } from './types.ts';

// PipeOps' answers. Each reader takes the JSON of a 2xx; null: it is no answer that PipeOps is known to give.

/** The envelope of a success: a 2xx that says of itself that it failed is none. */
const envelope = z.object({
  success: z.literal(true).nullish(),
  status: z
    .unknown()
    .optional()
    .refine((status) => status !== 'error'),
});

const isSuccess = (body: unknown): body is Fields => envelope.safeParse(body).success;

const dataOf = (body: unknown): Fields | null => {
  const data = isSuccess(body) ? body['data'] : null;
  return isObject(data) ? data : null;
};

/** Whether a body acknowledges a revoke. */
export const isAcknowledgement = (body: unknown): boolean => isSuccess(body);

/** The answer to a get or an update of `id`: `data` is the token, or holds it as `token`. */
export const readToken = (body: unknown, id: string): UpstreamToken | null => {
  const data = dataOf(body);
  const token = readTokenFields(isObject(data?.['token']) ? data['token'] : data);
  return token?.id === id ? token : null;
};

const isNone = (value: unknown): boolean => value === undefined || value === null || value === '';

/**
 * Flattens the `data` of a create: in the older form `data.token` is an object that has the secret, and id and name are in either.
 * Null: the two name different tokens, and nobody could say which one the secret belongs to.
 */
const flattenMinted = (data: Fields): Fields | null => {
  const { token: inner, ...outer } = data;
  if (!isObject(inner)) return data;
  const [outerId, innerId] = [readId(outer), readId(inner)];
  if (outerId !== null && innerId !== null && outerId !== innerId) return null;
  return { ...inner, ...Object.fromEntries(Object.entries(outer).filter(([, value]) => !isNone(value))) };
};

/** What the answer to a create leaves out, in all of its forms. An empty list of scopes is not left out. */
const leftOutOf = (flat: Fields): MintedToken['leftOut'] => {
  const names = { scopes: ['scopes', 'permissions'], expires_at: ['expires_at'], workspace_id: ['workspace_id'] };
  const isLeftOut = (field: keyof typeof names): boolean => names[field].every((name) => isNone(flat[name]));
  return new Set((['scopes', 'expires_at', 'workspace_id'] as const).filter(isLeftOut));
};

/**
 * Reads the answer to a create; without a secret it is none. Where the answer has no name, PipeOps' CLI takes the name that it sent,
 * and so does this.
 */
export const readMinted = (body: unknown, sentName: string): MintedToken | null => {
  const data = dataOf(body);
  const flat = data === null ? null : flattenMinted(data);
  if (flat === null) return null;
  const token = readTokenFields(isNone(flat['name']) ? { ...flat, name: sentName } : flat);
  const secret = flat['token'];
  if (token === null || typeof secret !== 'string' || !isSecret(secret)) return null;
  return { ...token, secret, leftOut: leftOutOf(flat) };
};

const count = z.int().min(0).nullish().catch(null);
const totals = z.object({
  total: count,
  pagination: z.object({ total: count }).nullish().catch(null),
});

/** How many tokens the list says there are, at the most; null: it does not say. */
const totalOf = (data: Fields): number | null => {
  const { total, pagination } = totals.parse(data);
  const counts = [total, pagination?.total].filter((value) => typeof value === 'number');
  return counts.length === 0 ? null : Math.max(...counts);
};

/** One answer to a list. */
export interface ListPage {
  /** The tokens that could be read, each once. */
  readonly tokens: readonly UpstreamToken[];
  /** How many items the page has, whatever they are. */
  readonly items: number;
  /** How many items could not be read, or name another workspace: PipeOps is not trusted to keep them apart. */
  readonly unreadable: number;
  /** How many tokens the page says there are, at the most; null: it does not say. */
  readonly total: number | null;
}

/** Reads the answer to a list, or to a page of one. A token that is not in it may exist all the same: see `gatherPages`. */
export const readPage = (body: unknown, workspaceUuid: string): ListPage | null => {
  const data = dataOf(body);
  if (data === null) return null;
  // Go writes an empty slice as null.
  const items = data['tokens'] === null ? [] : data['tokens'];
  if (!Array.isArray(items)) return null;
  const readable = items
    .map(readTokenFields)
    .filter((token) => token !== null)
    .filter((token) => !isElsewhere(workspaceUuid, token.workspaceId));
  const total = totalOf(data);
  return {
    // Each id counts once: a token sent twice must not stand in for another that was not sent.
    tokens: [...new Map(readable.map((token) => [token.id, token])).values()],
    items: items.length,
    unreadable: items.length - readable.length,
    // Go writes 0 for a number that nobody set.
    total: total === 0 && items.length > 0 ? null : total,
  };
};

// What decisions rest on (id, name, scopes, flags, expiry) must be readable. Any other value that is not readable counts as none, and so
// do absent, null and "". Keys that are not known here are left out.

/** Text that is shown or stored, so nothing shaped like a secret may pass. */
const optionalText = z
  .string()
  .nullish()
  .catch(null)
  .transform((text) => (text ? redact(text) : null));

const optionalTime = z
  .string()
  .nullish()
  .catch(null)
  .transform((text) => (text ? rfc3339OrNull(parseTimeMs(text)) : null));

/** An expiry that cannot be read must not become "never". */
const expiry = z
  .string()
  .nullish()
  .transform((text, context) => {
    if (!text) return null;
    const time = rfc3339OrNull(parseTimeMs(text));
    if (time === null) context.addIssue({ code: 'custom', message: 'unreadable time' });
    return time;
  });

/** Beside a UUID, `id` may be a database's number. */
const optionalId = z.string().nullish().catch(null);
const scopeList = z
  .union([z.array(z.string()), z.literal('')])
  .nullish()
  .transform((scopes) => scopes || null);
const flag = z.boolean().nullish();

const wireToken = z.object({
  token_uuid: optionalId,
  uuid: optionalId,
  id: optionalId,
  name: z.string(),
  description: optionalText,
  metadata: z.object({ description: optionalText }).nullish().catch(null),
  scopes: scopeList,
  permissions: scopeList,
  token_prefix: optionalText,
  workspace_id: optionalText,
  is_revoked: flag,
  is_expired: flag,
  is_active: flag,
  expires_at: expiry,
  created_at: optionalTime,
  updated_at: optionalTime,
  last_used_at: optionalTime,
});

type WireToken = z.infer<typeof wireToken>;

/** PipeOps' clients prefer them in this order. */
const idOf = (token: Pick<WireToken, 'token_uuid' | 'uuid' | 'id'>): string | null =>
  token.token_uuid || token.uuid || token.id || null;

/** The id of a token object; null where it has none, whatever its shape. */
const readId = (value: unknown): string | null => {
  const parsed = wireToken.pick({ token_uuid: true, uuid: true, id: true }).safeParse(value);
  return parsed.success ? idOf(parsed.data) : null;
};

/**
 * Redacts a name without its marker. `sat_report` is no secret, but with a marker behind it looks like one, and the create could not be
 * recognised if both were redacted.
 */
const redactName = (name: string): string => redact(stripMarker(name)) + (markerOf(name) ?? '');

/** Reads a token object of PipeOps in any of its forms; null: what matters is missing or unreadable. */
const readTokenFields = (value: unknown): UpstreamToken | null => {
  const parsed = wireToken.safeParse(value);
  if (!parsed.success) return null;
  const token = parsed.data;
  const id = idOf(token);
  if (id === null || !isTokenId(id)) return null;
  return {
    id,
    name: redactName(token.name),
    description: token.description ?? token.metadata?.description ?? null,
    // Where both are given and differ, the token is taken to have all of them.
    scopes: [...new Set([...(token.scopes ?? []), ...(token.permissions ?? [])])].map(redact),
    tokenPrefix: token.token_prefix,
    workspaceId: token.workspace_id === null ? null : workspaceAsRead(token.workspace_id),
    isRevoked: token.is_revoked ?? false,
    isExpired: token.is_expired ?? false,
    isActive: token.is_active ?? null,
    expiresAt: token.expires_at,
    createdAt: token.created_at,
    updatedAt: token.updated_at,
    lastUsedAt: token.last_used_at,
  };
};

/** A JSON object, its values not looked at yet. */
type Fields = Readonly<Record<string, unknown>>;

/** Lets go of a body that nobody will read, so that its connection is free again. It does not matter if that fails. */
export const discardBody = (response: Response): void => {
  response.body?.cancel().catch(() => {});
};

/**
 * Reads a body as JSON.
 *
 * Fails with `upstream_timeout` if the signal aborts first, `upstream_unreachable` if the connection breaks, and
 * `upstream_invalid_response` for too many bytes and for anything that is not whole JSON in UTF-8.
 */
export const readJson = async (response: Response, signal: AbortSignal): Promise<Result<unknown, UpstreamFailure>> => {
  const invalid = err({ kind: 'upstream_invalid_response', status: response.status } as const);
  if (response.body === null) return invalid;
  let chunks: readonly Uint8Array[] | null;
  try {
    chunks = await readBody(response.body, UPSTREAM_BODY_MAX_BYTES, signal);
  } catch {
    return err({ kind: signal.aborted ? 'upstream_timeout' : 'upstream_unreachable' });
  }
  if (chunks === null) return invalid;
  try {
    return ok(JSON.parse(decodeUtf8(chunks)));
  } catch {
    return invalid;
  }
};
