import * as z from 'zod';
import { isSecret } from '../text/redaction.ts';
import { isFields, type Fields } from './fields.ts';
import { readId, readTokenFields } from './token-schema.ts';
import type { MintedToken, TokenList, UpstreamToken } from './types.ts';

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
  return { ...token, secret, leftOut: new Set() };
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

/**
 * The answer to a list. A token in it that cannot be read is left out, and the list is then incomplete, as is one that
 * does not say how many tokens there are: what is not in it may exist all the same. So is one with a token that names
 * another workspace: PipeOps is not trusted to keep them apart.
 */
export const readList = (body: unknown, workspaceUuid: string): TokenList | null => {
  const data = dataOf(body);
  if (data === null) return null;
  // Go writes an empty slice as null.
  const items = data['tokens'] === null ? [] : data['tokens'];
  if (!Array.isArray(items)) return null;
  const readable = items
    .map(readTokenFields)
    .filter((token) => token !== null)
    .filter((token) => !namesAnotherWorkspace(token, workspaceUuid));
  // By id, because one token sent twice must not stand in for another that was not sent.
  const tokens = [...new Map(readable.map((token) => [token.id, token])).values()];
  const total = totalOf(data);
  return {
    tokens,
    total: Math.max(total ?? 0, tokens.length),
    complete: readable.length === items.length && total === tokens.length,
    pages: 1,
  };
};

const UUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

/** `workspace_id` is compared where both are UUIDs: elsewhere it may be another kind of id, which says nothing. */
const namesAnotherWorkspace = ({ workspaceId }: UpstreamToken, workspaceUuid: string): boolean =>
  workspaceId !== null &&
  UUID.test(workspaceId) &&
  UUID.test(workspaceUuid) &&
  workspaceId.toLowerCase() !== workspaceUuid.toLowerCase();
