import { newTrace, type RequestContext } from '../../src/kit/trace.ts';

/** The context of a request of which a test says nothing else. */
export const requestContext = (): RequestContext => ({
  requestId: 'r',
  ip: null,
  userAgent: null,
  policyVersion: 'v',
  traceparent: null,
  trace: newTrace(),
});
