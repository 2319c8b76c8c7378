import * as z from 'zod';
import { isSecret } from '../kit/redaction.ts';
import { isFields, type Fields } from './fields.ts';
import { isElsewhere } from '../kit/ids.ts';
import { readId, readTokenFields } from './token-schema.ts';
import type { MintedToken, UpstreamToken } from './types.ts';

// Each reader takes the JSON of a 2xx and gives null where it is not an answer that PipeOps is known to give.

/** A 2xx that says of itself that it failed did not succeed. */
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
  return isFields(data) ? data : null;
};

/** Whether a body acknowledges a revoke. */
export const isAcknowledgement = (body: unknown): boolean => isSuccess(body);

/** The answer to a get or an update of `id`: `data` is the token, or holds it as `token`. */
export const readToken = (body: unknown, id: string): UpstreamToken | null => {
  const data = dataOf(body);
  const token = readTokenFields(isFields(data?.['token']) ? data['token'] : data);
  return token?.id === id ? token : null;
};

const isNone = (value: unknown): boolean => value === undefined || value === null || value === '';

/**
 * A create's `data` made flat: in the older form `data.token` is an object that holds the secret, and id and name stand
 * in either. Null where the two name different tokens: nobody could say which one the secret belongs to.
 */
const flattenMinted = (data: Fields): Fields | null => {
  const { token: inner, ...outer } = data;
  if (!isFields(inner)) return data;
  const [outerId, innerId] = [readId(outer), readId(inner)];
  if (outerId !== null && innerId !== null && outerId !== innerId) return null;
  return { ...inner, ...Object.fromEntries(Object.entries(outer).filter(([, value]) => !isNone(value))) };
};

/** What a create's answer does not say, in neither of its forms. An empty list of scopes is said. */
const leftOutOf = (flat: Fields): MintedToken['leftOut'] => {
  const names = { scopes: ['scopes', 'permissions'], expires_at: ['expires_at'], workspace_id: ['workspace_id'] };
  const isLeftOut = (field: keyof typeof names): boolean => names[field].every((name) => isNone(flat[name]));
  return new Set((['scopes', 'expires_at', 'workspace_id'] as const).filter(isLeftOut));
};

/**
 * The answer to a create. Without a secret it is not one. PipeOps' CLI takes the name that it sent where the answer has
 * none, and so does this.
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

/** The most tokens that the list says there are; null where it does not say. */
const totalOf = (data: Fields): number | null => {
  const { total, pagination } = totals.parse(data);
  const counts = [total, pagination?.total].filter((value) => typeof value === 'number');
  return counts.length === 0 ? null : Math.max(...counts);
};

/** One answer to a list. */
export interface ListPage {
  /** Those that could be read, each once. */
  readonly tokens: readonly UpstreamToken[];
  /** How many items it has, whatever they are. */
  readonly items: number;
  /** How many items could not be read, or name another workspace: PipeOps is not trusted to keep them apart. */
  readonly unreadable: number;
  /** The most tokens that it says there are; null where it does not say. */
  readonly total: number | null;
}

/** The answer to a list, or to a page of one. What is not in it may exist all the same: see `gatherPages`. */
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
    // By id, because one token sent twice must not stand in for another that was not sent.
    tokens: [...new Map(readable.map((token) => [token.id, token])).values()],
    items: items.length,
    unreadable: items.length - readable.length,
    // Go writes 0 for a number that nobody set.
    total: total === 0 && items.length > 0 ? null : total,
  };
};
