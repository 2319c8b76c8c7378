import type { Context } from 'hono';
import { createMiddleware } from 'hono/factory';
import { matchedRoutes } from 'hono/route';
import { USER_AGENT_MAX_BYTES } from '../config/limits.ts';
import type { Identity } from '../identity/identity.ts';
import { cutToBytes } from '../kit/bytes.ts';
import { redact } from '../kit/redaction.ts';
import type { Runtime } from '../kit/runtime.ts';
import { newTrace, type RequestContext } from '../kit/trace.ts';
import type { Caller } from '../policy/types.ts';

/** What middleware hands on to handlers. */
export interface AppEnv {
  Variables: {
    /** The first middleware sets it, so it is always there. */
    context: RequestContext;
    /** It is set once the JWT is verified. */
    identity: Identity;
    /** It is set once a binding gives the identity a role, so it is there on every protected route. */
    caller: Caller;
  };
}

/** A request id that is kept from a caller. It has no dot and no underscore, so it can be no JWT and no `sat_…`. */
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;
/** W3C Trace Context §3.2, version 00. Ids of zeros are invalid. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const IP_ADDRESS = /^[0-9A-Fa-f:.]{2,45}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what this takes out
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Reads what every room needs to know about a request, puts the ids on its answer, and writes its log line.
 *
 * @param policyVersion the version of the policy that decides.
 * @example app.use(requestContext(runtime, policyVersion))
 */
export const requestContext = (runtime: Runtime, policyVersion: string) =>
  createMiddleware<AppEnv>(async function requestContextMiddleware(c, next) {
    const startedAt = runtime.now();
    const context: RequestContext = {
      requestId: matching(REQUEST_ID, c.req.header('X-Request-Id')) ?? runtime.newId(),
      traceparent: matching(TRACEPARENT, c.req.header('traceparent')),
      // This is the only address that a caller cannot write itself.
      ip: matching(IP_ADDRESS, c.req.header('CF-Connecting-IP')),
      userAgent: userAgent(c.req.header('User-Agent')),
      policyVersion,
      trace: newTrace(),
    };
    c.set('context', context);
    await next();

    const { trace } = context;
    // The headers are set on the answer that exists: each `c.header` would make another one, with the body as a stream.
    const { headers } = c.res;
    // Every answer is about one caller and one moment. A route may forbid more than storing.
    if (!headers.get('Cache-Control')?.startsWith('no-store, ')) headers.set('Cache-Control', 'no-store');
    headers.set('X-Request-Id', context.requestId);
    if (trace.eventId !== null) headers.set('X-Audit-Event-Id', trace.eventId);
    const identity = c.get('identity') as AppEnv['Variables']['identity'] | undefined;
    runtime.log({
      level: c.res.status >= 500 ? 'error' : 'info',
      event: 'request',
      request_id: context.requestId,
      event_id: trace.eventId,
      trace_id: context.traceparent?.slice(3, 35) ?? null,
      method: c.req.method,
      // The log names the pattern of the route, because a URL may hold a secret that a caller put there.
      route: routeOf(c),
      issuer: identity?.issuer ?? null,
      subject: identity === undefined ? null : redact(identity.subject),
      decision: trace.denied ? 'denied' : decisionOf(c.res.status),
      reason: trace.reason,
      status: c.res.status,
      duration_ms: runtime.now() - startedAt,
      d1_ms: trace.d1Ms,
      d1_trips: trace.d1Trips,
      upstream_ms: trace.upstreamMs,
      upstream_calls: trace.upstreamCalls,
    });
  });

const matching = (pattern: RegExp, text: string | undefined): string | null =>
  text !== undefined && pattern.test(text) ? text : null;

const userAgent = (text: string | undefined): string | null =>
  text === undefined ? null : cutToBytes(redact(text.replace(UNPRINTABLE, ' ')).toWellFormed(), USER_AGENT_MAX_BYTES);

/** The pattern of the route itself, which is the last match that is no middleware. */
const routeOf = (c: Context<AppEnv>): string | null =>
  matchedRoutes(c).findLast(({ path }) => !path.endsWith('*'))?.path ?? null;

function decisionOf(status: number): 'allowed' | 'refused' | 'failed' {
  if (status < 400) return 'allowed';
  return status < 500 ? 'refused' : 'failed';
}

/**
 * The request without white space at the ends of its header values. It is no part of them (RFC 9110 §5.5), but workerd leaves it
 * at their end.
 */
export function withoutPadding(request: Request): Request {
  if (![...request.headers.values()].some(isPadded)) return request;
  // Headers made from a list of pairs lose that white space (Fetch, "normalize"); copied ones would keep it.
  return new Request(request, { headers: new Headers([...request.headers]) });
}

/** Whether a value begins or ends with a space or a tab (OWS, RFC 9110 §5.6.3). */
const isPadded = (value: string): boolean => /^[ \t]|[ \t]$/.test(value);
