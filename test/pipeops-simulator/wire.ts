import type { FaultForm, Said } from './faults-wire.ts';
import type { StoredToken } from './state.ts';

/** `body` is sent as JSON unless it is text; null: no body. */
export interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export type FieldErrors = Readonly<Record<string, readonly string[]>>;

/** PipeOps' error envelope. */
export const failure = (status: number, message: string, errors?: FieldErrors): Answer => ({
  status,
  body: { success: false, status: 'error', message, ...(errors !== undefined && { errors }) },
});

export const success = (status: number, message: string, data?: unknown): Answer => ({
  status,
  body: { success: true, message, ...(data !== undefined && { data }) },
});

type Forms = ReadonlySet<FaultForm>;

/** As Go's encoder writes a time: RFC 3339, no zeros at the end of a fraction. */
export const rfc3339 = (ms: number): string => new Date(ms).toISOString().replace(/\.?0+Z$/, 'Z');

const time = (value: string | null, forms: Forms): string | null => {
  if (!forms.has('space_times')) return value;
  return value === null ? '' : new Date(value).toISOString().slice(0, 19).replace('T', ' ');
};

const ids = (id: string, forms: Forms): Readonly<Record<string, string>> => {
  if (forms.has('token_uuid')) return { token_uuid: id };
  if (forms.has('uuid_only')) return { uuid: id };
  if (forms.has('id_only')) return { id };
  return { id, uuid: id };
};

const scopes = (token: StoredToken, forms: Forms): Readonly<Record<string, readonly string[]>> =>
  forms.has('permissions') ? { permissions: token.scopes } : { scopes: token.scopes };

/** PipeOps shows `sat_` and the seven characters after it. */
export const tokenPrefix = (secret: string): string => secret.slice(0, 11);

export const isExpired = (token: Pick<StoredToken, 'expires_at'>, nowMs: number): boolean =>
  token.expires_at !== null && Date.parse(token.expires_at) <= nowMs;

/** A token as list, get and update tell it: never its secret. */
export const tokenFields = (token: StoredToken, forms: Forms, nowMs: number): Readonly<Record<string, unknown>> => ({
  ...ids(token.id, forms),
  name: token.name,
  ...(token.description !== null && { description: token.description }),
  ...scopes(token, forms),
  token_prefix: tokenPrefix(token.secret),
  workspace_id: token.workspace_uuid,
  is_revoked: token.is_revoked,
  is_expired: isExpired(token, nowMs),
  is_active: token.is_active,
  expires_at: time(token.expires_at, forms),
  created_at: time(token.created_at, forms),
  updated_at: time(token.updated_at, forms),
  last_used_at: time(token.last_used_at, forms),
});

type Fields = Readonly<Record<string, unknown>>;

/** A token's fields as an answer says them. */
const said = (fields: Fields, { says = {}, lacks = [] }: Said = {}): Fields => {
  const nameOf = (field: string): string => (field === 'scopes' && 'permissions' in fields ? 'permissions' : field);
  const changed = Object.entries(says).map(([field, value]) => [nameOf(field), value] as const);
  const left = new Set(lacks.map(nameOf));
  return Object.fromEntries(
    Object.entries({ ...fields, ...Object.fromEntries(changed) }).filter(([name]) => !left.has(name)),
  );
};

/** The one answer that holds the secret. */
export const createAnswer = (token: StoredToken, forms: Forms, saying?: Said): Answer => {
  const fields = {
    ...ids(token.id, forms),
    name: token.name,
    token: token.secret,
    token_prefix: tokenPrefix(token.secret),
    workspace_id: token.workspace_uuid,
    ...scopes(token, forms),
    expires_at: time(token.expires_at, forms),
    created_at: time(token.created_at, forms),
    is_active: token.is_active,
  };
  const data = said(fields, saying);
  return success(201, 'Service account token created', forms.has('token_object') ? { token: data } : data);
};

export const tokenAnswer = (
  message: string,
  token: StoredToken,
  forms: Forms,
  nowMs: number,
  saying?: Said,
): Answer => {
  const fields = said(tokenFields(token, forms, nowMs), saying);
  return success(200, message, forms.has('flat_get') ? fields : { token: fields });
};

/** @param total null: the answer has none. */
export const listAnswer = (
  tokens: readonly StoredToken[],
  total: number | null,
  forms: Forms,
  nowMs: number,
  saying?: Said,
): Answer =>
  success(200, 'Service account tokens retrieved', {
    tokens: tokens.map((token) => said(tokenFields(token, forms, nowMs), saying)),
    ...(total !== null && (forms.has('pagination_total') ? { pagination: { total } } : { total })),
  });

export const revokeAnswer = (forms: Forms): Answer =>
  forms.has('no_content') ? { status: 204, body: null } : success(200, 'Service account token revoked');
