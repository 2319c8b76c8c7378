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

/** A caller's own request id is kept if it can be nothing but an id: no dot or underscore, so no JWT and no `sat_…`. */
const REQUEST_ID = /^[A-Za-z0-9-]{8,64}$/;
/** W3C Trace Context §3.2, version 00; all-zero ids are invalid. */
const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;
const IP_ADDRESS = /^[0-9A-Fa-f:.]{2,45}$/;
// oxlint-disable-next-line no-control-regex -- control characters are what this takes out
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f]/g;

/**
 * Reads what every room needs to know of a request, puts its id on the answer, and writes its log line when it is over.
 *
 * @example app.use(requestContext(runtime))
 */
export const requestContext = (runtime: Runtime) =>
  createMiddleware<AppEnv>(async function requestContextMiddleware(c, next) {
    const startedAt = runtime.now();
    const context: RequestContext = {
      requestId: matching(REQUEST_ID, c.req.header('X-Request-Id')) ?? runtime.newId(),
      traceparent: matching(TRACEPARENT, c.req.header('traceparent')),
      // The only address that a caller cannot write itself.
      ip: matching(IP_ADDRESS, c.req.header('CF-Connecting-IP')),
      userAgent: userAgent(c.req.header('User-Agent')),
      trace: newTrace(),
    };
    c.set('context', context);
    await next();

    const { trace } = context;
    // On the answer that is there: `c.header` would make another for each of them, with the body as a stream.
    const { headers } = c.res;
    // Every answer here is about one caller and one moment. A route may forbid more than storing.
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
      // The pattern, never the URL: a URL may hold what a caller should not have put there.
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

/** The pattern of the route itself: the last match that is no middleware. */
const routeOf = (c: Context<AppEnv>): string | null =>
  matchedRoutes(c).findLast(({ path }) => !path.endsWith('*'))?.path ?? null;

function decisionOf(status: number): 'allowed' | 'refused' | 'failed' {
  if (status < 400) return 'allowed';
  return status < 500 ? 'refused' : 'failed';
}

/** What middleware hands on to handlers. */
export interface AppEnv {
  Variables: {
    /** Set by the first middleware, so always there. */
    context: RequestContext;
    /** Set once the JWT is verified. */
    identity: Identity;
    /** Set once a binding knows the identity: on every protected route. */
    caller: Caller;
  };
}

/**
 * The request with no white space at the ends of its header values: it is not part of them (RFC 9110 §5.5), and workerd keeps
 * what trails. Nobody behind this has to think of it.
 */
export function withoutPadding(request: Request): Request {
  if (![...request.headers.values()].some(isPadded)) return request;
  // Headers that are set, not copied, lose what is at their ends: Fetch, "normalize".
  return new Request(request, { headers: new Headers([...request.headers]) });
}

/** OWS of RFC 9110 §5.6.3: spaces and tabs. */
const isPadded = (value: string): boolean => /^[ \t]|[ \t]$/.test(value);
