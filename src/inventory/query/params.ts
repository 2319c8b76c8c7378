import { base64url } from 'jose';
import * as z from 'zod';
import {
  INVENTORY_PAGE_DEFAULT_ROWS,
  INVENTORY_PAGE_MAX_ROWS,
  INVENTORY_PLACE_DETAIL_MAX_BYTES,
} from '../../config/inventory-limits.ts';
import type { RequestFailure } from '../../failures.ts';
import { limitUpTo, type ParseParameter, readParameter, refuseUnknown } from '../../http/query.ts';
import { cutToBytes } from '../../kit/bytes.ts';
import { isTokenId, parseWorkspaceUuid } from '../../kit/ids.ts';
import { parseJson } from '../../kit/json.ts';
import { createProblems } from '../../kit/problems.ts';
import { err, ok, type Result } from '../../kit/result.ts';
import { given, type Owner } from '../../trail/query/filter.ts';
import type { UnusedAfter } from '../usage.ts';
import { FILTER_PARAMETERS, filterDetail, type InventoryFilter, isByExpiry, readFilter } from './filter.ts';
import type { View } from './view.ts';

// A query of the inventory: its filter, and the place where its page begins.

/**
 * The token after which a page begins. It is one that the caller has seen or may see, and not its number in the table, from which a
 * caller could tell how many tokens others have.
 */
export interface Place {
  readonly workspaceUuid: string;
  readonly tokenId: string;
  /** When it expires, where tokens come in that order. */
  readonly dueMs: number | null;
}

/** A query of the inventory, as its parameters ask for it. */
export interface InventoryQuery {
  readonly filter: InventoryFilter;
  /** Null: the first page. */
  readonly after: Place | null;
  readonly limitRows: number;
}

/** A query, and what is known of who asks. */
export interface Asked extends InventoryQuery {
  readonly view: View;
  /** The fingerprints that the secret asked for has, one for each key; null: none is asked for. */
  readonly fingerprints: readonly string[] | null;
  readonly unusedAfter: UnusedAfter;
  readonly nowMs: number;
}

const PARAMETERS: readonly string[] = [...FILTER_PARAMETERS, 'limit', 'cursor'];

/**
 * Reads the parameters of a query of the inventory.
 *
 * Anything unknown, malformed or given twice is `invalid_request`, naming the parameter; text that looks like a secret is
 * `validation_failed`.
 *
 * @param caller whom `owner=me` means.
 */
export function parseInventoryQuery(query: URLSearchParams, caller: Owner): Result<InventoryQuery, RequestFailure> {
  const problems = createProblems();
  const unknown = [...new Set(query.keys())].filter((name) => !PARAMETERS.includes(name));
  refuseUnknown('parameter', unknown, PARAMETERS, problems);
  const filter = readFilter(query, caller, problems);
  const after = readParameter<Place | null>(query, 'cursor', cursor, null, problems);
  if (after !== null && (after.dueMs !== null) !== isByExpiry(filter)) problems.misunderstood('cursor', OF_ITS_PAGE);
  const limit = limitUpTo(INVENTORY_PAGE_MAX_ROWS);
  const limitRows = readParameter(query, 'limit', limit, INVENTORY_PAGE_DEFAULT_ROWS, problems);
  return problems.any() ? err(problems.failure()) : ok({ filter, after, limitRows });
}

const OF_ITS_PAGE = 'Use "next_cursor" of an earlier page of this very filter, as it was given.';

/** The cursor of a place. It carries no authority and no filter, so whoever has one is granted nothing. */
export const encodePlace = ({ workspaceUuid, tokenId, dueMs }: Place): string =>
  base64url.encode(JSON.stringify([workspaceUuid, tokenId, ...(dueMs === null ? [] : [dueMs])]));

const placeForm = z.union([z.tuple([z.string(), z.string()]), z.tuple([z.string(), z.string(), z.int()])]);

const cursor: ParseParameter<Place> = (text) => {
  const decoded = placeForm.safeParse(jsonIn(text));
  if (!decoded.success) return err(OF_ITS_PAGE);
  const [workspaceUuid, tokenId, dueMs = null] = decoded.data;
  const place = { workspaceUuid, tokenId, dueMs };
  const isOurs = parseWorkspaceUuid(workspaceUuid) === workspaceUuid && isTokenId(tokenId);
  return isOurs && encodePlace(place) === text ? ok(place) : err(OF_ITS_PAGE);
};

/** The JSON in a text of base64url; undefined for any other text. */
function jsonIn(text: string): unknown {
  try {
    return parseJson(new TextDecoder().decode(base64url.decode(text)));
  } catch {
    return undefined;
  }
}

/** What the row of a query says of it. The token and the workspace stand in columns of their own. */
export function queryDetail(
  { filter, after, limitRows }: InventoryQuery,
  caller: Owner,
): Readonly<Record<string, unknown>> {
  const from = after === null ? null : `${after.workspaceUuid}|${after.tokenId}`;
  return given({
    ...filterDetail(filter, caller),
    limit: limitRows,
    after: from === null ? null : cutToBytes(from, INVENTORY_PLACE_DETAIL_MAX_BYTES),
  });
}
