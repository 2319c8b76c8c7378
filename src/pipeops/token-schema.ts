import * as z from 'zod';
import { markerOf, stripMarker } from '../kit/marker.ts';
import { redact } from '../kit/redaction.ts';
import { isTokenId, workspaceAsRead } from '../kit/ids.ts';
import { parseTimeMs, rfc3339OrNull } from '../kit/time.ts';
import type { UpstreamToken } from './types.ts';

// What decisions rest on (id, name, scopes, flags, expiry) must be readable; of the rest, what is not is none. Absent,
// null and "" all mean none. Keys that are not known here are left out.

/** Text that is shown or stored: nothing shaped like a secret passes. */
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
export const readId = (value: unknown): string | null => {
  const parsed = wireToken.pick({ token_uuid: true, uuid: true, id: true }).safeParse(value);
  return parsed.success ? idOf(parsed.data) : null;
};

/**
 * The marker is kept out of it: `sat_report` is no secret, but with a marker behind it looks like one, and redacting
 * both would make the create unrecognisable.
 */
const redactName = (name: string): string => redact(stripMarker(name)) + (markerOf(name) ?? '');

/** A token object of PipeOps in any of its forms; null where what matters is missing or unreadable. */
export const readTokenFields = (value: unknown): UpstreamToken | null => {
  const parsed = wireToken.safeParse(value);
  if (!parsed.success) return null;
  const token = parsed.data;
  const id = idOf(token);
  if (id === null || !isTokenId(id)) return null;
  return {
    id,
    name: redactName(token.name),
    description: token.description ?? token.metadata?.description ?? null,
    // Where both are given and differ, the token is taken to hold all of them.
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
