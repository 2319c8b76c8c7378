import { env } from 'cloudflare:workers';
import { noteSecret } from '../support/secrets.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { createWebhookHarness } from '../revocation/harness.ts';
import type { Answer, HarnessOptions, SentRequest } from '../support/harness.ts';

/** A time at the beginning of a minute that no other test is in. */
let minute = Math.floor(Date.UTC(2027, 0, 1) / 60_000);

/** A company of three isolates on one D1 and one clock, which stands still, in a minute of its own. */
export async function createThree(options: HarnessOptions = {}) {
  minute += 10;
  let nowMs = minute * 60_000 + 5_000;
  const runtime = { now: () => nowMs, ...options.runtime };
  const first = await createWebhookHarness({ ...options, runtime });
  const isolates = [
    first,
    await createWebhookHarness({ ...options, runtime, like: first }),
    await createWebhookHarness({ ...options, runtime, like: first }),
  ] as const;
  let turn = 0;
  const jwtOf = async (role: string, sub: string, claims: Record<string, unknown> = {}): Promise<string> => {
    const jwt = await first.issuer.sign({ sub, role, ...claims }, { nowMs });
    noteSecret(jwt);
    return jwt;
  };
  return {
    first,
    isolates,
    jwtOf,
    nowMs: runtime.now,
    /** The next request goes to the next isolate. */
    send: async (method: string, path: string, request: SentRequest): Promise<Answer> => {
      turn += 1;
      return await isolates[turn % isolates.length]!.send(method, path, request);
    },
    age: (seconds: number): void => {
      nowMs += seconds * 1000;
    },
  };
}

/** All rows of a subject, in the order of `seq`. */
export const rowsOfSubject = async (subject: string): Promise<AuditEventRow[]> =>
  (
    await env.DB.prepare('select * from audit_events where actor_subject = ? order by seq')
      .bind(subject)
      .all<AuditEventRow>()
  ).results;

/** The count of each row that counts what is beyond the limits, and 1 for each other row. */
export const countsOf = (rows: readonly AuditEventRow[]): number[] => rows.map(({ count }) => count);
export const isFurtherRow = ({ detail }: AuditEventRow): boolean => JSON.parse(detail).further === true;
