import { type EventFilter, NO_FILTER } from '../src/trail/query/filter.ts';
import type { Direction } from '../src/trail/query/params.ts';
import { AUDIT_ACTIONS } from '../src/vocabulary.ts';
import { BUSY } from './audit-trail.ts';

export const PAGE_ROWS = 50;
/** Rows beside those of the page that a page may read. */
const SPARE_ROWS = 10;
/** Rows beside those that a page may read to find where its times begin and end: spans, at any size of the trail. */
const SEARCH_ROWS = 400;
/** What a page may read where no index answers all of its filters. */
const SCAN_MAX_ROWS = 5_000;

/** A query of the trail, and what it may cost. */
export interface Case {
  readonly name: string;
  /** @param times early and late in the trail */
  readonly filter: (times: Times) => EventFilter;
  readonly direction: Direction;
  /** Rows that a page may read. */
  readonly maxRows: number;
  /** Whether its latency may not depend on the size of the trail. */
  readonly isTimed: boolean;
  /** Whether some rows must be found, or it would measure nothing. */
  readonly isFound: boolean;
}

export interface Times {
  readonly earlyMs: number;
  readonly lateMs: number;
}

const TOKEN_ACTIONS = AUDIT_ACTIONS.filter((action) => action.startsWith('service_account_token.'));

/** Each by an index, or several ways into one. */
const INDEXED: readonly (readonly [name: string, filter: Partial<EventFilter>, actions?: number])[] = [
  ['(none)', {}],
  ['action', { actions: ['service_account_token.revoke'] }],
  [`action, ${TOKEN_ACTIONS.length} of them`, { actions: TOKEN_ACTIONS }, TOKEN_ACTIONS.length],
  ['actor, issuer|subject', { actor: `${BUSY.issuer}|${BUSY.subject}` }],
  ['actor, subject', { actor: BUSY.subject }],
  ['actor, label', { actor: BUSY.label }],
  ['token_id', { tokenId: BUSY.token }],
  ['workspace_uuid', { workspaceUuid: BUSY.workspace }],
  ['request_id', { requestId: BUSY.request }],
];

/** The worst of the rest: those that find nothing. */
const SCANNED: readonly (readonly [name: string, filter: Partial<EventFilter>])[] = [
  ['status', { status: 'failure' }],
  ['status, none such', { status: 'attempted' }],
  ['ip', { ip: BUSY.ip }],
  ['actor_type, none such', { actorType: 'webhook' }],
  ['action and status, none such', { actions: ['service_account_token.get'], status: 'attempted' }],
  ['token_id and ip, none such', { tokenId: BUSY.token, ip: '192.0.2.1' }],
  ['workspace_uuid, actor, none such', { workspaceUuid: BUSY.workspace, actor: 'nobody' }],
];

export const CASES: readonly Case[] = [
  ...INDEXED.map(([name, filter, actions = 1]): Case => ({
    name,
    filter: () => ({ ...NO_FILTER, ...filter }),
    direction: 'desc',
    maxRows: actions * PAGE_ROWS + SPARE_ROWS,
    isTimed: false,
    isFound: true,
  })),
  ...INDEXED.flatMap(([name, filter, actions = 1]) =>
    (['desc', 'asc'] as const).map((direction): Case => ({
      name: `${name}, from/to, ${direction}`,
      filter: ({ earlyMs, lateMs }) => ({ ...NO_FILTER, ...filter, fromMs: earlyMs, toMs: lateMs }),
      direction,
      maxRows: actions * PAGE_ROWS + SPARE_ROWS + SEARCH_ROWS,
      isTimed: true,
      isFound: true,
    })),
  ),
  ...SCANNED.map(([name, filter]): Case => ({
    name,
    filter: () => ({ ...NO_FILTER, ...filter }),
    direction: 'desc',
    maxRows: SCAN_MAX_ROWS,
    isTimed: false,
    isFound: false,
  })),
];
