import { and, eq, sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { sessions } from '../db/schema.ts';
import { selectedRow } from '../db/sql.ts';
import type { SessionProof } from '../identity/identity.ts';
import { isLive } from '../subjects/bars.ts';
import type { SessionEnd } from '../vocabulary.ts';
import type { SessionFacts } from './sealing.ts';

// The statements that write sessions. A session begins and ends in the batch that records it.

/** Inserts the row of a session that begins. */
export const insertSession = (
  { build }: Pick<Database, 'build'>,
  facts: SessionFacts,
  mac: string,
  nowMs: number,
  guard: SQL,
) =>
  build.insert(sessions).select(sql`select ${selectedRow(sessions, { ...facts, mac, seen_at: nowMs })} where ${guard}`);

/** Whether a session of this id was ever begun, as far as its row is still kept. */
export const isBegun = (id: string): SQL => sql`exists (select 1 from sessions as x where x.id = ${id})`;

/** Ends a session that lives, once and for all. */
export const endSession = (
  { build }: Pick<Database, 'build'>,
  proof: SessionProof,
  reason: SessionEnd,
  nowMs: number,
  guard: SQL = sql`true`,
) =>
  build
    .update(sessions)
    .set({ mac: null, ended_at: nowMs, end_reason: reason, recorded_at: nowMs })
    .where(and(eq(sessions.id, proof.id), isLive(proof), guard));

/** Writes down that a session is used now, if the last use that was written down is one of `macs`. */
export const touchSession = (
  { build }: Pick<Database, 'build'>,
  { id }: SessionFacts,
  mac: string,
  macs: readonly string[],
  nowMs: number,
) =>
  build
    .update(sessions)
    .set({ mac, seen_at: nowMs })
    .where(
      and(eq(sessions.id, id), sql`${sessions.mac} in (select m.value from json_each(${JSON.stringify(macs)}) as m)`),
    );
