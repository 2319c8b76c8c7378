import type { RequestContext } from '../kit/trace.ts';
import type { Runtime } from '../kit/runtime.ts';
import type { Call } from './types.ts';

/** What accompanies the calls that one step of an operation makes: they share one deadline, `timeoutMs` from now. */
export const callWithin = (
  timeoutMs: number,
  runtime: Pick<Runtime, 'timeout'>,
  { traceparent, trace }: Pick<RequestContext, 'traceparent' | 'trace'>,
  eventId: string,
  options: Pick<Call, 'purpose' | 'once' | 'allowance' | 'calls'> = {},
): Call => ({ eventId, traceparent, trace, signal: runtime.timeout(timeoutMs), ...options });
