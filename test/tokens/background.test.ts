import { describe, expect, it } from 'vitest';
import { createHarness, TOKENS } from '../support/harness.ts';

// A caller that hangs up stops nothing: the work is handed to `waitUntil` before PipeOps is asked.

describe.each([
  ['create', 'POST', ''],
  ['update', 'PATCH', '/:id'],
  ['revoke', 'DELETE', '/:id'],
  ['list', 'GET', ''],
  ['get', 'GET', '/:id'],
])('%s', (_name, method, path) => {
  it('is handed to waitUntil before PipeOps is asked, and ends with its row settled though nobody waits', async () => {
    const prepared = await createHarness();
    const { id } = await prepared.mint();
    const handed: Promise<unknown>[] = [];
    let handedBeforeAsking: boolean | null = null;
    const harness = await createHarness({
      like: prepared,
      runtime: {
        background: (work) => void handed.push(work),
        fetch: async (url, init) => {
          // What the same turn still does is done before anything can have gone out.
          await Promise.resolve();
          handedBeforeAsking ??= handed.length > 0;
          return await prepared.runtime.fetch(url, init);
        },
      },
    });
    const body = { POST: { name: 'late', scopes: ['api:read'] }, PATCH: { name: 'late' } }[method];
    const request = new Request(`https://countersign.example${TOKENS}${path.replace(':id', id)}`, {
      method,
      headers: { Authorization: `Bearer ${await harness.jwtFor('admin')}`, 'Content-Type': 'application/json' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    // Nobody waits for the answer, but for what was handed over.
    const unheard = harness.worker.fetch(request);
    await expect.poll(() => handed.length).toBeGreaterThan(0);
    await handed[0];
    expect(handedBeforeAsking).toBe(true);
    expect((await harness.rows()).at(-1)).toMatchObject({ status: 'success' });
    await unheard;
  });
});
