import type { ReceivedRequest, RequestFilter } from './faults-wire.ts';

/** At least as many are kept as a long soak sends; the oldest go first. */
const KEPT_REQUESTS = 200_000;
/** Dropping the oldest moves all others, so it is done a tenth at a time. */
const SLACK_REQUESTS = KEPT_REQUESTS / 10;
/** A log of 200,000 credentials would be gigabytes if each were a string of its own. */
const INTERNED_VALUES = 5_000;

/** What becomes of a request is known later. */
export type OpenRequest = { -readonly [K in keyof ReceivedRequest]: ReceivedRequest[K] };

export type RequestLog = ReturnType<typeof createRequestLog>;

/** The requests received, oldest first. */
export function createRequestLog(keptRequests = KEPT_REQUESTS, slackRequests = SLACK_REQUESTS) {
  let received: OpenRequest[] = [];
  const interned = new Map<string, string>();

  const intern = (value: string): string => {
    const known = interned.get(value);
    if (known !== undefined) return known;
    if (interned.size >= INTERNED_VALUES) interned.clear();
    interned.set(value, value);
    return value;
  };

  return {
    add: (request: ReceivedRequest): OpenRequest => {
      const headers = Object.fromEntries(Object.entries(request.headers).map(([name, value]) => [name, intern(value)]));
      const open = { ...request, headers };
      received.push(open);
      if (received.length > keptRequests + slackRequests) received = received.slice(-keptRequests);
      return open;
    },
    list: (filter: RequestFilter): readonly ReceivedRequest[] =>
      received.slice(-keptRequests).filter((request) => isNamed(request, filter)),
    /** An empty filter clears all. */
    clear: (filter: RequestFilter): void => {
      received = received.filter((request) => !isNamed(request, filter));
    },
  };
}

const isNamed = (request: ReceivedRequest, filter: RequestFilter): boolean =>
  (filter.workspace_uuid === undefined || filter.workspace_uuid === request.workspace_uuid) &&
  (filter.client_id === undefined || filter.client_id === request.client_id) &&
  (filter.event_id === undefined || filter.event_id === request.event_id) &&
  (filter.method === undefined || filter.method === request.method) &&
  (filter.credential === undefined || `Bearer ${filter.credential}` === request.headers['authorization']);
