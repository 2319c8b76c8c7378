import type { InventoryQuery } from '../../package/client/requests.ts';
import type { InventoryPage, InventoryToken, WorkspaceKnowledge } from '../../package/client/types.ts';
import { durationSeconds } from '../../src/kit/time.ts';
import { csvLine, type CsvValue } from '../../src/trail/query/format.ts';
import type { Column } from '../columns.ts';
import { buffered, watchOutput } from '../output.ts';
import { printable, shownTime } from '../terminal-text.ts';
import { timeBound } from '../time-bound.ts';
import { chooseOne, flag, text, UsageError } from '../usage.ts';
import { ownerOf } from '../whom.ts';
import { limited } from './arguments.ts';
import { defineCommand } from './command.ts';
import type { Output } from './result.ts';

/** Each filter's flag, and the API's name of it. */
const FILTERS = [
  ['workspace', 'workspace_uuid'],
  ['label', 'label'],
  ['role', 'role'],
  ['policy-version', 'policy_version'],
  ['scope', 'scope'],
  ['name', 'token_name'],
  ['id', 'token_id'],
  ['prefix', 'token_prefix'],
  ['state', 'state'],
  ['usage', 'usage'],
  ['replaces', 'replaces'],
  ['replaced-by', 'replaced_by'],
] as const;

const BOUNDS = [
  ['created-from', 'created_from'],
  ['created-to', 'created_to'],
  ['expires-from', 'expires_from'],
  ['expires-to', 'expires_to'],
  ['last-used-from', 'last_used_from'],
  ['last-used-to', 'last_used_to'],
] as const;

type Filter = 'owner' | 'issuer' | (typeof FILTERS)[number][0] | (typeof BOUNDS)[number][0];

const OPTIONS = {
  workspace: text,
  owner: text,
  issuer: text,
  label: text,
  role: text,
  'policy-version': text,
  scope: text,
  name: text,
  id: text,
  prefix: text,
  state: text,
  usage: text,
  replaces: text,
  'replaced-by': text,
  'created-from': text,
  'created-to': text,
  'expires-from': text,
  'expires-to': text,
  'last-used-from': text,
  'last-used-to': text,
  'expires-within': text,
  unused: flag,
  live: flag,
  limit: text,
  export: text,
} as const;

type Values = Readonly<
  Partial<Record<Filter | 'expires-within', string | undefined>> & { unused: boolean; live: boolean }
>;

/** What a token that still works, or can be made to work again, is. */
const LIVE = 'active,suspended,retiring';

/**
 * The filters as the API takes them. Apart from days and durations their values are left to the service, which says what is wrong with
 * them.
 *
 * @param defaultIssuer the issuer of an owner that names none.
 * @throws UsageError
 */
export function filterOf(values: Values, now: Date, defaultIssuer: string | null): InventoryQuery {
  chooseOne(values, 'unused', 'usage');
  chooseOne(values, 'live', 'state');
  chooseOne(values, 'expires-within', 'expires-from');
  chooseOne(values, 'expires-within', 'expires-to');
  const query: Record<string, string> = {};
  // Whoever asks what expires or what nobody uses means what can still be used.
  const { 'expires-within': within } = values;
  if (values.live || values.unused || within !== undefined) query['state'] = LIVE;
  if (values.unused) query['usage'] = 'unused,never_used';
  const owner = ownerFilter(values, defaultIssuer);
  if (owner !== null) query['owner'] = owner;
  for (const [name, parameter] of FILTERS) {
    const value = values[name];
    if (value !== undefined) query[parameter] = value;
  }
  for (const [name, parameter] of BOUNDS) {
    const value = values[name];
    if (value !== undefined) query[parameter] = timeBound(name, value, now);
  }
  if (within !== undefined) {
    const end = new Date(now.getTime() + (durationSeconds(within) ?? Number.NaN) * 1000);
    // RFC 3339 ends with the year 9999.
    if (!(end.getUTCFullYear() <= 9999)) {
      throw new UsageError('--expires-within takes a duration such as 30d or 12h.');
    }
    query['expires_from'] = now.toISOString();
    query['expires_to'] = end.toISOString();
  }
  return query;
}

/** Words in the place of an owner: whoever asks, and nobody. */
const OWNER_WORDS: readonly string[] = ['me', 'none'];

function ownerFilter({ owner, issuer }: Values, defaultIssuer: string | null): string | null {
  if (owner === undefined) {
    if (issuer !== undefined) throw new UsageError('--issuer goes with --owner.');
    return null;
  }
  if (OWNER_WORDS.includes(owner) && issuer === undefined) return owner;
  const named = ownerOf('owner', { name: owner, issuer }, defaultIssuer);
  return `${named.issuer}|${named.subject}`;
}

const COLUMNS = [
  { title: 'ID', least: 8, usual: 36, yields: 1, cut: 'end' },
  { title: 'NAME', least: 8, usual: 20, yields: 3, cut: 'end' },
  { title: 'OWNER', least: 8, usual: 20, yields: 2, cut: 'end' },
  { title: 'STATE', least: 9, usual: 9, yields: 0, cut: 'end' },
  { title: 'AGE', least: 4, usual: 4, yields: 0, cut: 'end' },
  { title: 'EXPIRES', least: 7, usual: 8, yields: 0, cut: 'end' },
  { title: 'LAST USE', least: 8, usual: 8, yields: 0, cut: 'end' },
  { title: 'ROLE', least: 4, usual: 10, yields: 4, cut: 'end', room: 1 },
  { title: 'SCOPES', least: 8, usual: 24, yields: 5, cut: 'end', room: 2 },
  { title: 'PREFIX', least: 8, usual: 11, yields: 6, cut: 'end', room: 3 },
  { title: 'REPLACED BY', least: 8, usual: 36, yields: 7, cut: 'end', room: 4 },
  { title: 'WORKSPACE', least: 9, usual: 36, yields: 8, cut: 'end', room: 5 },
] as const satisfies readonly Column[];

const lineOf =
  (nowMs: number) =>
  (token: InventoryToken): readonly string[] =>
    [
      token.id,
      token.name ?? '',
      token.owner?.label ?? token.owner?.subject ?? '',
      token.state,
      distance(token.created_at, nowMs),
      token.expires_at === null ? 'never' : towards(token.expires_at, nowMs),
      lastUse(token, nowMs),
      token.role ?? '',
      (token.scopes ?? []).join(' '),
      token.token_prefix ?? '',
      token.replaced_by ?? '',
      token.workspace_uuid,
    ].map(printable);

/** Without a time of use, `usage` says whether there was none or nobody knows. */
const lastUse = ({ last_used_at, usage }: InventoryToken, nowMs: number): string =>
  last_used_at !== null ? towards(last_used_at, nowMs) : usage === 'never_used' ? 'never' : 'unknown';

const towards = (time: string, nowMs: number): string =>
  Date.parse(time) > nowMs ? `in ${distance(time, nowMs)}` : `${distance(time, nowMs)} ago`;

const UNITS = [
  ['d', 24 * 60 * 60_000],
  ['h', 60 * 60_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** How far away a time is, in the largest unit of which there is a whole one. */
function distance(time: string, nowMs: number): string {
  const ms = Math.abs(Date.parse(time) - nowMs);
  const [unit, length] = UNITS.find(([, one]) => ms >= one) ?? UNITS[3];
  return Number.isNaN(ms) ? '' : `${Math.floor(ms / length)}${unit}`;
}

/** Says how old what the service knows of PipeOps is, and where that is not all. */
function tellKnowledge(pages: readonly InventoryPage[], output: Output, nowMs: number, isAgeTold: boolean): void {
  const known = new Map(pages.flatMap(({ knowledge }) => knowledge).map((one) => [one.workspace_uuid, one]));
  const times = [...known.values()].map(({ listed_at }) => listed_at);
  const oldest = times.includes(null)
    ? null
    : times.toSorted((one, other) => ((one ?? '') < (other ?? '') ? -1 : 1))[0];
  if (typeof oldest === 'string' && isAgeTold) {
    output.notice(`PipeOps was last looked at ${distance(oldest, nowMs)} ago: ${shownTime(oldest)}.`);
  }
  for (const problem of [...known.values()].flatMap(lackOf)) output.notice(problem);
}

/** What is not known of a workspace. */
export function lackOf({ workspace_uuid, listed_at, list_state }: WorkspaceKnowledge): readonly string[] {
  const workspace = printable(workspace_uuid);
  if (listed_at === null) return [`PipeOps was never asked for a list of workspace ${workspace}.`];
  if (list_state === 'unavailable') return [`PipeOps does not know workspace ${workspace} any more.`];
  if (list_state === 'complete') return [];
  return [
    `PipeOps told of a part of workspace ${workspace} alone: a token that was made past this service may be missing.`,
  ];
}

/** Whether the last page ends although there may be more, and nothing says where to go on. */
const isCut = (pages: readonly InventoryPage[]): boolean =>
  pages.at(-1)?.partial === true && pages.at(-1)?.nextCursor === null;
const CUT = 'More may match than this shows: run it again.';

/** The largest page of the inventory. */
const PAGE_MAX = 200;

export const inventory = defineCommand({
  words: 'tokens',
  about: `Shows who owns which token, and how each ages.
It shows what this service has recorded, newest first. PipeOps is not asked.
filters: --owner ${FILTERS.map(([name]) => `--${name}`).join(' ')}
         ${BOUNDS.map(([name]) => `--${name}`).join(' ')}
where:   --owner takes ISSUER|SUBJECT, or a subject with --issuer URL; me is you, and none finds what was made past this service
         --state takes a list of active, suspended, retiring, expired, revoked; --live is the first three
         --usage takes a list of recent, unused, never_used, unknown; --unused is the second and the third, of live tokens
         --expires-within 30d shows the live tokens that expire until then, the soonest first
         the other times are a time such as 2026-11-24T10:00:00Z, a day of UTC such as 2026-11-24, or how long ago: 7d, 12h
         --export csv or ndjson writes all that matches, with every field`,
  usage: '[filters] [--limit 50 | --export csv|ndjson]',
  options: OPTIONS,
  role: 'admin',
  permission: 'tokens:read',
  prepare: ({ values, host }) => {
    const query = filterOf(values, new Date(), host.defaultIssuer);
    if (values.export !== undefined) {
      chooseOne(values, 'export', 'limit');
      chooseOne(values, 'export', 'json');
      chooseOne(values, 'export', 'table');
      const format = values.export;
      if (format !== 'csv' && format !== 'ndjson') throw new UsageError('--export takes csv or ndjson.');
      // A reader such as `head` cuts it.
      watchOutput(1);
      return async (client, output) => {
        await exportAll(client.inventory.pages({ ...query, limit: PAGE_MAX }), format, output);
      };
    }
    const limit = limited(values.limit, PAGE_MAX);
    return async (client, output) => {
      const pages: InventoryPage[] = [];
      const items = itemsOf(client.inventory.pages({ ...query, limit: limit.pageSize }), (page) => pages.push(page));
      const nowMs = Date.now();
      await output.table(COLUMNS, await limit.take(items, output), lineOf(nowMs));
      if (isCut(pages)) output.notice(CUT);
      tellKnowledge(pages, output, nowMs, !output.isJson);
    };
  },
});

async function* itemsOf(pages: AsyncIterable<InventoryPage>, note: (page: InventoryPage) => void) {
  for await (const page of pages) {
    note(page);
    yield* page.items;
  }
}

type Field = (token: InventoryToken) => CsvValue;

/** The columns of a CSV: the fields of the wire, with an owner in three. A list stands in one cell, with spaces between its items. */
const CSV: Readonly<Record<string, Field>> = {
  id: ({ id }) => id,
  workspace_uuid: (token) => token.workspace_uuid,
  name: ({ name }) => name,
  token_prefix: (token) => token.token_prefix,
  scopes: ({ scopes }) => scopes?.join(' ') ?? null,
  owner_issuer: ({ owner }) => owner?.issuer ?? null,
  owner_subject: ({ owner }) => owner?.subject ?? null,
  owner_label: ({ owner }) => owner?.label ?? null,
  role: ({ role }) => role,
  policy_version: (token) => token.policy_version,
  created_at: (token) => token.created_at,
  expires_at: (token) => token.expires_at,
  last_used_at: (token) => token.last_used_at,
  state: ({ state }) => state,
  usage: ({ usage }) => usage,
  suspended_by: (token) => token.suspended_by.join(' ') || null,
  replaces: ({ replaces }) => replaces,
  replaced_by: (token) => token.replaced_by,
  retires_at: (token) => token.retires_at,
  create_event_id: (token) => token.create_event_id,
};

const ENCODINGS = {
  csv: {
    head: csvLine(Object.keys(CSV)),
    token: (token: InventoryToken) => csvLine(Object.values(CSV).map((fieldOf) => fieldOf(token))),
  },
  ndjson: { head: '', token: (token: InventoryToken) => `${JSON.stringify(token)}\n` },
} as const;

/** Writes all tokens of all pages, page by page. Where one cannot be read, the command fails: what was written is not whole. */
async function exportAll(pages: AsyncIterable<InventoryPage>, format: 'csv' | 'ndjson', output: Output): Promise<void> {
  const { head, token: encode } = ENCODINGS[format];
  const out = buffered(async (lines) => await output.text(lines));
  const read: InventoryPage[] = [];
  let count = 0;
  await out.add(head);
  try {
    for await (const page of pages) {
      // What is known of workspaces is kept, and not all that is in them.
      read.push({ ...page, items: [] });
      for (const token of page.items) await out.add(encode(token));
      count += page.items.length;
    }
  } catch (error) {
    output.notice(
      `The export broke off after ${count} ${count === 1 ? 'token' : 'tokens'}. What was written is not whole: run it again.`,
    );
    throw error;
  } finally {
    await out.flush();
  }
  if (isCut(read)) output.notice(CUT);
  tellKnowledge(read, output, Date.now(), true);
}
