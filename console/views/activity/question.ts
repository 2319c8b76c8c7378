import type { ActionFilter, AuditFilter } from '../../../package/client/requests.ts';
import type { AuditEvent } from '../../../package/client/types.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES, ERROR_CODES } from '../../../src/vocabulary.ts';
import { holdsSecret } from '../../parts/secrets.ts';
import { isMoment, momentOf } from './moments.ts';

// A question to the trail as it is typed: `action:service_account_token.create status:failure actor:"kim@acme.example"`. Terms narrow together.

/** The names of filters, as they are typed: the parameter of the API that each is, and what it narrows by. */
const TABLE = {
  action: ['action', 'what was done; ! in front leaves it out'],
  status: ['status', 'attempted, success or failure'],
  actor: ['actor', 'who: a subject, a label, or me'],
  type: ['actor_type', 'user, service_account, webhook or system'],
  code: ['code', 'why it failed'],
  token: ['token_id', 'the id of a token'],
  name: ['token_name', 'the name that a token was given'],
  prefix: ['token_prefix', 'the beginning of a secret, such as sat_a1B2c3D'],
  scope: ['scope', 'asked for, or given'],
  workspace: ['workspace_uuid', 'the id of a workspace'],
  role: ['role', 'the role that allowed it'],
  policy: ['policy_version', 'the version of the policy'],
  request: ['request_id', 'the id of a request'],
  ip: ['ip', 'an address'],
  from: ['from', 'this time or later: 24h, 7d, 2026-01-31'],
  to: ['to', 'before this time'],
} as const satisfies Readonly<Record<string, readonly [keyof AuditFilter, string]>>;
export type FilterName = keyof typeof TABLE;

export interface Filter {
  readonly name: FilterName;
  readonly parameter: keyof AuditFilter;
  readonly meaning: string;
}
const isFilterName = (name: string): name is FilterName => Object.hasOwn(TABLE, name);
export const FILTERS: readonly Filter[] = Object.keys(TABLE)
  .filter(isFilterName)
  .map((name) => ({ name, parameter: TABLE[name][0], meaning: TABLE[name][1] }));

/** The filter that is typed so. The wire's names are understood as well, since events and answers show them. */
export const filterNamed = (typed: string | null): FilterName | null =>
  FILTERS.find(({ name, parameter }) => name === typed || parameter === typed)?.name ?? null;

export interface Term {
  readonly name: FilterName;
  readonly value: string;
}

export interface Question {
  readonly terms: readonly Term[];
  /** What cannot be understood, in sentences. */
  readonly problems: readonly string[];
}

/** All actions, and those of a noun together, as `service_account_token.*`. */
const ACTION_PATTERNS: readonly string[] = [
  ...new Set([...AUDIT_ACTIONS, ...AUDIT_ACTIONS.map((action) => action.replace(/\.\w+$/, '.*'))]),
];

/** The values of filters that take one of a closed list. */
export const CLOSED_LISTS: Readonly<Partial<Record<FilterName, readonly string[]>>> = {
  action: ACTION_PATTERNS,
  status: AUDIT_STATUSES,
  type: ACTOR_TYPES,
  code: ERROR_CODES,
};

/** A word of a question, with the place where it stands. */
export interface Word {
  readonly text: string;
  readonly begin: number;
  readonly end: number;
}

/** Words end at spaces, but not inside quotes. A quote that is not closed ends with the text. */
export function wordsOf(typed: string): readonly Word[] {
  return [...typed.matchAll(/(?:"(?:\\.|[^"\\])*(?:"|\\?$)|[^\s"])+/gsu)].map((match) => ({
    text: match[0],
    begin: match.index,
    end: match.index + match[0].length,
  }));
}

/** What a word says: a name and a value, or a value without a name. */
interface SplitWord {
  readonly isNegated: boolean;
  readonly name: string | null;
  readonly value: string;
}
export function splitWord(word: string): SplitWord {
  const match = /^(-?)([A-Za-z_]+):(.*)$/su.exec(word);
  if (match === null) return { isNegated: false, name: null, value: unquoted(word) };
  const [, minus = '', name = '', value = ''] = match;
  return { isNegated: minus === '-', name: name.toLowerCase(), value: unquoted(value) };
}

/** What stands in quotes without them. */
export const unquoted = (value: string): string =>
  value.replaceAll(/"((?:\\.|[^"\\])*)(?:"|\\?$)/gsu, (_whole, inside: string) => inside.replaceAll(/\\(.)/gsu, '$1'));

/** A value as it is typed. */
export const quoted = (value: string): string =>
  value === '' || /[\s"]/u.test(value) ? `"${value.replaceAll(/["\\]/gu, String.raw`\$&`)}"` : value;

const NO_SECRET = 'That held a secret, which must not be asked for: what is asked for is stored.';

/** Reads what was typed. Terms that are not understood are told and left out. Of a secret nothing is repeated. */
export function parseQuestion(typed: string): Question {
  if (holdsSecret(typed)) return { terms: [], problems: [NO_SECRET] };
  const terms: Term[] = [];
  const problems: string[] = [];
  for (const { text } of wordsOf(typed)) {
    const word = splitWord(text);
    const name = filterNamed(word.name);
    // Of actions several may be named, and left out.
    const values = name === 'action' ? word.value.split(',') : [word.value];
    const problem = problemOf(word, name, values, terms, text);
    if (problem !== null) problems.push(problem);
    else if (name !== null)
      terms.push(...values.map((value) => ({ name, value: `${word.isNegated ? '!' : ''}${value}` })));
  }
  return { terms, problems };
}

function problemOf(
  { isNegated, name: typedName, value }: SplitWord,
  name: FilterName | null,
  values: readonly string[],
  before: readonly Term[],
  word: string,
): string | null {
  if (typedName === null) {
    return `“${word}” has no name of a filter in front. Write for example actor:${quoted(value)} or name:${quoted(value)}.`;
  }
  if (name === null) {
    return `There is no filter “${typedName}”. There are: ${FILTERS.map((filter) => filter.name).join(', ')}.`;
  }
  if (value === '') return `“${name}:” lacks a value.`;
  if (isNegated && name !== 'action') return `Only actions can be left out by a minus. “${name}” cannot.`;
  if (isNegated && value.includes('!')) return 'A minus in front of an action and “!” say the same. Write one of them.';
  if (name !== 'action' && before.some((term) => term.name === name)) {
    return `“${name}” stands there twice. An event has only one.`;
  }
  if ((name === 'from' || name === 'to') && !isMoment(value)) {
    return `“${value}” is no time. Write 30m, 24h, 7d, 2026-01-31 or 2026-01-31T09:30:00Z.`;
  }
  const closed = CLOSED_LISTS[name];
  const bare = (one: string): string => (name === 'action' ? one.replace(/^!/, '') : one);
  const unknown = values.find((one) => closed?.includes(bare(one)) === false);
  if (unknown === undefined) return null;
  const near = closed?.find((one) => unknown.length >= 3 && one.includes(bare(unknown)));
  return `“${unknown}” is no ${name}.${near === undefined ? '' : ` Did you mean ${near}?`}`;
}

/** Writes terms as they are typed. Read again they are the same. */
export const printTerms = (terms: readonly Term[]): string =>
  terms.map(({ name, value }) => `${name}:${quoted(value)}`).join(' ');

/**
 * Terms with those of a name replaced by one value.
 *
 * @param value null: there is none of this name then.
 */
export function withTerm(terms: readonly Term[], name: FilterName, value: string | null): readonly Term[] {
  const others = terms.filter((term) => term.name !== name);
  return value === null ? others : [...others, { name, value }];
}

/** What reads the trail, tokens or people, and changes nothing. They are most of a trail. */
export const READS = [
  'service_account_token.list',
  'service_account_token.get',
  'audit.query',
  'audit.count',
  'status.read',
  'workspace.list',
  'inventory.query',
  'webhook.query',
  'subject.query',
] as const satisfies readonly (typeof AUDIT_ACTIONS)[number][];

/** Whether a question names the actions that it wants, so that none need be hidden. */
export const namesActions = (terms: readonly Term[]): boolean =>
  terms.some(({ name, value }) => name === 'action' && !value.startsWith('!'));

/** What a question asks the API for. */
export interface Asked {
  /** Whether reads are shown where the question names no action. */
  readonly showsReads: boolean;
  /** The caller may only read what it caused itself. */
  readonly isOwn: boolean;
  readonly nowMs: number;
}

/** The filter of the API for a question. Times that are told from now on are fixed. */
export function filterOf(terms: readonly Term[], { showsReads, isOwn, nowMs }: Asked): AuditFilter {
  const actions = terms.filter(({ name }) => name === 'action').map(({ value }) => value);
  const hidden = showsReads || namesActions(terms) ? [] : READS.map((action) => `!${action}`);
  const filter: Record<string, unknown> = {};
  for (const { name, value } of terms) {
    if (name === 'action') continue;
    const atMs = name === 'from' || name === 'to' ? momentOf(value, name, nowMs) : null;
    filter[TABLE[name][0]] = atMs === null ? value : new Date(atMs).toISOString();
  }
  const all = [...new Set([...actions, ...hidden])].filter(isActionFilter);
  if (all.length > 0) filter['action'] = all;
  if (isOwn) filter['actor'] = 'me';
  return filter;
}

const isActionFilter = (value: string): value is ActionFilter => ACTION_PATTERNS.includes(value.replace(/^!/, ''));

/** The question that the row of a query, a count or an export tells. */
export function queryOfDetail({ detail, token_id: token, workspace_uuid: workspace }: AuditEvent): string {
  const known: Readonly<Record<string, unknown>> = { ...detail, token_id: token, workspace_uuid: workspace };
  const terms = FILTERS.flatMap(({ name, parameter }): readonly Term[] => {
    const value = known[parameter];
    if (typeof value === 'string') return [{ name, value: value.replace(/\.000Z$/, 'Z') }];
    if (!Array.isArray(value)) return [];
    // The console hides reads by naming them all; that is no part of what was asked.
    const isHiding = READS.every((read) => value.includes(`!${read}`));
    const shown = value.filter((one) => !isHiding || !READS.some((read) => one === `!${read}`));
    return shown.length === 0 ? [] : [{ name, value: shown.join(',') }];
  });
  return printTerms(terms);
}
