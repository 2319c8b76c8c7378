import { sql, type SQL } from 'drizzle-orm';
import type { Database } from '../db/database.ts';
import { compiled } from '../db/sql.ts';
import type { CallerBar } from '../failures.ts';
import type { SessionProof } from '../identity/identity.ts';
import { type Blockable, blockedValues, isBlocked, isBlockedFilled, selectBlocked } from './blocks.ts';

// Why D1 keeps a caller out that policy would let in: it was offboarded, or its browser session is over. The batch that records what a
// caller does looks at both, so a session needs no read before it and no check after.

/** A caller, and the session that it comes through. Absent: it sent a JWT. */
export interface Barrable extends Blockable {
  readonly session?: SessionProof | undefined;
}

/** The condition that a session lives. `field` gives the expression of each field of its proof. */
export const sessionLives = (field: (name: keyof SessionProof) => SQL): SQL =>
  sql`exists (select 1 from sessions as x where x.id = ${field('id')} and x.actor_type = ${field('actor_type')} and x.issuer = ${field('issuer')}
    and x.subject = ${field('subject')} and x.label is ${field('label')} and x.started_at = ${field('started_at')}
    and x.ends_at = ${field('ends_at')} and x.mac in (select m.value from json_each(${field('macs')}) as m))`;

/** The condition that the session of this proof lives. */
export const isLive = (proof: SessionProof): SQL => sessionLives((name) => sql`${proofValues(proof)[name]}`);

const proofValues = (proof: SessionProof) => ({ ...proof, macs: JSON.stringify(proof.macs) });

/** The condition that a caller is kept out. */
export function isBarred(database: Pick<Database, 'build'>, caller: Barrable): SQL {
  const { session } = caller;
  const blocked = isBlocked(database, caller);
  return session === undefined ? blocked : sql`(${blocked} or not ${isLive(session)})`;
}

/** What stands in the column `blocked` of a row for `barOf`. */
export function selectsBar(database: Pick<Database, 'build'>, caller: Barrable): SQL<number> {
  const { session } = caller;
  const blocked = isBlocked(database, caller);
  return session === undefined ? sql<number>`${blocked}` : barNumber(blocked, sql`not ${isLive(session)}`);
}

/** Selects why a caller is kept out, for `barOf`. */
export const selectBar = (database: Database, caller: Barrable): ReturnType<typeof selectBlocked> => {
  const { session } = caller;
  if (session === undefined) return selectBlocked(database, caller);
  return SELECT_BAR(database, { ...blockedValues(caller), ...sessionValues(session) });
};

/** What stands in the column `blocked` of a caller that was not offboarded, and whose session is over. */
const OVER = 2;

/** `OVER` where a session is over, 1 where its caller was offboarded, else 0. */
export const barNumber = (blocked: SQL, over: SQL): SQL<number> =>
  sql<number>`case when ${blocked} then 1 when ${over} then ${sql.raw(String(OVER))} else 0 end`;

const sessionValues = (proof: SessionProof) =>
  Object.fromEntries(Object.entries(proofValues(proof)).map(([name, value]) => [`session_${name}`, value]));

const SELECT_BAR = compiled((database) => {
  const over = sql`not ${sessionLives((name) => sql`${sql.placeholder(`session_${name}`)}`)}`;
  return database.build
    .select({ blocked: barNumber(isBlockedFilled(database), over).as('blocked') })
    .from(sql`(select 1)`);
});

/** Why a caller is kept out, by the row of `selectBar`; null if it is not. */
export function barOf(row: { readonly blocked: number } | undefined): CallerBar | null {
  if (row === undefined || row.blocked === 0) return null;
  return { kind: row.blocked === OVER ? 'session_ended' : 'subject_blocked' };
}
