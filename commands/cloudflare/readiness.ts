import { setTimeout as delay } from 'node:timers/promises';
import * as z from 'zod';
import { parseJson } from '../../src/kit/json.ts';
import { helpOf } from '../service.ts';

/** How often `/readyz` is asked. It probes D1 at most every 5 s itself. */
const ASK_EVERY_MS = 2000;
const ANSWER_WITHIN_MS = 10_000;

/** What the deployed service says of itself. */
export type Readiness =
  | { readonly ready: true; readonly degraded: readonly string[] }
  | { readonly ready: false; readonly reason: string };

const Ready = z.object({ success: z.literal(true), data: z.object({ degraded: z.array(z.string()) }) });
const Failure = z.object({ success: z.literal(false), message: z.string() });

/**
 * Asks `/readyz` of the deployed service until it is ready. A new address may take a minute to be known everywhere.
 *
 * @param onWait is told why it is not ready yet, whenever that changes.
 */
export async function waitUntilReady(
  url: string,
  patienceMs: number,
  onWait: (reason: string) => void,
): Promise<Readiness> {
  const endsAtMs = performance.now() + patienceMs;
  let told = '';
  for (;;) {
    const readiness = await askReadiness(url);
    if (readiness.ready || performance.now() >= endsAtMs) return readiness;
    if (readiness.reason !== told) onWait(readiness.reason);
    told = readiness.reason;
    await delay(Math.min(ASK_EVERY_MS, Math.max(0, endsAtMs - performance.now())));
  }
}

async function askReadiness(url: string): Promise<Readiness> {
  try {
    const answer = await fetch(`${url}/readyz`, { redirect: 'manual', signal: AbortSignal.timeout(ANSWER_WITHIN_MS) });
    const body = parseJson(await answer.text());
    const ready = Ready.safeParse(body);
    if (answer.status === 200 && ready.success) return { ready: true, degraded: ready.data.data.degraded };
    const failure = Failure.safeParse(body);
    const said = failure.success
      ? `${failure.data.message}${helpOf(new URL(url).origin, body)}`
      : 'which is no answer of Countersign';
    return { ready: false, reason: `it answers ${answer.status}: ${said}` };
  } catch (error) {
    return { ready: false, reason: `it does not answer: ${reasonOf(error)}` };
  }
}

/** `fetch failed` says nothing. Its cause does. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return `nothing within ${ANSWER_WITHIN_MS / 1000} s`;
  const { cause } = error;
  if (cause instanceof Error) return 'code' in cause ? String(cause.code) : cause.message;
  return error.message;
}
