import { and, sql, type SQL } from 'drizzle-orm';
import { INVENTORY_SCAN_MAX_ROWS } from '../../config/inventory-limits.ts';
import type { Database, Query } from '../../db/database.ts';
import { isByExpiry } from './filter.ts';
import {
  type InventoryItem,
  ITEM_COLUMNS,
  type ItemRow,
  type Knowledge,
  presentItem,
  presentKnowledge,
} from './item.ts';
import type { Asked, Place } from './params.ts';
import { dueWithin, planOf, type Source } from './plan.ts';
import type { OwnerMacs } from '../owner-macs.ts';
import { isOf, isSeen, isSeenUnowned } from './view.ts';

// A page of the inventory: one statement that looks through a bounded number of tokens, and what its rows mean.

/** A token of the page, or the last one that was looked at. */
interface PageRow extends ItemRow, Omit<Knowledge, 'workspace_uuid'> {
  /** Whether the caller may know the token after which the page begins. */
  readonly is_place_known: 0 | 1;
  /** Null: there is no token, and the row only says whether the place is known. */
  readonly is_end: 0 | 1 | null;
  readonly usage_advanced_at: number | null;
}

/**
 * The query for a page of the inventory: the newest tokens first, or those that expire soonest where times of expiry are asked for. It
 * reads a few rows for each token that is shown where one index answers the whole filter, and looks at no more than `scanRows` tokens
 * where none does. `readPage` makes sense of its rows.
 */
export function selectPage(
  { build }: Pick<Database, 'build'>,
  asked: Asked,
  scanRows: number = INVENTORY_SCAN_MAX_ROWS,
): Query<PageRow[]> {
  const { source, checks } = planOf(asked);
  // One row more than asked for tells whether there is more.
  const enough = asked.limitRows + 1;
  const order = isByExpiry(asked.filter) ? sql.raw('due, place') : sql.raw('place desc');
  const page =
    checks.length === 0
      ? sql`select *, 0 as is_end from (${stream(source, asked, enough)} limit ${enough})`
      : sql`select *, 0 as is_end from (select * from (${stream(source, asked, scanRows)} limit ${scanRows}) as tokens
            where ${and(...checks)} limit ${enough})
          union all select *, 1 from (${stream(source, asked, scanRows)} limit 1 offset ${scanRows - 1}) limit ${enough}`;
  const columns = sql.raw(ITEM_COLUMNS.filter((name) => name !== 'workspace_uuid').join(', '));
  const query = build.select({ all: sql`*` }).from(
    sql`(with after(place) as materialized (${placeOf(asked)})
      select ${asked.after === null ? sql`1` : sql`exists (select 1 from after)`} as is_place_known, p.is_end,
        p.workspace_uuid, ${columns}, w.usage_advanced_at, ${KNOWLEDGE}
      from (select 1) left join (${page}) as p on true
        left join workspaces as w on w.workspace_uuid = p.workspace_uuid
        left join snapshots as s on s.workspace_uuid = p.workspace_uuid
      order by is_end, ${order})`,
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Drizzle cannot know the columns of `*`: they are these
  return query as unknown as Query<PageRow[]>;
}

/**
 * The last list that is kept says when it was begun. Where none is, the state of the last list is at least as old as it says. When a list
 * was last asked for says nothing, since PipeOps may not have answered.
 */
const KNOWLEDGE = sql.raw('coalesce(s.begun_at, w.list_state_at) as listed_at, w.list_state');

/** The query for how old what is known of a workspace is, whether or not it has tokens. */
export const selectKnowledge = ({ build }: Pick<Database, 'build'>, workspaceUuid: string): Query<Knowledge[]> => {
  const query = build.select({ all: sql`*` }).from(
    sql`(select a.workspace_uuid, ${KNOWLEDGE} from (select ${workspaceUuid} as workspace_uuid) as a
      left join workspaces as w on w.workspace_uuid = a.workspace_uuid
      left join snapshots as s on s.workspace_uuid = a.workspace_uuid)`,
  );
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- Drizzle cannot know the columns of `*`: they are these
  return query as unknown as Query<Knowledge[]>;
};

/**
 * The place of the token after which the page begins. That of a token which the caller may neither see nor own is none: otherwise the
 * page would tell whether there is such a token, and how old it is.
 */
function placeOf({ after, view }: Asked): SQL {
  if (after === null) return sql`select null where false`;
  return sql`select t.rowid from tokens as t where t.workspace_uuid = ${after.workspaceUuid}
    and t.token_id = ${after.tokenId} and (${isSeen('t', view)} or ${isOf('t', view)})`;
}

/** Tokens in the order of the page, each with its place. They are not limited, but for `walkRows` of a merge. */
function stream(source: Source, asked: Asked, walkRows: number): SQL {
  if (source.kind === 'merged') {
    return sql`select * from (with recursive ${merged(source, asked, walkRows)}
      select m.place, m.due, m.lane is null as is_own, t.* from merged as m cross join tokens as t on t.rowid = m.place)`;
  }
  const { index, where } = source;
  const by = index === null ? sql.raw('not indexed') : sql.raw(`indexed by ${index}`);
  const terms = boundsOf(asked, 'tokens').map(
    (bounds) => sql`select tokens.rowid as place, tokens.expires_at as due, 0 as is_own, tokens.*
      from tokens ${by} where ${and(where, bounds)}`,
  );
  const order = isByExpiry(asked.filter) ? sql.raw('due, place') : sql.raw('place desc');
  return sql`select * from (${sql.join(terms, sql` union all `)}) order by ${order}`;
}

const AFTER = sql.raw('(select place from after)');

/**
 * What bounds a page of tokens that an index has in order. Behind a place in the order of expiry there are two stretches: the rest of
 * the tokens that expire at that very time, and all later ones. As one condition SQLite would begin with the first of that time.
 */
function boundsOf(asked: Asked, name: string): readonly (SQL | undefined)[] {
  const { after } = asked;
  if (!isByExpiry(asked.filter)) return [after === null ? undefined : sql`${sql.raw(`${name}.rowid`)} < ${AFTER}`];
  const { fromMs } = dueWithin(asked);
  const due = sql.raw(`${name}.expires_at`);
  const begin = fromMs === null ? undefined : sql`${due} >= ${fromMs}`;
  if (after === null || after.dueMs === null) return [expiring(asked, name, begin)];
  const place = sql.raw(`${name}.rowid > (select place from after)`);
  // SQLite uses one lower bound of a column, whichever is written first.
  const later = fromMs !== null && fromMs > after.dueMs ? begin : sql`${due} > ${after.dueMs}`;
  return [
    and(expiring(asked, name, sql`${due} = ${after.dueMs}`), place, begin),
    and(expiring(asked, name, later), sql`${AFTER} is not null`),
  ];
}

/** Tokens that expire, from the lower bound that is given to the upper one of the page. */
function expiring(asked: Asked, name: string, lower: SQL | undefined): SQL | undefined {
  const due = sql.raw(`${name}.expires_at`);
  const { toMs } = dueWithin(asked);
  return and(
    sql`${sql.raw(`${name}.revoked_at`)} is null and ${due} is not null`,
    lower,
    toMs === null ? undefined : sql`${due} < ${toMs}`,
  );
}

/**
 * Merges the tokens of several workspaces, and the caller's own, in the order of the page. The queue of the recursion is sorted and holds
 * the next token of each lane, so that each step is one look into an index, however many workspaces there are.
 */
function merged({ workspaces, hasOwn }: Extract<Source, { kind: 'merged' }>, asked: Asked, walkRows: number): SQL {
  const lanes = JSON.stringify([...workspaces, ...(hasOwn ? [null] : [])]);
  const order = isByExpiry(asked.filter) ? sql.raw('2, 1') : sql.raw('1 desc');
  const lane = sql.raw('json_each.value');
  return sql`merged(place, due, lane) as (
      select t.rowid, t.expires_at, ${lane} from json_each(${lanes})
        cross join tokens as t on t.rowid = ${nextOf(asked, lane, hasOwn, boundsOf(asked, 'x'))}
      union all
      select t.rowid, t.expires_at, m.lane from merged as m
        cross join tokens as t on t.rowid = ${nextOf(asked, sql.raw('m.lane'), hasOwn, beyondStep(asked))}
      order by ${order} limit ${walkRows})`;
}

/** What follows the token of a step in its lane. */
function beyondStep(asked: Asked): readonly (SQL | undefined)[] {
  if (!isByExpiry(asked.filter)) return [sql.raw('x.rowid < m.place')];
  return [
    expiring(asked, 'x', sql.raw('x.expires_at = m.due and x.rowid > m.place')),
    expiring(asked, 'x', sql.raw('x.expires_at > m.due')),
  ];
}

/** The first token of a lane within one of these bounds, which are in order; null: there is none. */
function nextOf(asked: Asked, lane: SQL, hasOwn: boolean, bounds: readonly (SQL | undefined)[]): SQL {
  const isExpiry = isByExpiry(asked.filter);
  const order = sql.raw(isExpiry ? 'x.expires_at, x.rowid' : 'x.rowid desc');
  const first = (index: string, where: SQL): SQL => {
    const each = bounds.map(
      (bound) => sql`(select x.rowid from tokens as x indexed by ${sql.raw(index)} where ${and(where, bound)}
        order by ${order} limit 1)`,
    );
    return each.length === 1 ? sql`${each[0]}` : sql`coalesce(${sql.join(each, sql`, `)})`;
  };
  const ofWorkspace = isExpiry
    ? first('tokens_without_end', sql`x.workspace_uuid = ${lane} and x.ended_by is null`)
    : first('tokens_workspace', sql`x.workspace_uuid = ${lane}`);
  if (!hasOwn) return ofWorkspace;
  const ofOwner = first(isExpiry ? 'tokens_owner_live' : 'tokens_owner', isOf('x', asked.view));
  return sql`iif(${lane} is null, ${ofOwner}, ${ofWorkspace})`;
}

/** A page of the inventory as it is told. */
export interface InventoryPage {
  readonly items: readonly InventoryItem[];
  readonly knowledge: ReturnType<typeof presentKnowledge>;
  /** Null: there is nothing more. */
  readonly next: Place | null;
  /** Whether it ends before it is full although more tokens may match. */
  readonly isPartial: boolean;
}

/**
 * Makes sense of the rows of `selectPage`.
 *
 * @param known what is known of the workspace that was asked about, if one was.
 */
export function readPage(
  rows: readonly PageRow[],
  known: readonly Knowledge[],
  {
    filter,
    view,
    limitRows,
    unusedAfter,
    nowMs,
  }: Pick<Asked, 'filter' | 'view' | 'limitRows' | 'unusedAfter' | 'nowMs'>,
  owners: Pick<OwnerMacs, 'believed' | 'isAuthentic'>,
): InventoryPage {
  const found = rows.filter((row) => row.is_end === 0);
  const shown = found.slice(0, limitRows);
  const end = found.length > limitRows ? shown.at(-1) : rows.find((row) => row.is_end === 1);
  return {
    // A token that a statement took for the caller's own is shown only if it is: the statement cannot tell whether an owner is authentic.
    items: shown
      .filter((row) => owners.isAuthentic(row) || isSeenUnowned(view, row.workspace_uuid))
      .map((row) => presentItem(owners.believed(row), row.usage_advanced_at, unusedAfter, nowMs)),
    knowledge: presentKnowledge([...known, ...shown]),
    next:
      end === undefined
        ? null
        : {
            workspaceUuid: end.workspace_uuid,
            tokenId: end.token_id,
            dueMs: isByExpiry(filter) ? end.expires_at : null,
          },
    // A place that the caller no longer sees shows nothing behind it, and does not pass for the end of the inventory.
    isPartial: shown.length < limitRows && (end !== undefined || rows.some((row) => row.is_place_known === 0)),
  };
}
