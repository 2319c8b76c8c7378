import { getPath } from 'hono/utils/url';
import * as z from 'zod';
import { generalHeaders, pathsOf } from '../../contract/document.ts';
import { answerTo, ANYWHERE, failure, type FailureKind, headersOf, WITHOUT_ACCESS } from '../../contract/failures.ts';
import { ALWAYS, type HeaderName, HEADERS } from '../../contract/headers.ts';
import type { Operation, Success } from '../../contract/operation.ts';
import { failuresOf, OPERATIONS } from '../../contract/operations.ts';

// Every answer that a test receives is held against the contract: its status, its code, its headers, and each field of its body. An answer
// may get new fields one day, but none that the contract does not have.

/** An answer of the service. `text` is null where a test reads the body itself. */
export interface Received {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string | null;
}

/** @throws if an answer is not as the contract has it, with all that is wrong. */
export function expectConforming(request: Pick<Request, 'method' | 'url'>, received: Received): void {
  const problems = offContract(request, received);
  if (problems.length === 0) return;
  const { pathname } = new URL(request.url);
  const body = received.text?.slice(0, 600).toWellFormed();
  throw new Error(
    `The answer to ${request.method} ${pathname} is off the contract: ${problems.join('; ')}\n${received.status} ${body}`,
  );
}

/** Holds an answer that a test goes on with against the contract. JSON is read from a copy; other bodies are left alone. */
export async function conforming(request: Pick<Request, 'method' | 'url'>, response: Response): Promise<Response> {
  const isJson = response.headers.get('Content-Type') === JSON_TYPE;
  const text = isJson && request.method !== 'HEAD' ? await response.clone().text() : null;
  expectConforming(request, { status: response.status, headers: response.headers, text });
  return response;
}

const JSON_TYPE = 'application/json';

const ROUTES = OPERATIONS.map((operation) => ({
  operation,
  path: pathsOf(operation.pattern),
}));

/** What is wrong with an answer; empty if nothing is. */
export function offContract(request: Pick<Request, 'method' | 'url'>, received: Received): readonly string[] {
  // The router's own idea of the path, which decodes it in part.
  const path = getPath(new Request(request.url));
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const here = ROUTES.filter((route) => route.path.test(path)).map(({ operation }) => operation);
  const operation = here.find((one) => one.method === method) ?? null;
  // The body of an answer to HEAD stays away.
  const told = request.method === 'HEAD' ? { ...received, text: null } : received;
  if (received.status >= 400) return offFailure(operation, path, here.length > 0, told);
  const success = operation?.successes.find(({ status }) => status === received.status);
  if (operation === null || success === undefined) return ['this status is not documented'];
  return [
    ...offHeaders(told, generalHeaders(operation), success.headers ?? [], []),
    ...offSuccess(success, told, request.method === 'HEAD'),
  ];
}

function offSuccess({ content }: Success, { headers, text }: Received, isHead: boolean): readonly string[] {
  if (content === null) return text === null || text === '' ? [] : ['this answer has a body'];
  const type = headers.get('Content-Type')?.split(';')[0] ?? '';
  if ('schema' in content) {
    if (type !== JSON_TYPE && !isHead) return [`Content-Type is ${type}`];
    return text === null ? [] : offSchema(content.schema, JSON.parse(text));
  }
  const known = content.texts[type];
  if (known === undefined) return [`Content-Type is ${type}`];
  if (text === null || !('line' in known) || known.line === undefined) return [];
  const { line } = known;
  return text
    .trimEnd()
    .split('\n')
    .flatMap((one) => offSchema(line, JSON.parse(one)));
}

/** How a request may fail to which no operation answers. */
function strangerFailures(path: string, isKnownPath: boolean): readonly FailureKind[] {
  const isProtected = path.startsWith('/api/') || path === '/workspace';
  return [
    isKnownPath ? 'method_not_allowed' : 'route_not_found',
    ...(isProtected ? [...WITHOUT_ACCESS, 'cross_site' as const] : []),
    ...ANYWHERE,
  ];
}

function offFailure(
  operation: Operation | null,
  path: string,
  isKnownPath: boolean,
  received: Received,
): readonly string[] {
  const kinds = operation === null ? strangerFailures(path, isKnownPath) : failuresOf(operation);
  const possible = kinds.filter((kind) => answerTo(kind).status === received.status);
  if (possible.length === 0) return ['this status is not documented'];
  if (received.text === null) return [];
  if (received.headers.get('Content-Type') !== JSON_TYPE) return ['this failure is no JSON'];
  const parsed = failure.safeParse(JSON.parse(received.text));
  if (!parsed.success) return [z.prettifyError(parsed.error)];
  const { code, request_id, event_id = null, help } = parsed.data;
  const meant = possible.filter((kind) => answerTo(kind).code === code);
  if (meant.length === 0) return [`the code ${code} is not documented`];
  const headersOfEach = meant.map(headersOf);
  const always = headersOfEach.map((one) => one.always);
  const required = (always[0] ?? []).filter((name) => always.every((names) => names.includes(name)));
  const general = operation === null ? ([...ALWAYS, 'RateLimit-Policy'] as const) : generalHeaders(operation);
  return [
    ...offHeaders(
      received,
      general,
      headersOfEach.flatMap((one) => [...one.always, ...one.maybe]),
      required,
    ),
    ...(request_id === received.headers.get('X-Request-Id') ? [] : ['request_id is not X-Request-Id']),
    ...(event_id === received.headers.get('X-Audit-Event-Id') ? [] : ['event_id is not X-Audit-Event-Id']),
    ...(help === `/docs/errors#${code}` ? [] : ['help is not that of its code']),
  ];
}

/** What is wrong with headers: one that is not documented, one that is missing, one whose value is of no known form. */
function offHeaders(
  { headers }: Received,
  general: readonly HeaderName[],
  own: readonly HeaderName[],
  required: readonly HeaderName[],
): readonly string[] {
  const known = new Map([...general, ...own].map((name) => [name.toLowerCase(), name]));
  const missing = [...ALWAYS, ...required].filter((name) => !headers.has(name));
  return [
    ...missing.map((name) => `the header ${name} is missing`),
    ...[...headers].flatMap(([name, value]) => {
      const header = known.get(name);
      if (header === undefined) return HTTP_ITSELF.includes(name) ? [] : [`the header ${name} is not documented`];
      return isOfForm(header, value) ? [] : [`the header ${header} is "${value}"`];
    }),
  ];
}

/** Headers of HTTP itself, and those of a connection. */
const HTTP_ITSELF: readonly string[] = [
  'content-type',
  'content-length',
  'content-encoding',
  'transfer-encoding',
  'connection',
  'keep-alive',
  'date',
  'vary',
];

/** The values of a header that this isolate has looked at: most answers have the same. */
const looked = new Map<string, boolean>();

function isOfForm(name: HeaderName, value: string): boolean {
  const key = `${name}: ${value}`;
  const known = looked.get(key);
  if (known !== undefined) return known;
  const { schema } = HEADERS[name];
  const isGood = schema.safeParse(value).success || schema.safeParse(Number(value)).success;
  if (looked.size < 1_000) looked.set(key, isGood);
  return isGood;
}

const offSchema = (schema: z.ZodType, value: unknown): readonly string[] => {
  const parsed = schema.safeParse(value);
  return parsed.success ? [] : [z.prettifyError(parsed.error)];
};
