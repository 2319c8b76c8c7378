/** What one request (or one cron run) carries through every room. */
export interface RequestContext {
  readonly requestId: string;
  /** W3C trace context as the caller sent it, if well-formed. */
  readonly traceparent: string | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
  readonly trace: Trace;
}

/** What the log line of a request says about its way through the service. Counted where it happens. */
export interface Trace {
  eventId: string | null;
  d1Trips: number;
  /** Statements of those trips: Workers allow 1,000 a request, and as many a run of the cron. */
  d1Queries: number;
  d1Ms: number;
  upstreamCalls: number;
  upstreamMs: number;
  /** Whether it was refused for who asked, whatever the caller was told. */
  denied: boolean;
  /** Why it ended as it did, for the log alone. */
  reason: string | null;
}

export const newTrace = (): Trace => ({
  eventId: null,
  d1Trips: 0,
  d1Queries: 0,
  d1Ms: 0,
  upstreamCalls: 0,
  upstreamMs: 0,
  denied: false,
  reason: null,
});
