import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { TOKENS } from './client.ts';
import type { Service } from './service.ts';

/** Callers who read at once. */
const CALLERS = 60;
/** How long D1 is kept from writing: several times what a read waits behind a group. */
const HELD_MS = 60;
/** D1 may be writing for others just then, and on a busy machine for long. */
const LOCK_PATIENCE_MS = 10_000;
/** Callers who hang up, each at a moment of that time of its own. */
const HANG_UP_SHARE = 0.4;

/** What became of many reads, of which D1 was slow to take the first group. */
export interface KilledReads {
  /** Event ids of those that were answered 200. */
  readonly answered: readonly string[];
  readonly unavailable: number;
  /** Whose caller hung up, or whose connection died with workerd. */
  readonly unanswered: number;
}

/**
 * Keeps D1 from writing, sends many reads at once, so that groups go beside the one that waits, and hangs up on some of them: nobody
 * can choose which, so that requests that send a group are among them. Kills workerd once the first of them is answered, or never.
 *
 * @param jwts of callers who differ, so that no two reads share a row.
 */
export async function killReads(
  service: Service,
  stateDir: string,
  jwts: readonly string[],
  isKilled: boolean,
): Promise<KilledReads> {
  // A JWT that was verified before costs a read nothing: they all come to D1 together.
  await Promise.all(jwts.map(async (jwt) => await get(service, '/api/v1/whoami', jwt, null)));
  using database = openToWrite(stateDir);
  database.exec('begin immediate');
  const reads = jwts.map(async (jwt) => {
    const patienceMs = Math.ceil(Math.random() * 2 * HELD_MS);
    return await get(service, TOKENS, jwt, Math.random() < HANG_UP_SHARE ? patienceMs : null);
  });
  await delay(HELD_MS);
  database.exec('rollback');
  if (isKilled) {
    await Promise.any(reads.map(async (read) => (await read) ?? (await Promise.reject(new Error('unanswered')))));
    await delay(Math.random() * 4 * HELD_MS);
    service.killWorkerd();
  }
  const outcomes = await Promise.all(reads);
  if (isKilled) await service.untilRestarted();
  const answers = outcomes.filter((outcome) => outcome !== null);
  return {
    answered: answers.filter(({ status }) => status === 200).map(({ eventId }) => eventId ?? 'none'),
    unavailable: answers.filter(({ status }) => status === 503).length,
    unanswered: outcomes.length - answers.length,
  };
}

/** Null: it was not answered, or its caller hung up first. */
async function get(service: Service, path: string, jwt: string, patienceMs: number | null) {
  const signal = patienceMs === null ? null : AbortSignal.timeout(patienceMs);
  try {
    const answer = await fetch(`${service.url}${path}`, { headers: { Authorization: `Bearer ${jwt}` }, signal });
    await answer.text();
    return { status: answer.status, eventId: answer.headers.get('X-Audit-Event-Id') };
  } catch {
    return null;
  }
}

/** JWTs for that many callers, made by `sign`. */
export const readersOf = async (sign: (subject: string) => Promise<string>): Promise<readonly string[]> =>
  await Promise.all(Array.from({ length: CALLERS }, async () => await sign(`reader-${crypto.randomUUID()}`)));

function openToWrite(stateDir: string): DatabaseSync & Disposable {
  const folder = join(stateDir, 'v3', 'd1', 'miniflare-D1DatabaseObject');
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.sqlite'))) {
    const database = new DatabaseSync(join(folder, file), { timeout: LOCK_PATIENCE_MS });
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_events'").get() !== undefined)
      return Object.assign(database, { [Symbol.dispose]: () => database.close() });
    database.close();
  }
  throw new Error(`no trail under ${folder}`);
}
