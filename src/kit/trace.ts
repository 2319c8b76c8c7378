/** What one request, or one run of the cron, carries through every room. */
export interface RequestContext {
  readonly requestId: string;
  /** The W3C trace context as the caller sent it; null if it is not well-formed. */
  readonly traceparent: string | null;
  readonly ip: string | null;
  readonly userAgent: string | null;
  /** The version of the policy that decides. Each row of the trail names it. */
  readonly policyVersion: string;
  readonly trace: Trace;
}

/** What the log line of a request says about its way through the service. Each number is counted where it happens. */
export interface Trace {
  eventId: string | null;
  d1Trips: number;
  /** Statements of those trips. Workers allow 1,000 in a request, and as many in a run of the cron. */
  d1Queries: number;
  d1Ms: number;
  /** Whether D1 lacked a table or a column that a statement named: a migration is not applied. */
  isSchemaOutdated: boolean;
  upstreamCalls: number;
  upstreamMs: number;
  /** Whether it was refused because of who asked, whatever the caller was told. */
  denied: boolean;
  /** Why it ended as it did. Only the log shows this. */
  reason: string | null;
}

export const newTrace = (): Trace => ({
  eventId: null,
  d1Trips: 0,
  d1Queries: 0,
  d1Ms: 0,
  isSchemaOutdated: false,
  upstreamCalls: 0,
  upstreamMs: 0,
  denied: false,
  reason: null,
});
