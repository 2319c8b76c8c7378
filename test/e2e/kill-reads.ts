import { readdirSync } from 'node:fs';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { TOKENS } from './client.ts';
import type { Service } from './service.ts';

/** Callers who read at once: more than a group holds, with those that come again. */
const CALLERS = 150;
/** How long D1 is kept from writing: several times what a read waits behind a group. */
const HELD_MS = 60;
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
 * Keeps D1 from writing, sends many reads at once, so that groups go beside the one that waits, and hangs up on some of them: whose
 * callers they are, those that send a group among them, nobody can choose. Kills workerd at a moment of all that, or never.
 *
 * @param jwts of callers who differ, so that no two reads share a row.
 */
export async function killReads(
  service: Service,
  stateDir: string,
  jwts: readonly string[],
  isKilled: boolean,
): Promise<KilledReads> {
  using database = openToWrite(stateDir);
  database.exec('begin immediate');
  const reads = jwts.map(async (jwt) => {
    const signal = Math.random() < HANG_UP_SHARE ? AbortSignal.timeout(1 + Math.random() * HELD_MS) : null;
    try {
      const answer = await fetch(`${service.url}${TOKENS}`, { headers: { Authorization: `Bearer ${jwt}` }, signal });
      await answer.text();
      return { status: answer.status, eventId: answer.headers.get('X-Audit-Event-Id') };
    } catch {
      return null;
    }
  });
  await delay(HELD_MS);
  database.exec('rollback');
  if (isKilled) {
    await delay(Math.random() * HELD_MS);
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

/** JWTs for that many callers, made by `sign`. */
export const readersOf = async (sign: (subject: string) => Promise<string>): Promise<readonly string[]> =>
  await Promise.all(Array.from({ length: CALLERS }, async () => await sign(`reader-${crypto.randomUUID()}`)));

function openToWrite(stateDir: string): DatabaseSync & Disposable {
  const folder = path.join(stateDir, 'v3', 'd1', 'miniflare-D1DatabaseObject');
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.sqlite'))) {
    const database = new DatabaseSync(path.join(folder, file));
    if (database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'audit_events'").get() !== undefined)
      return Object.assign(database, { [Symbol.dispose]: () => database.close() });
    database.close();
  }
  throw new Error(`no trail under ${folder}`);
}
