import { and, eq, exists, or, sql, type SQL } from 'drizzle-orm';
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
export function isBlocked({ build }: Database, { issuer, subject, label }: Blockable): SQL {
  const bySubject =
    issuer === null || subject === null
      ? undefined
      : and(eq(subjectBlocks.issuer, issuer), eq(subjectBlocks.subject, subject));
  const byLabel = label === null ? undefined : eq(subjectBlocks.label, labelKey(label));
  if (bySubject === undefined && byLabel === undefined) return sql`false`;
  return exists(
    build
      .select({ one: sql`1` })
      .from(subjectBlocks)
      .where(or(bySubject, byLabel)),
  );
}

/** The same as a query: one row, of one number that is 1 or 0. */
export const selectBlocked = (database: Database, subject: Blockable) =>
  database.build.select({ blocked: sql<number>`${isBlocked(database, subject)}`.as('blocked') }).from(sql`(select 1)`);
