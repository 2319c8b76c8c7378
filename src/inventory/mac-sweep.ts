import { sql, type SQL } from 'drizzle-orm';
import { MAC_SWEEP_TOKENS, UNAUTHENTIC_TOLD_MS } from '../config/trail-limits.ts';
import type { Database, Query, RowsOf } from '../db/database.ts';
import { auditEvents, jwksCache, macSweeps, tokens, unauthenticRows } from '../db/schema.ts';
import { each } from '../db/sql.ts';
import { canonicalWorkspace } from '../db/workspace-spelling.ts';
import { jwksMac } from '../identity/key-archive.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Trace } from '../kit/trace.ts';
import type { Adoption, RowMacs } from '../trail/row-macs.ts';
import type { MacKind } from '../vocabulary.ts';
import { isProvenEnd } from './looks.ts';
import type { OwnerMacs } from './owner-macs.ts';

// The job of the cron that looks at rows with a MAC whether anybody uses them or not. A request that meets a wrong MAC believes nothing;
// this is how a person hears of it. It is also what gives a MAC to the owners from before the secret.

export interface MacSweepDependencies {
  readonly database: Database;
  readonly runtime: Pick<Runtime, 'now' | 'log'>;
  readonly owners: OwnerMacs;
  readonly rowMacs: Pick<RowMacs, 'adopt'>;
  /** Null: nothing is authenticated, and the job does nothing. */
  readonly secret: Uint8Array | null;
}

/** What the cron's line says. */
interface MacSweepReport extends Readonly<Record<string, number>> {
  readonly adopted_owners: number;
  readonly unauthentic_rows: number;
}

const NOTHING: MacSweepReport = { adopted_owners: 0, unauthentic_rows: 0 };

/**
 * Looks at the next MAC_SWEEP_TOKENS tokens, at those that were wrong before, and at all archived keys. What is wrong is noted for
 * `/readyz`, and what is right again is forgotten. Forged keys are deleted, so that they do not keep the true ones out. While rows without
 * a MAC are adopted, it notes how far the trail has come.
 */
export async function sweepMacs(
  { database, runtime, owners, rowMacs, secret }: MacSweepDependencies,
  context: { readonly trace: Trace },
): Promise<MacSweepReport> {
  if (secret === null) return NOTHING;
  const nowMs = runtime.now();
  const read = await database.batch(context, [
    selectTokens(database, NEXT),
    selectTokens(database, NOTED),
    database.build.select().from(jwksCache),
    selectNewest(database),
  ] as const);
  if (!read.ok) return NOTHING;
  const [next, noted, keys, [newest]] = read.value;
  const adoption = rowMacs.adopt(newest?.seq ?? 0);
  const judged = [...new Map([...next, ...noted].map((row) => [nameOf(row), row])).values()];
  const wrong = judged.filter((row) => !isRight(owners, row)).map(nameOf);
  const right = judged.filter((row) => isRight(owners, row));
  const adopted = right.filter((row) => row.owner_issuer !== null && row.owner_mac === null && !isProvenEnd(row));
  const mac = jwksMac(secret);
  const forged = keys.filter((row) => row.mac !== null && row.mac !== mac(row.issuer, row.jwks, row.fetched_at));
  const old = nowMs - UNAUTHENTIC_TOLD_MS;
  const written = await database.batch(context, [
    ...(adopted.length === 0 ? [] : [giveMacs(database, owners, adopted)]),
    ...noteUnauthentic(database, 'owner', wrong, nowMs),
    ...(noted.length === 0 ? [] : [forget(database, right.map(nameOf))]),
    ...noteUnauthentic(
      database,
      'jwks',
      forged.map(({ issuer }) => issuer),
      nowMs,
    ),
    ...forged.map(({ issuer, mac: wrongMac }) =>
      database.build.delete(jwksCache).where(sql`${jwksCache.issuer} = ${issuer} and ${jwksCache.mac} is ${wrongMac}`),
    ),
    database.build
      .delete(unauthenticRows)
      .where(sql`${unauthenticRows.kind} <> 'owner' and ${unauthenticRows.found_at} < ${old}`),
    moveOn(database, 'owner', { position: next.length < MAC_SWEEP_TOKENS ? 0 : (next.at(-1)?.place ?? 0), mac: null }),
    ...(adoption === null ? [] : [moveOn(database, 'row', adoption)]),
  ]);
  if (!written.ok) return NOTHING;
  for (const name of wrong) runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'owner', name });
  for (const { issuer } of forged)
    runtime.log({ level: 'error', event: 'row_unauthentic', kind: 'jwks', name: issuer });
  return { adopted_owners: adopted.length, unauthentic_rows: wrong.length + forged.length };
}

/** Notes rows whose MAC is wrong, each once. */
export const noteUnauthentic = (
  { build }: Pick<Database, 'build'>,
  kind: MacKind,
  names: readonly string[],
  nowMs: number,
): readonly Query[] =>
  names.length === 0
    ? []
    : [
        build
          .insert(unauthenticRows)
          .select(sql`select ${kind}, value, ${nowMs} from json_each(${JSON.stringify(names)}) where true`)
          .onConflictDoNothing(),
      ];

type SweptRow = RowsOf<ReturnType<typeof selectTokens>>[number];

const nameOf = ({ workspace_uuid: workspace, token_id: id }: SweptRow): string => `${workspace} ${id}`;

/** A token that has ended gives nobody any power, so revoking it settles the matter. */
const isRight = (owners: OwnerMacs, row: SweptRow): boolean =>
  isProvenEnd(row) || (owners.isAuthentic(row) && row.is_bereft === 0);

const NEXT = sql`t.rowid in (select rowid from ${tokens} where rowid > coalesce((select position from ${macSweeps} where kind = 'owner'), 0)
  order by rowid limit ${sql.raw(String(MAC_SWEEP_TOKENS))})`;
const NOTED = sql`(t.workspace_uuid, t.token_id) in (
  select substr(name, 1, instr(name, ' ') - 1), substr(name, instr(name, ' ') + 1) from ${unauthenticRows} where kind = 'owner'
  limit ${sql.raw(String(MAC_SWEEP_TOKENS))})`;

/** Somebody has taken the owner away: the trail says that the token was minted here, and then it had one. */
const IS_BEREFT = sql`t.owner_issuer is null and exists (select 1 from audit_events as a
  where a.token_id = t.token_id and a.read_key is null and a.action = 'service_account_token.create' and a.status = 'success'
    and ${canonicalWorkspace('a.workspace_uuid')} = t.workspace_uuid)`;

const selectTokens = ({ build }: Pick<Database, 'build'>, which: SQL) =>
  build
    .select({
      place: sql<number>`t.rowid`.as('place'),
      workspace_uuid: sql<string>`t.workspace_uuid`.as('workspace_uuid'),
      token_id: sql<string>`t.token_id`.as('token_id'),
      owner_issuer: sql<string | null>`t.owner_issuer`.as('owner_issuer'),
      owner_subject: sql<string | null>`t.owner_subject`.as('owner_subject'),
      owner_mac: sql<string | null>`t.owner_mac`.as('owner_mac'),
      ended_by: sql<'listed' | 'acknowledged' | 'absent' | null>`t.ended_by`.as('ended_by'),
      is_bereft: sql<0 | 1>`${IS_BEREFT}`.as('is_bereft'),
    })
    .from(sql`${tokens} as t`)
    .where(which)
    .orderBy(sql`t.rowid`);

/** Gives a MAC to owners from before the secret, unless somebody has changed them since they were read. */
const giveMacs = ({ build }: Pick<Database, 'build'>, owners: OwnerMacs, rows: readonly SweptRow[]) =>
  build
    .update(tokens)
    .set({ owner_mac: sql`e.value ->> 'mac'` })
    .from(
      each(
        rows.map((row) => ({
          workspace: row.workspace_uuid,
          id: row.token_id,
          issuer: row.owner_issuer,
          subject: row.owner_subject,
          mac: owners.of(row),
        })),
      ),
    )
    .where(
      sql`${tokens.workspace_uuid} = e.value ->> 'workspace' and ${tokens.token_id} = e.value ->> 'id' and ${tokens.owner_mac} is null
        and ${tokens.owner_issuer} is e.value ->> 'issuer' and ${tokens.owner_subject} is e.value ->> 'subject'`,
    );

const forget = ({ build }: Pick<Database, 'build'>, names: readonly string[]) =>
  build
    .delete(unauthenticRows)
    .where(
      sql`${unauthenticRows.kind} = 'owner' and ${unauthenticRows.name} in (select value from json_each(${JSON.stringify(names)}))`,
    );

const selectNewest = ({ build }: Pick<Database, 'build'>) =>
  build.select({ seq: sql<number | null>`max(${auditEvents.seq})`.as('seq') }).from(auditEvents);

const moveOn = ({ build }: Pick<Database, 'build'>, kind: MacKind, to: Adoption) =>
  build
    .insert(macSweeps)
    .values({ kind, ...to })
    .onConflictDoUpdate({
      target: macSweeps.kind,
      set: to,
      setWhere: sql`position <> ${to.position} or ${macSweeps.mac} is not ${to.mac}`,
    });
