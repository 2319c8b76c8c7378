import type { InventoryQuery } from '../../../package/client/requests.ts';
import type { TokenState, TokenUsage } from '../../../package/client/vocabulary.ts';

// Which tokens the inventory shows: the query of the address, and what the API is asked for it. Names in the address are the API's own,
// so that other pages can link here by them.

const DAY_MS = 24 * 60 * 60_000;

/** Tokens that work, or can be made to work again. */
const LIVE: readonly TokenState[] = ['active', 'suspended', 'retiring'];

interface Quick {
  readonly title: string;
  readonly states?: readonly TokenState[];
  readonly usage?: TokenUsage;
  /** Those that expire within so many days. */
  readonly withinDays?: number;
}

/** The quick filters, in the order in which they are offered. The first is what an address without any shows. */
export const QUICK_FILTERS = {
  active: { title: 'Active', states: ['active'] },
  'expiring-7d': { title: 'Expiring within 7 days', states: LIVE, withinDays: 7 },
  'expiring-30d': { title: 'Expiring within 30 days', states: LIVE, withinDays: 30 },
  unused: { title: 'Unused', states: LIVE, usage: 'unused' },
  'never-used': { title: 'Never used', states: LIVE, usage: 'never_used' },
  suspended: { title: 'Suspended', states: ['suspended'] },
  retiring: { title: 'Retiring', states: ['retiring'] },
  all: { title: 'All' },
} as const satisfies Readonly<Record<string, Quick>>;
export type QuickFilter = keyof typeof QUICK_FILTERS;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of QUICK_FILTERS are these
export const QUICK_NAMES = Object.keys(QUICK_FILTERS) as readonly QuickFilter[];

/** The filters that one searches by, and the word for each in the search field. Each matches whole values. */
export const WORDS = {
  token_name: 'name',
  token_prefix: 'prefix',
  token_id: 'id',
  label: 'owner',
  role: 'role',
  scope: 'scope',
  policy_version: 'policy',
  workspace_uuid: 'workspace',
} as const;
export type Term = keyof typeof WORDS;
// oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of WORDS are these
export const TERMS = Object.keys(WORDS) as readonly Term[];

export interface TokenFilter {
  readonly show: QuickFilter;
  /** `me`, `none`, or `issuer|subject`. */
  readonly owner: string | null;
  readonly terms: Readonly<Partial<Record<Term, string>>>;
  /** The API gives no other order. */
  readonly order: 'newest' | 'expiry';
}

/** Reads the filter of an address. What it does not know is ignored. */
export function filterOf(search: URLSearchParams): TokenFilter {
  const show = search.get('show');
  const terms: Partial<Record<Term, string>> = {};
  for (const term of TERMS) {
    const value = search.get(term);
    if (value !== null && value !== '') terms[term] = value;
  }
  const owner = search.get('owner');
  return {
    show: QUICK_NAMES.find((name) => name === show) ?? 'active',
    owner: owner === '' ? null : owner,
    terms,
    order: search.get('sort') === 'expiry' ? 'expiry' : 'newest',
  };
}

/** The query of the address of a filter: empty, or with its `?`. */
export function searchOf({ show, owner, terms, order }: TokenFilter): string {
  const search = new URLSearchParams();
  if (show !== 'active') search.set('show', show);
  if (owner !== null) search.set('owner', owner);
  for (const term of TERMS) {
    const value = terms[term];
    if (value !== undefined) search.set(term, value);
  }
  if (order === 'expiry') search.set('sort', 'expiry');
  const text = search.toString();
  return text === '' ? '' : `?${text}`;
}

/** Whether the page begins with what expires soonest. Then it lacks tokens that never expire, and revoked ones. */
export const isByExpiry = ({ show, order }: TokenFilter): boolean =>
  order === 'expiry' || 'withinDays' in QUICK_FILTERS[show];

/**
 * What the API is asked.
 *
 * @param nowMs the time that "within 7 days" counts from. All pages of one list are asked for with the same, since a cursor goes with one
 *   filter.
 */
export function inventoryQueryOf(filter: TokenFilter, nowMs: number): InventoryQuery {
  const { show, owner, terms } = filter;
  const { states, usage, withinDays }: Quick = QUICK_FILTERS[show];
  return {
    ...terms,
    ...(owner !== null && { owner }),
    ...(states !== undefined && { state: states }),
    ...(usage !== undefined && { usage }),
    // A bound of the expiry is what makes the API begin with what expires soonest.
    ...(isByExpiry(filter) && { expires_from: new Date(show === 'all' ? 0 : nowMs).toISOString() }),
    ...(withinDays !== undefined && { expires_to: new Date(nowMs + withinDays * DAY_MS).toISOString() }),
  };
}
