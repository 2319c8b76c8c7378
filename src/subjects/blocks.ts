import { exists, sql, type SQL } from 'drizzle-orm';
import type { Database, Query } from '../db/database.ts';
import { subjectBlocks, webhookDeliveries, webhookOwners } from '../db/schema.ts';
import { compiled, isEndUnproven, selectedRow } from '../db/sql.ts';
import { labelKey, type Labelled } from './labels.ts';

/** Somebody who may be blocked: a caller, as the trail names it. */
export interface Blockable {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** The condition that somebody was offboarded, by issuer and subject or by label. */
export const isBlocked = (database: Pick<Database, 'build'>, blockable: Blockable): SQL =>
  blockExists(database, blockedValues(blockable));

/** `isBlocked` with placeholders, for a compiled query. `blockedValues` fills them. */
export const isBlockedFilled = (database: Pick<Database, 'build'>): SQL =>
  blockExists(database, {
    blocked_issuer: sql.placeholder('blocked_issuer'),
    blocked_subject: sql.placeholder('blocked_subject'),
    blocked_label: sql.placeholder('blocked_label'),
  });

/** What fills the placeholders. Null equals nothing in SQL, so nobody without a label is found by one. */
export const blockedValues = ({ issuer, subject, label }: Blockable) => ({
  blocked_issuer: issuer,
  blocked_subject: subject,
  blocked_label: label === null ? null : labelKey(label),
});

const blockExists = (
  { build }: Pick<Database, 'build'>,
  { blocked_issuer, blocked_subject, blocked_label }: Record<keyof ReturnType<typeof blockedValues>, unknown>,
): SQL => {
  const { issuer, subject, label } = subjectBlocks;
  const isSubject = sql`(${issuer} = ${blocked_issuer} and ${subject} = ${blocked_subject})`;
  return exists(
    build
      .select({ one: sql`1` })
      .from(subjectBlocks)
      .where(sql`${isSubject} or ${label} = ${blocked_label}`),
  );
};

/** The condition that a block, `b`, is of the owner of a token, `t`. */
export const IS_BLOCK_OF_OWNER = sql.raw(
  '(b.issuer = t.owner_issuer and b.subject = t.owner_subject) or b.label = t.owner_label',
);

/** Selects whether somebody was offboarded: one row with a number that is 1 or 0. */
export const selectBlocked = (database: Database, blockable: Blockable) =>
  SELECT_BLOCKED(database, blockedValues(blockable));

const SELECT_BLOCKED = compiled((database) =>
  database.build.select({ blocked: sql<number>`${isBlockedFilled(database)}`.as('blocked') }).from(sql`(select 1)`),
);

/** A caller, and when its JWT was issued; null: nothing says when. */
interface LateCaller extends Labelled {
  readonly issuedAtMs?: number | null;
}

/**
 * The statements that go with the refusal of a blocked caller. A caller whose JWT was issued before its label was offboarded had that
 * label then, though nobody here knew. So it is the leaver: the delivery gets one owner more, who is blocked by subject, and the next
 * run orders its tokens. A newer JWT says nothing, since the label may be somebody else's by now.
 */
export function addLateOwner({ build }: Pick<Database, 'build'>, caller: LateCaller, nowMs: number): readonly Query[] {
  const { issuer, subject, label, issuedAtMs = null } = caller;
  if (issuer === null || subject === null || label === null || issuedAtMs === null) return [];
  const key = labelKey(label);
  const row = {
    delivery_id: sql`d.id`,
    issuer,
    subject,
    found: 'owner',
    tokens: sql`(select count(*) from tokens as t
      where t.owner_issuer = ${issuer} and t.owner_subject = ${subject} and ${isEndUnproven('t')})`,
  };
  const block = { issuer, subject, label: key, delivery_id: sql`d.id`, created_at: nowMs };
  /** The deliveries, `d`, that offboarded the label and did not find the caller. */
  const missed: SQL = sql`from subject_blocks as b join webhook_deliveries as d on d.id = b.delivery_id
    where b.label = ${key} and b.issuer is null and d.received_at >= ${issuedAtMs}
      and not exists (select 1 from webhook_owners as o
        where o.delivery_id = d.id and o.issuer = ${issuer} and o.subject = ${subject})`;
  return [
    build.insert(subjectBlocks).select(sql`select ${selectedRow(subjectBlocks, block)} ${missed}`),
    build
      .update(webhookDeliveries)
      .set({ orders_left: 1 })
      .where(sql`id in (select d.id ${missed})`),
    build.insert(webhookOwners).select(sql`select ${selectedRow(webhookOwners, row)} ${missed}`),
  ];
}
