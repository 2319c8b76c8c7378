import type { Behaving } from './behaviours.ts';
import { seenBy, withUsage } from './behaviours.ts';
import type { ListBehaviour } from './faults-wire.ts';
import type { State, StoredToken } from './state.ts';

/** What a list answers: a page of tokens and the total, or a status in their place. */
export type Listed =
  | { readonly tokens: readonly StoredToken[]; readonly total: number | null }
  | { readonly refused: number };

/** The list of a workspace, as its behaviour shows it. */
export function listOf(
  workspaceUuid: string,
  query: URLSearchParams,
  behaving: Behaving | undefined,
  state: State,
  nowMs: number,
): Listed {
  const list = behaving?.list ?? {};
  const seeing = { since: behaving?.since ?? 0, nowMs, state };
  const seen = state
    .list(workspaceUuid)
    .map((token) => seenBy(list, token, seeing))
    .filter((token) => token !== undefined)
    .map((token) => withUsage(token, behaving, state));
  const live = list.lacks_revoked === true ? seen.filter((token) => !token.is_revoked) : seen;
  const shown = list.empty === true ? [] : live.slice(0, list.cut);
  const page = pageOf(list, shown, query);
  if (page === null) return { refused: list.pages === 422 ? 422 : 400 };
  const totals = { with_revoked: list.empty === true ? 0 : seen.length, none: null };
  const { total = shown.length } = list;
  return { tokens: page, total: typeof total === 'number' ? total : totals[total] };
}

/** Null: the query's `page` is refused. */
function pageOf(
  { page_size: size, pages = 'honoured' }: ListBehaviour,
  tokens: readonly StoredToken[],
  query: URLSearchParams,
): readonly StoredToken[] | null {
  if (size === undefined) return tokens;
  if (typeof pages === 'number' && query.has('page')) return null;
  if (typeof pages === 'number' || pages === 'ignored') return tokens.slice(0, size);
  const limit = Math.min(size, positive(query.get('limit')) ?? size);
  const last = Math.max(1, Math.ceil(tokens.length / limit));
  const asked = positive(query.get('page')) ?? 1;
  const page = pages === 'clamped' ? Math.min(asked, last) : asked;
  return tokens.slice((page - 1) * limit, page * limit);
}

function positive(text: string | null): number | null {
  return text !== null && /^[1-9]\d*$/.test(text) ? Number(text) : null;
}
