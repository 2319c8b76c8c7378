import { env } from 'cloudflare:workers';
import { stateSecret } from '../../src/config/trail-log.ts';
import type { AuditEventRow } from '../../src/db/schema.ts';
import { createMac } from '../../src/kit/mac.ts';
import { createRowMacs } from '../../src/trail/row-macs.ts';

/** What every harness authenticates D1 with. Rows that tests insert themselves have no MAC, and count until the adoption ends. */
export const STATE_SECRET = btoa('state-secret-of-all-tests-000000');
const STATE = { STATE_SECRET, STATE_ADOPT_UNTIL: '2999-12-31' };
/** For a harness that authenticates nothing. */
export const NO_STATE = { STATE_SECRET: undefined, STATE_ADOPT_UNTIL: undefined };

/** What makes the MACs of rows. */
export const mac = createMac(stateSecret.parse(STATE_SECRET), 'audit-event/v1');
/** What judges a row once the adoption is over. */
export const rowMacs = createRowMacs({ mac, adoptUntilMs: null, now: () => 0 });

let isMixed = false;
let isUsed = false;
/** For the setup of a file: files share their modules. */
export const forgetState = (): void => {
  isMixed = false;
  isUsed = false;
};
/** What a harness authenticates with. */
export const useState = (): typeof STATE => {
  isUsed = true;
  return STATE;
};
/** For a file that forges rows, or whose harnesses have no secret or another. */
export const expectUnauthenticRows = (): void => {
  isMixed = true;
};

/**
 * The rows of the trail that the Worker wrote and that are not as it wrote them. Those that a test inserts itself come from no request, and
 * those that it settles itself have no outcome, or are failures without a code.
 */
export async function unauthenticRows(): Promise<readonly object[]> {
  if (isMixed || !isUsed) return [];
  const query = env.DB.prepare(
    `select * from audit_events where request_id is not null and (status = 'attempted' or outcome is not null)
       and not (status = 'failure' and error_code is null)`,
  );
  const { results } = await query.all<AuditEventRow>();
  return results
    .filter((row) => !rowMacs.isUntouched(row, undefined))
    .map(({ action, status, error_code, recorded_mac, settled_mac }) => ({
      action,
      status,
      error_code,
      recorded_mac,
      settled_mac,
    }));
}
