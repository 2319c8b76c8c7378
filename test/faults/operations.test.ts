import { afterAll, describe, expect, it } from 'vitest';
import { createTestIssuer } from '../support/issuer.ts';
import { createFaults, FAULT_MODES, type FaultPlan } from '../support/faults.ts';
import { createHarness, ISSUER, TOKENS, type Answer, type Harness } from '../support/harness.ts';
import { expectHonestAnswer, expectSettledTrail } from '../support/invariants.ts';

// Every D1 and network call of every operation, failing in every way it can.

const issuer = await createTestIssuer({ issuer: ISSUER });
// Late enough for a settlement to be announced as well.
const RECONCILE_AFTER_MS = 301_000;

interface Operation {
  readonly name: string;
  /** What exists before; its calls are not counted. */
  prepare?(harness: Harness): Promise<string>;
  run(harness: Harness, prepared: string): Promise<Answer | void>;
}

const path = (id: string) => `${TOKENS}/${id}`;
const mintOne = async (harness: Harness) => (await harness.mint()).id;
/** A create that PipeOps committed and whose answer was lost, old enough to be looked into. */
const loseCreate = async (harness: Harness) => {
  await harness.control.fault({ match: { workspace_uuid: harness.workspace, method: 'POST' }, drop: 'after_commit' });
  await harness.send('POST', TOKENS, { body: { name: 'lost', scopes: ['api:read'] } });
  return '';
};

const OPERATIONS: readonly Operation[] = [
  {
    name: 'create',
    run: async (h) => await h.send('POST', TOKENS, { body: { name: 'deploy', scopes: ['api:read'] } }),
  },
  { name: 'list', prepare: mintOne, run: async (h) => await h.send('GET', TOKENS) },
  { name: 'get', prepare: mintOne, run: async (h, id) => await h.send('GET', path(id)) },
  {
    name: 'rename',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { name: 'renamed' } }),
  },
  {
    name: 'rescope',
    prepare: mintOne,
    run: async (h, id) => await h.send('PATCH', path(id), { body: { scopes: ['api:write'] } }),
  },
  { name: 'revoke', prepare: mintOne, run: async (h, id) => await h.send('DELETE', path(id)) },
  {
    name: 'revoke of a token made elsewhere',
    prepare: async (h) => (await h.control.insertToken({ workspace_uuid: h.workspace, name: 'by hand' })).id,
    run: async (h, id) => await h.send('DELETE', path(id)),
  },
  { name: 'audit query', run: async (h) => await h.send('GET', '/api/v1/audit/events') },
  {
    name: 'audit event',
    prepare: async (h) => {
      await h.mint();
      return (await h.rows())[0]?.id ?? '';
    },
    run: async (h, id) => await h.send('GET', `/api/v1/audit/events/${id}`),
  },
  { name: 'audit export', run: async (h) => await h.send('GET', '/api/v1/audit/export?latest=true') },
  { name: 'cron', prepare: loseCreate, run: async (h) => await h.cron() },
];

async function play(operation: Operation, plan: FaultPlan) {
  const faults = createFaults(plan);
  const harness = await createHarness({ issuer, db: faults.db, runtime: faults.runtime });
  const prepared = (await operation.prepare?.(harness)) ?? '';
  if (operation.name === 'cron') faults.advance(RECONCILE_AFTER_MS);
  faults.arm();
  const answer = await operation.run(harness, prepared);
  faults.disarm();
  return { faults, harness, answer };
}

let total = 0;
afterAll(() => console.log(`fault harness: ${total} points`));

describe.each(OPERATIONS)('$name', async (operation) => {
  const { faults } = await play(operation, { point: 0, mode: 'fails before' });
  const plans = faults.points.flatMap((call, index) => FAULT_MODES.map((mode) => ({ point: index + 1, call, mode })));
  total += plans.length;

  it.each(plans)('call $point ($call) $mode', async (plan) => {
    const { faults: injected, harness, answer } = await play(operation, plan);
    expect(injected.points.length, 'the planned call was made').toBeGreaterThanOrEqual(plan.point);
    if (answer !== undefined) await expectHonestAnswer(harness, answer);

    injected.advance(RECONCILE_AFTER_MS);
    await harness.cron();
    await expectSettledTrail(harness);
  });
});
