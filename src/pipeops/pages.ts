import { LIST_PAGES_MAX_COUNT, LIST_TOKENS_MAX_COUNT } from '../config/limits.ts';
import type { UpstreamFailure } from '../failures.ts';
import { ok } from '../kit/result.ts';
import type { TokenList, TokenListState, Upstream, UpstreamToken } from './types.ts';
import type { PageQuery } from './requests.ts';
import type { ListPage } from './wire.ts';

/** What the pages of a list have brought so far. */
interface Gathered {
  readonly tokens: ReadonlyMap<string, UpstreamToken>;
  /** The greatest total that a page told; null: none told one. */
  readonly total: number | null;
  readonly unreadable: number;
  readonly pages: number;
}

/**
 * Gathers a list from its pages. One page is enough if it shows as many ids as its total. Otherwise further pages are asked for, each
 * with as many tokens as the first one had: PipeOps publishes nothing about pages, so any answer to them is possible. The list is
 * complete if every item was readable and either the ids reach the total or the last page was empty. A total that also counts revoked
 * tokens, which are not shown, ends with an empty page.
 *
 * A page that brings no new id shows that PipeOps ignores `page`, and 400 or 422 that it has no pages. Then only the total counts, and
 * a list without a total is unproven. A later page that fails in any other way leaves the list partial: what is known of the list can
 * be shown, and is never taken for all of it.
 *
 * A list has at most LIST_TOKENS_MAX_COUNT tokens, so that it fits into the memory of an isolate. A longer one is partial.
 *
 * @param ask asks for a page, and for the first one without a query. Where that fails, this fails alike.
 */
export async function gatherPages(ask: (page?: PageQuery) => Upstream<ListPage>): Upstream<TokenList> {
  const first = await ask();
  if (!first.ok) return first;
  const { status, data } = first.value;
  const limit = data.items > 0 ? data.items : null;
  let gathered = add({ tokens: new Map(), total: null, unreadable: 0, pages: 0 }, data);
  let state = stateAfter(gathered, data, data.tokens.length);
  if (gathered.tokens.size > LIST_TOKENS_MAX_COUNT) return ok({ status, data: listOf(gathered, 'partial') });
  while (state === null) {
    if (gathered.pages >= LIST_PAGES_MAX_COUNT) return ok({ status, data: listOf(gathered, 'partial') });
    // One after the other: each says whether there is another.
    const next = await ask({ page: gathered.pages + 1, limit });
    if (!next.ok) {
      const asked = { ...gathered, pages: gathered.pages + 1 };
      return ok({ status, data: listOf(asked, stateWithoutPages(asked, next.error)) });
    }
    const before = gathered.tokens.size;
    gathered = add(gathered, next.value.data);
    state = stateAfter(gathered, next.value.data, gathered.tokens.size - before);
    if (gathered.tokens.size > LIST_TOKENS_MAX_COUNT) state = 'partial';
  }
  return ok({ status, data: listOf(gathered, state) });
}

function add(gathered: Gathered, page: ListPage): Gathered {
  const totals = [gathered.total, page.total].filter((total) => total !== null);
  return {
    tokens: new Map([...gathered.tokens, ...page.tokens.map((token) => [token.id, token] as const)]),
    total: totals.length === 0 ? null : Math.max(...totals),
    unreadable: gathered.unreadable + page.unreadable,
    pages: gathered.pages + 1,
  };
}

/** Says what the list is after a page; null: another page may bring more. */
function stateAfter(
  { tokens, total, unreadable, pages }: Gathered,
  page: ListPage,
  newIds: number,
): TokenListState | null {
  const end = unreadable === 0 ? 'complete' : 'partial';
  // Items that could not be read count too: no other page has them.
  if (total !== null && tokens.size + unreadable >= total) return end;
  // An empty first page is not believed at once if it says that there are tokens.
  if (page.items === 0 && (pages > 1 || total === null)) return end;
  if (pages > 1 && newIds === 0) return total === null && unreadable === 0 ? 'unproven' : 'partial';
  return null;
}

function stateWithoutPages({ total, unreadable }: Gathered, failure: UpstreamFailure): TokenListState {
  const arePagesUnknown = failure.kind === 'upstream_rejected' && [400, 422].includes(failure.status);
  return arePagesUnknown && total === null && unreadable === 0 ? 'unproven' : 'partial';
}

const listOf = ({ tokens, total, pages }: Gathered, state: TokenListState): TokenList => ({
  tokens: [...tokens.values()].slice(0, LIST_TOKENS_MAX_COUNT),
  total: Math.max(total ?? 0, tokens.size),
  complete: state === 'complete',
  state,
  pages,
});
