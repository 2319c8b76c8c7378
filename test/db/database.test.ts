import { env } from 'cloudflare:workers';
import { expect, it } from 'vitest';
import { sql } from 'drizzle-orm';
import { D1_TIMEOUT_MS } from '../../src/config/limits.ts';
import { createDatabase } from '../../src/db/database.ts';
import { newTrace } from '../../src/kit/trace.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

// How long a batch waits, and what becomes of its deadline. test/faults has a D1 that hangs.

function setUp(batch?: () => Promise<never>) {
  const asked: { readonly ms: number; readonly controller: AbortController }[] = [];
  const cancelled: AbortSignal[] = [];
  const lines: unknown[] = [];
  const runtime = {
    ...workerRuntime,
    timeout: (ms: number) => {
      const controller = new AbortController();
      asked.push({ ms, controller });
      return controller.signal;
    },
    cancel: (signal: AbortSignal) => void cancelled.push(signal),
    log: (line: unknown) => void lines.push(line),
  };
  const d1 = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch' && batch !== undefined) return batch;
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const database = createDatabase(d1, runtime);
  const query = database.build.select({ one: sql<number>`1`.as('one') }).from(sql`(select 1)`);
  const send = async (signal?: AbortSignal) => await database.batch({ trace: newTrace() }, [query], signal);
  return { send, asked, cancelled, lines };
}

it('has a deadline of its own, which is cancelled with the answer', async () => {
  const { send, asked, cancelled } = setUp();
  expect(await send()).toEqual({ ok: true, value: [[{ one: 1 }]] });
  expect(asked.map(({ ms }) => ms)).toEqual([D1_TIMEOUT_MS]);
  expect(cancelled).toEqual(asked.map(({ controller }) => controller.signal));
});

it('does not cancel a deadline that it was given', async () => {
  const { send, asked, cancelled } = setUp();
  expect(await send(new AbortController().signal)).toMatchObject({ ok: true });
  expect([asked, cancelled]).toEqual([[], []]);
});

it('cancels its deadline when D1 refuses too', async () => {
  const { send, asked, cancelled, lines } = setUp(async () => await Promise.reject(new Error('D1_ERROR: no')));
  expect(await send()).toEqual({ ok: false, error: 'rejected' });
  expect(cancelled).toEqual(asked.map(({ controller }) => controller.signal));
  expect(lines).toMatchObject([{ event: 'd1_failed', failure: 'rejected' }]);
});

it('gives up when its deadline passes, and says that D1 may have committed', async () => {
  const { send, asked } = setUp(async () => await new Promise<never>(() => {}));
  const sent = send();
  asked[0]?.controller.abort();
  expect(await sent).toEqual({ ok: false, error: 'unanswered' });
});
