import { env } from 'cloudflare:workers';
import type { Fault } from '../../pipeops-simulator/faults-wire.ts';
import { createHarness, type Harness, type HarnessOptions } from '../../support/harness.ts';
import { clearOrders } from '../../revocation/harness.ts';

// What the tests of reconciliation have in common.

export const CREATE = { body: { name: 'deploy', scopes: ['api:read'] } };

/** Without this, the crons of a test would look into what an earlier test left open. */
export const settleAll = async (): Promise<void> => {
  await clearOrders();
  await env.DB.prepare(
    `update audit_events set status = 'failure', settled_at = 1, outcome = '{}' where status = 'attempted'`,
  ).run();
};

/** Two runs of the cron, as far apart as two proofs of absence must be. */
export const cronTwice = async ({ harness, age }: { harness: Harness; age: (seconds: number) => void }) => {
  await harness.cron();
  age(61);
  await harness.cron();
};

/** Makes the next lists of the workspace say this, whatever is true. */
export const listsSay = async (harness: Harness, tokens: readonly object[], times = 1) =>
  await harness.control.fault({
    match: { workspace_uuid: harness.workspace, method: 'GET' },
    times,
    body: { success: true, message: '', data: { tokens, total: tokens.length } },
  });

/** The columns of a harness's orders that these tests look at. */
export const ordersOf = async (harness: Harness) =>
  (
    await env.DB.prepare('select * from revocation_orders where workspace_uuid = ? order by created_at')
      .bind(harness.workspace)
      .all()
  ).results;

/** The tokens that PipeOps holds alive. */
export const liveTokens = async (harness: Harness) =>
  (await harness.upstreamTokens()).filter((token) => !token.is_revoked);

export const revokeRows = async (harness: Harness) =>
  (await harness.rows()).filter(({ action }) => action === 'service_account_token.revoke');

/** A harness whose clock can be moved; JWTs are signed by its own clock. */
export async function withClock(
  options: Pick<HarnessOptions, 'env'> = {},
): Promise<{ harness: Harness; age: (seconds: number) => void }> {
  let skewMs = 0;
  const harness = await createHarness({ ...options, runtime: { now: () => Date.now() + skewMs } });
  return {
    harness,
    age: (seconds) => {
      skewMs += seconds * 1000;
    },
  };
}

export const faultOnce = async (harness: Harness, fault: Fault) =>
  await harness.control.fault({ ...fault, match: { workspace_uuid: harness.workspace } });

export const lastSentBody = async (harness: Harness): Promise<{ name: string }> => {
  const sent = await harness.upstream();
  return sent[sent.length - 1]!.body as { name: string };
};

/** The rows of what callers did, without those of what this service did by itself. */
export const outcomeOf = async (harness: Harness, index = -1) => {
  const row = (await harness.rows()).filter(({ actor_type }) => actor_type !== 'system').at(index);
  return { status: row?.status, error_code: row?.error_code, ...(JSON.parse(row?.outcome ?? '{}') as object) };
};
