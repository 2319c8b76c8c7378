import { sql, type SQL } from 'drizzle-orm';
import type { Caller } from '../../policy/types.ts';

// Which tokens a caller may see, of all workspaces at once. `maySee` of policy/ says it of one token; a test holds the two together.

/** All workspaces, or these. */
export type Workspaces = '*' | readonly string[];

/** What a caller sees: the union of what each of its roles shows. */
export interface View {
  /** Whether it sees every token of every workspace, whichever is asked about. */
  readonly isOverAll: boolean;
  /** The workspaces of which it sees every token. */
  readonly any: Workspaces;
  /** The further workspaces of which it sees its own tokens. */
  readonly own: Workspaces;
  readonly issuer: string;
  readonly subject: string;
}

/** @param workspaceUuid the one workspace that is asked about; null: all are. Whoever sees everything is shown its part of that. */
export function viewOf(caller: Caller, workspaceUuid: string | null): View {
  const all = workspacesOf(caller, 'any');
  const any = within(all, workspaceUuid);
  const own = within(workspacesOf(caller, 'own'), workspaceUuid);
  const beyond = any === '*' ? [] : own === '*' ? own : own.filter((one) => !any.includes(one));
  return { isOverAll: all === '*', any, own: beyond, issuer: caller.issuer, subject: caller.subject };
}

function within(workspaces: Workspaces, workspaceUuid: string | null): Workspaces {
  if (workspaceUuid === null) return workspaces;
  return includes(workspaces, workspaceUuid) ? [workspaceUuid] : [];
}

function workspacesOf({ roles }: Caller, tokens: 'own' | 'any'): Workspaces {
  const reading = roles.filter((role) => role.tokens === tokens && role.permissions.includes('tokens:read'));
  const all = [...new Set(reading.flatMap(({ workspaces }) => workspaces))];
  return all.includes('*') ? '*' : all;
}

/** Whether a list of workspaces has one. */
const includes = (workspaces: Workspaces, workspaceUuid: string): boolean =>
  workspaces === '*' || workspaces.includes(workspaceUuid);

/** Whether a caller sees no tokens but its own. */
export const isOwnOnly = ({ any }: View): boolean => any.length === 0;

/** Whether a row of `tokens`, read under this name, is in one of these workspaces. */
export const isIn = (name: string, workspaces: Workspaces): SQL =>
  workspaces === '*'
    ? sql`true`
    : sql`${sql.raw(`${name}.workspace_uuid`)} in (select value from json_each(${JSON.stringify(workspaces)}))`;

/** Whether a row of `tokens`, read under this name, is of this owner. */
export const isOf = (name: string, { issuer, subject }: Pick<View, 'issuer' | 'subject'>): SQL =>
  sql`${sql.raw(`${name}.owner_issuer`)} = ${issuer} and ${sql.raw(`${name}.owner_subject`)} = ${subject}`;

/** Whether the caller sees the tokens of this workspace whoever owns them. */
export const isSeenUnowned = ({ any }: View, workspaceUuid: string): boolean => includes(any, workspaceUuid);

/** Whether a row of `tokens`, read under this name, is one that the caller sees. */
export const isSeen = (name: string, view: View): SQL =>
  view.isOverAll ? sql`true` : sql`(${isIn(name, view.any)} or (${isOf(name, view)} and ${isIn(name, view.own)}))`;
