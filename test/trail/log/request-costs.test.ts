import { expect, it } from 'vitest';
import { createHarness, type HarnessOptions, TOKENS } from '../../support/harness.ts';
import { measuredD1 } from '../../support/measured-d1.ts';
import { clearTrail } from './rig.ts';

// No request pays for the log: facts are derived by the cron, and MACs stand in columns without an index.

const SEALED = { isSealed: true, env: { STATE_SECRET: btoa('state-secret-of-these-tests-0000') } } as const;

/** What each operation costs, on a token of its own. The first of an isolate is not counted: it writes down what PipeOps says of its limits. */
async function costsWith(options: HarnessOptions) {
  const measured = measuredD1();
  const harness = await createHarness({ db: measured.db, ...options });
  const cost = async (method: string, path: string, body?: object) => {
    let id = '';
    const { batches, statements, rowsRead, rowsWritten } = await measured.of(async () => {
      const answer = await harness.send(method, path, body === undefined ? {} : { body });
      expect(answer.status, answer.text).toBeLessThan(300);
      id = answer.body.data.id;
    });
    return { id, cost: { batches, statements, rowsRead, rowsWritten } };
  };
  await cost('POST', TOKENS, { name: 'first', scopes: ['api:read'] });
  const created = await cost('POST', TOKENS, { name: 'deploy', scopes: ['api:read'] });
  const token = `${TOKENS}/${created.id}`;
  return {
    create: created.cost,
    get: (await cost('GET', token)).cost,
    update: (await cost('PATCH', token, { name: 'renamed' })).cost,
    revoke: (await cost('DELETE', token)).cost,
  };
}

// The database of a file is empty at first, and what D1 reads depends on what is there. So each kind of deployment is measured in the same state.
it.each([
  ['with the log and the MACs', SEALED],
  ['without', {}],
] as const)('an operation costs D1 what it did before there was a log: %s', async (_which, options) => {
  await clearTrail();
  const costs = await costsWith(options);
  expect(costs.create).toMatchObject({ batches: 2, statements: 13 });
  // The row with its indexes, its settlement, the token, and the count of its owner.
  expect(costs.create.rowsWritten).toBeLessThanOrEqual(27);
  expect(costs.get.rowsWritten).toBeLessThanOrEqual(10);
  expect(costs.update.rowsWritten).toBeLessThanOrEqual(17);
  expect(costs.revoke.rowsWritten).toBeLessThanOrEqual(23);
  for (const { rowsRead } of Object.values(costs)) expect(rowsRead).toBeLessThanOrEqual(75);
});
