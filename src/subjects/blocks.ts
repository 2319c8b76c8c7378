import { exists, sql, type SQL } from 'drizzle-orm';
import { compiled } from '../db/sql.ts';
import type { Database } from '../db/database.ts';
import { subjectBlocks } from '../db/schema.ts';
import { labelKey } from './labels.ts';

/** Whoever may be blocked: a caller, as the trail names it. */
export interface Blockable {
  readonly issuer: string | null;
  readonly subject: string | null;
  readonly label: string | null;
}

/** Whether somebody was offboarded, by issuer and subject or by label, as a condition of the batch that it stands in. */
export const isBlocked = (database: Pick<Database, 'build'>, blockable: Blockable): SQL =>
  blockExists(database, blockedValues(blockable));

/** The same with placeholders, for a compiled query: `blockedValues` has what goes there. */
export const isBlockedFilled = (database: Pick<Database, 'build'>): SQL =>
  blockExists(database, {
    blocked_issuer: sql.placeholder('blocked_issuer'),
    blocked_subject: sql.placeholder('blocked_subject'),
    blocked_label: sql.placeholder('blocked_label'),
  });

/** Null equals nothing in SQL: who has no label is not found by one. */
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

/** The same as a query: one row, of one number that is 1 or 0. */
export const selectBlocked = (database: Database, blockable: Blockable) =>
  SELECT_BLOCKED(database, blockedValues(blockable));

const SELECT_BLOCKED = compiled((database) =>
  database.build.select({ blocked: sql<number>`${isBlockedFilled(database)}`.as('blocked') }).from(sql`(select 1)`),
);
