import type { ActionFilter, AuditFilter } from '../../../package/client/requests.ts';
import type { AuditEvent } from '../../../package/client/types.ts';
import { ACTOR_TYPES, AUDIT_ACTIONS, AUDIT_STATUSES, ERROR_CODES } from '../../../src/vocabulary.ts';
import { holdsSecret } from '../../parts/secrets.ts';
import { isAgo, isMoment, momentOf } from './moments.ts';

// A question to the trail as it is typed: `action:service_account_token.create status:failure actor:"kim@acme.example"`. Terms narrow together.

/** The names of filters, as they are typed, and the parameter of the API that each is. */
export const FILTERS = {
  action: 'action',
  status: 'status',
  actor: 'actor',
  type: 'actor_type',
  code: 'code',
  scope: 'scope',
  token: 'token_id',
  name: 'token_name',
  prefix: 'token_prefix',
  workspace: 'workspace_uuid',
  role: 'role',
  policy: 'policy_version',
  request: 'request_id',
  ip: 'ip',
  from: 'from',
  to: 'to',
} as const satisfies Readonly<Record<string, keyof AuditFilter>>;
export type FilterName = keyof typeof FILTERS;
export const isFilterName = (name: string): name is FilterName => Object.hasOwn(FILTERS, name);

/** What each filter narrows by, for whoever looks for one. */
export const MEANINGS: Readonly<Record<FilterName, string>> = {
  action: 'what was done; ! in front leaves it out',
  status: 'attempted, success or failure',
  actor: 'who: a subject, a label, or me',
  type: 'user, service_account, webhook or system',
  code: 'why it failed',
  scope: 'asked for, or given',
  token: 'the id of a token',
  name: 'the name that a token was given',
  prefix: 'the beginning of a secret, such as sat_a1B2c3D',
  workspace: 'the id of a workspace',
  role: 'the role that allowed it',
  policy: 'the version of the policy',
  request: 'the id of a request',
  ip: 'an address',
  from: 'this time or later: 24h, 7d, 2026-01-31',
  to: 'before this time',
};

/** The wire's names are understood as well, since events and answers show them. */
const NAMES: Readonly<Record<string, FilterName>> = Object.fromEntries(
  Object.entries(FILTERS).flatMap(([name, parameter]) =>
    isFilterName(name)
      ? [
          [name, name],
          [parameter, name],
        ]
      : [],
  ),
);

export interface Term {
  readonly name: FilterName;
  readonly value: string;
}

export interface Question {
  readonly terms: readonly Term[];
  /** What cannot be understood, in sentences. */
  readonly problems: readonly string[];
}

/** The actions of a noun together, as `service_account_token.*`. */
export const ACTION_NOUNS: readonly string[] = [
  ...new Set(AUDIT_ACTIONS.map((action) => action.replace(/\.\w+$/, '.*'))),
];
const ACTION_PATTERNS: readonly string[] = [...AUDIT_ACTIONS, ...ACTION_NOUNS];

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
export function splitWord(word: string): {
  readonly isNegated: boolean;
  readonly name: string | null;
  readonly value: string;
} {
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
  for (const word of wordsOf(typed)) {
    const { isNegated, name: typedName, value } = splitWord(word.text);
    const name = typedName === null ? null : (NAMES[typedName] ?? null);
    const problem = problemOf({ isNegated, typedName, name, value, word: word.text }, terms);
    if (problem !== null) problems.push(problem);
    else if (name === 'action' && isNegated) terms.push(...value.split(',').map((one) => ({ name, value: `!${one}` })));
    else if (name === 'action') terms.push(...value.split(',').map((one) => ({ name, value: one })));
    else if (name !== null) terms.push({ name, value });
  }
  return { terms, problems: problems.length > 0 ? problems : orderProblems(terms) };
}

interface Read {
  readonly isNegated: boolean;
  readonly typedName: string | null;
  readonly name: FilterName | null;
  readonly value: string;
  readonly word: string;
}

function problemOf({ isNegated, typedName, name, value, word }: Read, before: readonly Term[]): string | null {
  if (typedName === null) {
    return `“${word}” has no name of a filter in front. Write for example actor:${quoted(value)} or name:${quoted(value)}.`;
  }
  if (name === null) return `There is no filter “${typedName}”. There are: ${Object.keys(FILTERS).join(', ')}.`;
  if (value === '') return `“${name}:” lacks a value.`;
  if (isNegated && name !== 'action') return `Only actions can be left out by a minus. “${name}” cannot.`;
  if (isNegated && value.includes('!')) return 'A minus in front of an action and “!” say the same. Write one of them.';
  if (name === 'action') return actionProblem(value);
  if (before.some((term) => term.name === name)) return `“${name}” stands there twice. An event has only one.`;
  const closed = CLOSED_LISTS[name];
  if (closed !== undefined && !closed.includes(value)) {
    const near = nearest(value, closed);
    return `“${value}” is no ${name}.${near === null ? '' : ` Did you mean ${near}?`}`;
  }
  if ((name === 'from' || name === 'to') && !isMoment(value)) {
    return `“${value}” is no time. Write 30m, 24h, 7d, 2026-01-31 or 2026-01-31T09:30:00Z.`;
  }
  return null;
}

function actionProblem(value: string): string | null {
  const unknown = value.split(',').find((one) => !ACTION_PATTERNS.includes(one.replace(/^!/, '')));
  if (unknown === undefined) return null;
  const near = nearest(unknown, ACTION_PATTERNS);
  return `“${unknown}” is no action.${near === null ? '' : ` Did you mean ${near}?`}`;
}

/** The first of a list that a text is a part of. */
const nearest = (value: string, among: readonly string[]): string | null =>
  among.find((one) => value.length >= 3 && one.includes(value.replace(/^!/, ''))) ?? null;

/** How long ago and a time cannot be compared without a clock: then the service says what is wrong. */
function orderProblems(terms: readonly Term[]): readonly string[] {
  const [from, to] = (['from', 'to'] as const).map((name) => terms.find((term) => term.name === name)?.value);
  if (from === undefined || to === undefined || isAgo(from) !== isAgo(to)) return [];
  const [begin, end] = [momentOf(from, 'from', 0), momentOf(to, 'to', 0)];
  return begin !== null && end !== null && end <= begin ? ['“to” must be later than “from”.'] : [];
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
    filter[FILTERS[name]] = atMs === null ? value : new Date(atMs).toISOString();
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
  const terms = Object.keys(FILTERS)
    .filter(isFilterName)
    .flatMap((name): readonly Term[] => {
      const value = known[FILTERS[name]];
      if (typeof value === 'string') return [{ name, value: value.replace(/\.000Z$/, 'Z') }];
      if (!Array.isArray(value)) return [];
      const actions = value.filter((one) => typeof one === 'string');
      // The console hides reads by naming them all; that is no part of what was asked.
      const isHiding = READS.every((read) => actions.includes(`!${read}`));
      const shown = isHiding ? actions.filter((one) => !READS.some((read) => one === `!${read}`)) : actions;
      return shown.length === 0 ? [] : [{ name, value: shown.join(',') }];
    });
  return printTerms(terms);
}
