import { beforeEach, describe, expect, it } from 'vitest';
import { QUOTA_HOUR_CALLS, UNKNOWN_WORKSPACES_MAX_COUNT } from '../../../src/config/limits.ts';
import { clearOrders, rowsOfDelivery } from '../harness.ts';
import { createCompany, leakedToken, madeUp, orderOf } from './made-up.ts';

// Whoever may order revocations may name what there is not. That costs little of what PipeOps takes, nothing of what is kept for
// revocation, and keeps no true order waiting.

beforeEach(clearOrders);

describe.each([404, 403, 'empty'] as const)(
  'a thousand workspaces that are made up, which PipeOps answers with %s',
  (unknown) => {
    it('cost a tenth of an hour of calls, and nothing of the reserve', async () => {
      const company = await createCompany({ unknown });
      await company.order(madeUp(1_000));
      await company.minutes(60);
      const asked = company.madeUpCalls();
      expect(asked.length).toBeLessThanOrEqual(61 * UNKNOWN_WORKSPACES_MAX_COUNT);
      expect(asked.every(({ method }) => method === 'GET')).toBe(true);
      // Nobody is asked twice before everybody was asked once.
      expect(new Set(asked.map(({ workspace }) => workspace)).size).toBe(asked.length);
      expect(company.left.ofHour).toBeGreaterThanOrEqual(QUOTA_HOUR_CALLS - 61 * UNKNOWN_WORKSPACES_MAX_COUNT);
    }, 60_000);

    it('keep no leak waiting, and no order in a workspace that exists and was not known', async () => {
      const company = await createCompany({ unknown });
      const { harness, workspaces } = company;
      await company.order(madeUp(1_000));
      await company.minutes(2);
      const leaked = await leakedToken(company);
      expect(await orderOf(harness.workspace)).toMatchObject([
        { token_id: leaked, state: 'confirmed', result: 'revoked' },
      ]);

      const elsewhere = crypto.randomUUID();
      workspaces.set(elsewhere, new Set(['theirs', 'others']));
      const answer = await company.order([{ token_id: 'theirs', workspace_uuid: elsewhere }]);
      await company.minutes(2);
      expect([...workspaces.get(elsewhere)!]).toEqual(['others']);
      expect(await orderOf(elsewhere)).toMatchObject([{ state: 'confirmed', result: 'revoked' }]);
      expect((await rowsOfDelivery(answer)).at(-1)).toMatchObject({
        action: 'service_account_token.revoke',
        status: 'success',
        workspace_uuid: elsewhere,
      });
    }, 60_000);

    it('cost no more with three isolates, and a webhook every few seconds', async () => {
      const company = await createCompany({ unknown });
      const others = [await createCompany({ unknown, like: company }), await createCompany({ unknown, like: company })];
      for (let minute = 0; minute < 5; minute += 1) {
        await Promise.all([company, ...others].map(async ({ order }) => await order(madeUp(3))));
        company.harness.age(60);
        await Promise.all([company, ...others].map(async ({ harness }) => await harness.cron()));
      }
      expect(company.madeUpCalls().length).toBeLessThanOrEqual(10 * UNKNOWN_WORKSPACES_MAX_COUNT);
      expect(company.madeUpCalls().length).toBeGreaterThanOrEqual(4);
    }, 60_000);
  },
);
