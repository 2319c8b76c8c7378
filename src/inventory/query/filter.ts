import { ACTOR_ISSUER_MAX_BYTES, ACTOR_SUBJECT_MAX_BYTES } from '../../config/limits.ts';
import {
  INVENTORY_FILTER_DETAIL_MAX_BYTES,
  INVENTORY_FILTER_TEXT_BYTES,
  INVENTORY_LABEL_MAX_BYTES,
} from '../../config/inventory-limits.ts';
import { matching, type ParseParameter, readParameter } from '../../http/query.ts';
import { byteLength, cutToBytes } from '../../kit/bytes.ts';
import type { Problems } from '../../kit/problems.ts';
import { containsSecret } from '../../kit/redaction.ts';
import { err, ok } from '../../kit/result.ts';
import { rfc3339OrNull } from '../../kit/time.ts';
import { readWorkspace, WORKSPACE_PARAMETERS } from '../../tokens/fields.ts';
import { FORMS, given, ME, type Owner, STORES_NO_SECRET, time } from '../../trail/query/filter.ts';
import { TOKEN_STATES, TOKEN_USAGES, type TokenState, type TokenUsage } from '../../vocabulary.ts';

// Which tokens of the inventory are asked for: the parameters that filter, and what the row of a query says of them.

/** Milliseconds since the epoch; null: without a bound. `fromMs` is included, `toMs` is not. */
export interface Span {
  readonly fromMs: number | null;
  readonly toMs: number | null;
}

/** Which tokens are asked for: those that match every field. Null, and an empty list, match any token. */
export interface InventoryFilter {
  readonly workspaceUuid: string | null;
  /** `none`: tokens that nobody made through this service. */
  readonly owner: Owner | 'none' | null;
  /** A whole label, in whatever case. */
  readonly label: string | null;
  readonly role: string | null;
  readonly policyVersion: string | null;
  readonly scope: string | null;
  readonly tokenName: string | null;
  readonly tokenId: string | null;
  readonly tokenPrefix: string | null;
  /** The SHA-256 of a secret, in lower-case hex. It is never stored. */
  readonly tokenSha256: string | null;
  readonly states: readonly TokenState[];
  readonly usages: readonly TokenUsage[];
  readonly created: Span;
  readonly expires: Span;
  readonly lastUsed: Span;
  readonly replaces: string | null;
  readonly replacedBy: string | null;
}

const ANY_TIME: Span = { fromMs: null, toMs: null };
/** The filter that every token matches. */
export const NO_TOKEN_FILTER: InventoryFilter = {
  workspaceUuid: null,
  owner: null,
  label: null,
  role: null,
  policyVersion: null,
  scope: null,
  tokenName: null,
  tokenId: null,
  tokenPrefix: null,
  tokenSha256: null,
  states: [],
  usages: [],
  created: ANY_TIME,
  expires: ANY_TIME,
  lastUsed: ANY_TIME,
  replaces: null,
  replacedBy: null,
};

/** Whether a filter asks by the time of expiry. Then tokens come in the order in which they expire. */
export const isByExpiry = ({ expires }: Pick<InventoryFilter, 'expires'>): boolean =>
  expires.fromMs !== null || expires.toMs !== null;

const SPANS = { created: 'created', expires: 'expires', lastUsed: 'last_used' } as const;

/** The parameters that `readFilter` reads. */
export const FILTER_PARAMETERS = [
  ...WORKSPACE_PARAMETERS,
  'owner',
  'label',
  'role',
  'policy_version',
  'scope',
  'token_name',
  'token_id',
  'token_prefix',
  'token_sha256',
  'state',
  'usage',
  'created_from',
  'created_to',
  'expires_from',
  'expires_to',
  'last_used_from',
  'last_used_to',
  'replaces',
  'replaced_by',
] as const;

/** The parameters whose text a caller chooses. A secret in the place of its own SHA-256 is refused too. */
const STORED = [
  'owner',
  'label',
  'role',
  'policy_version',
  'scope',
  'token_name',
  'token_id',
  'token_prefix',
  'replaces',
  'replaced_by',
  ...WORKSPACE_PARAMETERS,
] as const;

/**
 * Reads the parameters that say which tokens are asked for.
 *
 * One that is malformed or given twice is reported as misunderstood. Text that looks like a secret is reported as unacceptable, because
 * the query is in the trail with its filter.
 *
 * @param caller whom `owner=me` means.
 */
export function readFilter(query: URLSearchParams, caller: Owner, problems: Problems): InventoryFilter {
  for (const name of STORED) if (query.getAll(name).some(containsSecret)) problems.unacceptable(name, STORES_NO_SECRET);
  if (query.getAll('token_sha256').some(containsSecret)) problems.unacceptable('token_sha256', NOT_THE_SECRET);
  const read = <T>(name: (typeof FILTER_PARAMETERS)[number], parse: ParseParameter<T>): T | null =>
    problems.has(name) ? null : readParameter<T | null>(query, name, parse, null, problems);
  const span = (name: (typeof SPANS)[keyof typeof SPANS]): Span => {
    const [fromMs, toMs] = [read(`${name}_from`, time), read(`${name}_to`, time)];
    if (fromMs !== null && toMs !== null && toMs <= fromMs) {
      problems.misunderstood(`${name}_to`, `Use a time after "${name}_from". That very time is not included.`);
    }
    return { fromMs, toMs };
  };
  const filter: InventoryFilter = {
    workspaceUuid: readNamedWorkspace(query, problems),
    owner: ownerOf(read('owner', ownerForm), caller),
    label: read('label', labelForm),
    role: read('role', FORMS.role),
    policyVersion: read('policy_version', FORMS.policyVersion),
    scope: read('scope', FORMS.scope),
    tokenName: read('token_name', FORMS.tokenName),
    tokenId: read('token_id', FORMS.tokenId),
    tokenPrefix: read('token_prefix', FORMS.tokenPrefix),
    tokenSha256: read('token_sha256', sha256Form)?.toLowerCase() ?? null,
    states: read('state', someOf(TOKEN_STATES)) ?? [],
    usages: read('usage', someOf(TOKEN_USAGES)) ?? [],
    created: span('created'),
    expires: span('expires'),
    lastUsed: span('last_used'),
    replaces: read('replaces', FORMS.tokenId),
    replacedBy: read('replaced_by', FORMS.tokenId),
  };
  if (isByExpiry(filter) && filter.states.includes('revoked')) {
    problems.misunderstood('state', 'Leave out "revoked", or "expires_from" and "expires_to": it expires no more.');
  }
  return filter;
}

/** Unlike that of a route about one workspace, it has no default: whoever names none asks for all. */
function readNamedWorkspace(query: URLSearchParams, problems: Problems): string | null {
  const named = [...query].filter(([name]) => WORKSPACE_PARAMETERS.some((known) => known === name));
  const isUnread = named.length === 0 || named.some(([name]) => problems.has(name));
  return isUnread ? null : readWorkspace(new URLSearchParams(named), {}, null, problems);
}

const NOT_THE_SECRET = 'Send the SHA-256 of the secret, in hex. A secret itself is never sent here.';
const sha256Form = matching(
  (text) => /^[0-9A-Fa-f]{64}$/.test(text),
  'Use the SHA-256 of a secret: 64 hexadecimal digits.',
);

const NOBODY = 'none';
/** No issuer has a bar in it, so the first one ends it. */
export const OWNER = new RegExp(
  String.raw`^(?:${ME}|${NOBODY}|[^|\u0000-\u001F\u007F-\u009F]+\|[^\u0000-\u001F\u007F-\u009F]+)$`,
);
const OWNER_MAX_BYTES = ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES;
const ownerForm = matching(
  (text) => OWNER.test(text) && byteLength(text) <= OWNER_MAX_BYTES,
  `Use "${ME}", an issuer and a subject with "|" between them, or "${NOBODY}" for tokens that nobody made here: at most ${OWNER_MAX_BYTES} bytes.`,
);

function ownerOf(text: string | null, { issuer, subject }: Owner): InventoryFilter['owner'] {
  if (text === null || text === NOBODY) return text;
  if (text === ME) return { issuer, subject };
  const bar = text.indexOf('|');
  return { issuer: text.slice(0, bar), subject: text.slice(bar + 1) };
}

const labelForm = matching(
  (text) => text !== '' && byteLength(text) <= INVENTORY_LABEL_MAX_BYTES && !/\p{Cc}/u.test(text),
  `Use a whole label: 1 to ${INVENTORY_LABEL_MAX_BYTES} bytes.`,
);

/** Reads one or more of a closed list, with commas between them, in the order of the list. */
const someOf =
  <T extends string>(known: readonly T[]): ParseParameter<readonly T[]> =>
  (text) => {
    const names = text.split(',');
    return names.every((name) => known.some((one) => one === name))
      ? ok(known.filter((one) => names.includes(one)))
      : err(`Use one or more of these, separated by commas: ${known.join(', ')}.`);
  };

/** What the row of a query says of its filter. The token and the workspace stand in columns of their own. */
export const filterDetail = (filter: InventoryFilter, caller: Owner): Readonly<Record<string, unknown>> =>
  fitting(detailOf(filter, caller));

function detailOf(filter: InventoryFilter, caller: Owner): Readonly<Record<string, unknown>> {
  const spans = Object.entries(SPANS).flatMap(([field, name]) => {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of SPANS are these
    const { fromMs, toMs } = filter[field as keyof typeof SPANS];
    return [
      [`${name}_from`, rfc3339OrNull(fromMs)],
      [`${name}_to`, rfc3339OrNull(toMs)],
    ];
  });
  return given({
    owner: ownerDetail(filter.owner, caller),
    label: filter.label,
    role: filter.role,
    policy_version: filter.policyVersion,
    scope: filter.scope,
    token_name: filter.tokenName,
    token_prefix: filter.tokenPrefix,
    // That it was asked for, and not for which: whoever reads the trail learns nothing that fits a secret.
    token_sha256: filter.tokenSha256 === null ? null : true,
    state: filter.states.length === 0 ? null : filter.states,
    usage: filter.usages.length === 0 ? null : filter.usages,
    ...Object.fromEntries(spans),
    replaces: filter.replaces,
    replaced_by: filter.replacedBy,
  });
}

function ownerDetail(owner: InventoryFilter['owner'], caller: Owner): string | null {
  if (owner === null || owner === 'none') return owner;
  const isCaller = owner.issuer === caller.issuer && owner.subject === caller.subject;
  return isCaller ? ME : `${owner.issuer}|${owner.subject}`;
}

/** A detail whose texts are cut, no more than they have to be, until all of it has room in a row. */
function fitting(detail: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const cutTo = (maxBytes: number) =>
    Object.fromEntries(
      Object.entries(detail).map(([name, value]) => [
        name,
        typeof value === 'string' ? cutToBytes(value, maxBytes) : value,
      ]),
    );
  const cuts = INVENTORY_FILTER_TEXT_BYTES.map(cutTo);
  return (
    cuts.find((one) => byteLength(JSON.stringify(one)) <= INVENTORY_FILTER_DETAIL_MAX_BYTES) ?? cuts.at(-1) ?? detail
  );
}
