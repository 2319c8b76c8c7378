import { afterAll, describe, expect, it } from 'vitest';
import type { Runtime } from '../../src/kit/runtime.ts';
import { createFaults, FAULT_MODES, type FaultPlan } from '../support/faults.ts';
import { ISSUER, type Answer } from '../support/harness.ts';
import { expectHonestAnswer, expectSettledTrail } from '../support/invariants.ts';
import { createTestIssuer } from '../support/issuer.ts';
import { twistedTokens } from '../support/twisted-answers.ts';
import { ROTATOR } from './scenes.ts';
import { clearOrders, createWebhookHarness, ordersOf, type WebhookHarness } from '../revocation/harness.ts';

// Every D1 and network call of every operation, failing in every way it can.

const issuer = await createTestIssuer({ issuer: ISSUER });
// Late enough for a settlement to be announced as well.
const RECONCILE_AFTER_MS = 301_000;
/** Two proofs of absence are as far apart. */
const NEXT_PROOF_MS = 61_000;
/** Runs of the cron after which everything is settled: two proofs, and the looks at what the second brought about. */
const SETTLING_RUNS_MAX_COUNT = 6;

export interface Operation {
  readonly name: string;
  readonly env?: Readonly<Record<string, string>>;
  /** PipeOps' answers to this method say that of the token, whatever is so. */
  readonly twisted?: readonly [method: string, change: object];
  /** What exists before; its calls are not counted. */
  prepare?(harness: WebhookHarness): Promise<string>;
  run(harness: WebhookHarness, prepared: string): Promise<Answer | void>;
  /** How many of its calls fail, from the first one on, where those that follow are another operation's; by default all. */
  readonly calls?: number;
  /** What it orders is carried out in the end, once: every token that there is at PipeOps is revoked by then. */
  readonly revokesAll?: true;
  /** What holds whatever failed: as soon as it is over, and again once reconciliation has had its turn. */
  afterwards?(harness: WebhookHarness, prepared: string, answer: Answer | void): Promise<void>;
}

function twistedNetwork({ twisted }: Operation, { fetch }: Partial<Runtime>): Partial<Runtime> {
  return twisted === undefined ? {} : twistedTokens(twisted[0], () => twisted[1], fetch);
}

async function play(operation: Operation, plan: FaultPlan) {
  // What other plays left to be looked at would be calls of this one's cron.
  await clearOrders();
  const faults = createFaults(plan);
  const options = {
    issuer,
    db: faults.db,
    runtime: { ...faults.runtime, ...twistedNetwork(operation, faults.runtime) },
    env: operation.env ?? {},
    roles: ROTATOR,
  };
  // The clock is that of the faults.
  const age = (seconds: number) => faults.advance(seconds * 1000);
  const harness = { ...(await createWebhookHarness(options)), age };
  const prepared = (await operation.prepare?.(harness)) ?? '';
  if (operation.name.endsWith('cron')) faults.advance(RECONCILE_AFTER_MS);
  faults.arm();
  const answer = await operation.run(harness, prepared);
  faults.disarm();
  return { faults, harness, prepared, answer };
}

/** Whoever got 503 sends the same again; whoever got another answer may do so, and hears the same. */
async function repeat(operation: Operation, harness: WebhookHarness, prepared: string, first: Answer | void) {
  const again = await operation.run(harness, prepared);
  if (first === undefined || again === undefined) return;
  expect([202, 503]).toContain(first.status);
  expect(again.status).toBe(202);
  // The receipt of a caller is a whole one.
  const idOf = ({ body }: Answer): string => body.data.delivery_id ?? body.data.id;
  expect(idOf(again)).toBe(idOf(first.status === 202 ? first : again));
}

/** Time passes, and the cron with it, until no attempt and no order is open. */
async function runUntilSettled(harness: WebhookHarness, advance: (ms: number) => void): Promise<void> {
  for (let run = 0; run < SETTLING_RUNS_MAX_COUNT; run += 1) {
    advance(run === 0 ? RECONCILE_AFTER_MS : NEXT_PROOF_MS);
    await harness.cron();
    const isOpen = (await harness.rows()).some(({ status }) => status === 'attempted');
    const hasOrders = (await ordersOf(harness)).some(({ state }) => state === 'open' || state === 'acknowledged');
    if (!isOpen && !hasOrders) return;
  }
}

async function expectAllRevokedOnce(harness: WebhookHarness): Promise<void> {
  const tokens = await harness.upstreamTokens();
  expect(tokens.length).toBeGreaterThan(0);
  for (const { commits } of tokens) {
    expect(commits.map(({ operation }) => operation)).toEqual(['create', 'revoke']);
  }
  const orders = await ordersOf(harness);
  expect(orders.map(({ token_id }) => token_id).toSorted()).toEqual(tokens.map(({ id }) => id).toSorted());
  for (const { state, result } of orders) {
    expect(state).toBe('confirmed');
    expect(['revoked', 'already_gone']).toContain(result);
  }
  for (const { revoked_at } of await harness.inventory()) expect(revoked_at).not.toBeNull();
}

/** Makes each call of each operation fail in each way: what is promised holds all the same. */
export function describeFaults(operations: readonly Operation[]): void {
  let total = 0;
  afterAll(() => console.log(`fault harness: ${total} points`));

  describe.each(operations)('$name', async (operation) => {
    const { faults } = await play(operation, { point: 0, mode: 'fails before' });
    const plans = faults.points
      .slice(0, operation.calls)
      .flatMap((call, index) => FAULT_MODES.map((mode) => ({ point: index + 1, call, mode })));
    total += plans.length;

    it.each(plans)('call $point ($call) $mode', async (plan) => {
      const { faults: injected, harness, prepared, answer } = await play(operation, plan);
      expect(injected.points.length, 'the planned call was made').toBeGreaterThanOrEqual(plan.point);
      if (answer !== undefined) await expectHonestAnswer(harness, answer);
      await operation.afterwards?.(harness, prepared, answer);

      if (operation.revokesAll === true) await repeat(operation, harness, prepared, answer);
      await runUntilSettled(harness, injected.advance);
      await expectSettledTrail(harness);
      await operation.afterwards?.(harness, prepared, answer);
      if (operation.revokesAll === true) await expectAllRevokedOnce(harness);
    });
  });
}
