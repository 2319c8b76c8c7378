import { env } from 'cloudflare:workers';
import type { Runtime } from '../../src/kit/runtime.ts';
import { workerRuntime } from '../../src/worker-runtime.ts';

/**
 * How a call fails: before it had any effect, after it had all of it, or by never answering, likewise with or without
 * its effect.
 */
export const FAULT_MODES = ['fails before', 'fails after', 'hangs before', 'hangs after'] as const;
export type FaultMode = (typeof FAULT_MODES)[number];

export interface FaultPlan {
  /** Which D1 or network call fails, counted from 1 in the order they are made; 0: none. */
  readonly point: number;
  readonly mode: FaultMode;
}

/**
 * A D1 binding and a runtime whose calls are numbered, one of which fails as planned.
 *
 * Time is virtual: a call that hangs makes the clock jump to the deadline it was given, so nothing here waits.
 */
export function createFaults(plan: FaultPlan) {
  const points: string[] = [];
  const deadlines: { readonly controller: AbortController; readonly ms: number }[] = [];
  let armed = false;
  let skewMs = 0;

  const expire = (deadline: (typeof deadlines)[number] | undefined): void => {
    if (deadline === undefined) throw new Error('a call hung without any deadline');
    skewMs += deadline.ms;
    deadline.controller.abort(new DOMException('deadline', 'TimeoutError'));
  };

  /** Runs one numbered call. `giveUp` ends the deadline that the call is under. */
  const at = async <T>(name: string, effect: () => Promise<T>, giveUp: () => void): Promise<T> => {
    if (!armed) return await effect();
    points.push(name);
    if (points.length !== plan.point) return await effect();
    if (plan.mode === 'fails before') throw new TypeError('injected: failed before its effect');
    if (plan.mode === 'fails after') {
      await effect();
      throw new TypeError('injected: failed after its effect');
    }
    if (plan.mode === 'hangs after') await effect();
    giveUp();
    return await new Promise<never>(() => {});
  };

  const db: D1Database = new Proxy(env.DB, {
    get: (target, key) => {
      if (key === 'batch') {
        return async (statements: D1PreparedStatement[]) => {
          // The deadline set last is the one that a D1 call is under.
          const deadline = deadlines.at(-1);
          return await at(
            'd1',
            () => target.batch(statements),
            () => expire(deadline),
          );
        };
      }
      const value: unknown = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });

  const runtime: Partial<Runtime> = {
    now: () => Date.now() + skewMs,
    sleep: async () => {},
    timeout: (ms) => {
      const controller = new AbortController();
      deadlines.push({ controller, ms });
      return controller.signal;
    },
    fetch: async (url, init) =>
      await at(
        `fetch ${init.method ?? 'GET'}`,
        async () => await buffered(await workerRuntime.fetch(url, { ...init, signal: null })),
        () => {
          // Other deadlines were set since: the one that ends this very call is looked for.
          for (const deadline of deadlines.toReversed()) {
            if (init.signal?.aborted === true) return;
            expire(deadline);
          }
        },
      ),
  };

  return {
    db,
    runtime,
    /** The calls seen since `arm`, in order. */
    points,
    arm: () => {
      armed = true;
    },
    disarm: () => {
      armed = false;
    },
    advance: (ms: number) => {
      skewMs += ms;
    },
  };
}

/** An answer whose body has arrived: what hangs or breaks here is the call, not its body. */
async function buffered(response: Response): Promise<Response> {
  const body = [101, 204, 205, 304].includes(response.status) ? null : await response.arrayBuffer();
  return new Response(body, response);
}
