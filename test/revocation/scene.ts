import { createWebhookHarness } from './harness.ts';
import { growingMinutes, untilRoomInDay } from '../support/clock.ts';
import type { HarnessOptions } from '../support/harness.ts';
import { createFakePipeOps } from './pipeops.ts';

const roles = {
  owner: {
    permissions: ['tokens:create', 'tokens:read', 'tokens:update', 'tokens:revoke'],
    tokens: 'own',
    workspaces: ['*'],
    scopes: ['*'],
  },
};

export type Scene = Awaited<ReturnType<typeof createScene>>;

/** The whole Worker, with webhooks, before a PipeOps that lies when it is told to; one clock for both. */
export async function createScene(options: HarnessOptions = {}) {
  let skewMs = untilRoomInDay(Date.now(), 4);
  const now = (): number => Date.now() + skewMs;
  const pipeops = createFakePipeOps(now);
  const harness = await createWebhookHarness({
    ...options,
    roles: { ...roles, ...options.roles },
    runtime: { now, fetch: pipeops.fetch, sleep: async () => {}, ...options.runtime },
  });
  const elapse = (seconds: number): void => {
    skewMs += seconds * 1000;
  };
  return {
    ...harness,
    pipeops,
    now,
    elapse,
    /** So many minutes, and as many crons as show what is done in them. */
    minutes: async (count: number): Promise<void> => {
      for (const step of growingMinutes(count)) {
        elapse(step * 60);
        await harness.cron();
      }
    },
    /** A JWT that is good whatever the clock of the test says. */
    jwt: async (role: string, claims: Record<string, unknown> = {}): Promise<string> => {
      const nowSeconds = Math.floor(now() / 1000);
      return await harness.jwtFor(role, { iat: nowSeconds, exp: nowSeconds + 300, ...claims });
    },
  };
}
