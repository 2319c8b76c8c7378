import { workerRuntime } from '../../src/worker-runtime.ts';
import { createHarness, TOKENS, type Answer, type Harness, type HarnessOptions } from '../support/harness.ts';

/** What PipeOps, or the network before it, does with a request in place of answering it. */
export type Fault = (hang: () => Promise<never>) => Response | Promise<Response>;

export const answers =
  (status: number, body: unknown = {}, headers: Record<string, string> = {}): Fault =>
  () =>
    Response.json(body, { status, headers });

export const FAULTS = {
  '401': answers(401),
  '419': answers(419),
  '403': answers(403),
  '404, of the workspace': answers(404),
  '429': answers(429, {}, { 'Retry-After': '30' }),
  '500': answers(500),
  '503': answers(503),
  'a reset': async () => await Promise.reject(new TypeError('connection reset')),
  'a hang': async (hang) => await hang(),
  'a redirect': () => new Response(null, { status: 302, headers: { Location: 'https://elsewhere.example' } }),
  'a page': () => new Response('<html>', { headers: { 'Content-Type': 'text/html' } }),
} satisfies Readonly<Record<string, Fault>>;

export type Scene = Awaited<ReturnType<typeof createScene>>;

/**
 * An isolate whose PipeOps can be made to fail, and whose clock can be moved. A call that hangs ends its deadline at once.
 *
 * @param clock that of another isolate, which moves with it; default: its own.
 */
export async function createScene(options: HarnessOptions = {}, clock = { skewMs: 0 }) {
  let fault: Fault | null = null;
  let sent = 0;
  let deadlines: AbortController[] = [];
  const hang = async (): Promise<never> => {
    for (const deadline of deadlines.splice(0)) deadline.abort();
    return await new Promise<never>(() => {});
  };
  const harness: Harness = await createHarness({
    ...options,
    runtime: {
      now: () => Date.now() + clock.skewMs,
      sleep: async () => {},
      timeout: () => {
        const deadline = new AbortController();
        deadlines = [...deadlines, deadline];
        return deadline.signal;
      },
      cancel: () => {},
      fetch: async (url, init) => {
        sent += 1;
        return fault === null ? await workerRuntime.fetch(url, { ...init, signal: null }) : await fault(hang);
      },
      ...options.runtime,
    },
  });
  const as = async (role: string, method: string, path: string, body?: object): Promise<Answer> => {
    const iat = Math.floor((Date.now() + clock.skewMs) / 1000);
    const jwt = await harness.jwtFor(role, { iat, exp: iat + 300 });
    return await harness.send(method, path, { jwt, ...(body !== undefined && { body }) });
  };
  return {
    ...harness,
    clock,
    as,
    age: (seconds: number): void => {
      clock.skewMs += seconds * 1000;
    },
    /** From now on PipeOps does this; null: it is well. */
    failing: (next: Fault | null): void => {
      fault = next;
    },
    /** The requests to PipeOps since this was last asked. */
    sent: (): number => {
      const count = sent;
      sent = 0;
      return count;
    },
    create: async (): Promise<Answer> => await as('admin', 'POST', TOKENS, { name: 'deploy', scopes: ['api:read'] }),
    list: async (): Promise<Answer> => await as('admin', 'GET', TOKENS),
    /** What anybody is told. */
    readyz: async (): Promise<Answer> => {
      clock.skewMs += 5_000;
      return await harness.send('GET', '/readyz', { jwt: null });
    },
    status: async (): Promise<Answer> => await as('admin', 'GET', '/api/v1/status'),
    /** The last line of this event in the log. */
    line: (event: string) => harness.lines.findLast((line) => line['event'] === event),
  };
}

/** The names of what is degraded, which `/readyz`, `/api/v1/status` and the log of the cron tell alike. */
export async function degradedOf(scene: Scene): Promise<readonly string[]> {
  const ready = await scene.readyz();
  const status = await scene.status();
  const names: readonly string[] = ready.body.data.degraded;
  const told = status.body.data.degraded.map(({ reason }: { reason: string }) => reason);
  if (ready.status !== 200 || JSON.stringify(told) !== JSON.stringify(names)) {
    throw new Error(`/readyz ${ready.text}\n/status ${status.text}`);
  }
  return names;
}
