import * as z from 'zod';
import { count, uuid } from './schema.ts';

/** A header of answers. Its schema is that of its text, or of the number that its text is. */
interface Header {
  readonly description: string;
  readonly schema: z.ZodType;
  readonly example: string | number;
}

/** A policy of draft-ietf-httpapi-ratelimit-headers, or several. */
const POLICY = /^"(caller|pipeops)";q=\d+;w=\d+(, "(caller|pipeops)";q=\d+;w=\d+)*$/;

/** Every header that an answer of this service may have, beside those of HTTP itself. */
export const HEADERS = {
  'X-Request-Id': {
    description: 'The id of this request: the one that it was sent with, or a new one. The log and the trail have it.',
    schema: z.string().regex(/^[A-Za-z0-9-]{8,64}$/),
    example: '3992fdd8-93d5-4772-9246-84b176832ec5',
  },
  'Cache-Control': {
    description: 'Every answer is about one caller and one moment, so none is stored.',
    schema: z.string().regex(/^no-store(, no-transform)?$/),
    example: 'no-store',
  },
  'X-Audit-Event-Id': {
    description: 'The id of the event in the trail that is about this request, if it has one.',
    schema: uuid(),
    example: '186564da-034d-4f28-8ae4-8230632a6738',
  },
  'RateLimit-Policy': {
    description: 'The limits that count this request: how many (`q`) within how many seconds (`w`).',
    schema: z.string().regex(POLICY),
    example: '"caller";q=100;w=10',
  },
  RateLimit: {
    description: 'The limit that is reached, what remains of it (`r`), and the seconds until there is more (`t`).',
    schema: z.string().regex(/^"(caller|pipeops)";r=0;t=\d+$/),
    example: '"caller";r=0;t=10',
  },
  'X-RateLimit-Limit': { description: 'The size of the limit that is reached.', schema: count(), example: 100 },
  'X-RateLimit-Remaining': { description: 'What remains of it.', schema: z.literal(0), example: 0 },
  'X-RateLimit-Reset': {
    description: 'When there is more, in seconds since the epoch.',
    schema: count(),
    example: 1796000000,
  },
  'Retry-After': { description: 'The seconds to wait before the next try.', schema: count(), example: 5 },
  'WWW-Authenticate': {
    description: 'The challenge (RFC 9110 §11.6.1). That of a JWT is `Bearer`, with the errors of RFC 6750 §3.',
    schema: z.string().regex(/^(Bearer|Webhook-Signature) realm="countersign"/),
    example: 'Bearer realm="countersign"',
  },
  Allow: {
    description: 'The methods that the path takes.',
    schema: z.string().regex(/^[A-Z]+(, [A-Z]+)*$/),
    example: 'GET, POST',
  },
  'Idempotency-Replayed': {
    description: '`true`: the answer to the first request with this `Idempotency-Key` is given again.',
    schema: z.literal('true'),
    example: 'true',
  },
  Location: {
    description: 'Where the receipt is, or where the browser goes.',
    schema: z.string().regex(/^(\/api\/v1\/revocations\/[0-9a-f-]{36}|\/console[!-~]*|https?:\/\/[!-~]+)$/),
    example: '/api/v1/revocations/1e02cc7c-b21e-4f38-9794-a35ab41bdcc7',
  },
  'Set-Cookie': {
    description: 'A cookie of the console, or its end. It is for this host alone, and no script reads it.',
    schema: z
      .string()
      .regex(
        /^(__Host-countersign_(session|sign_in)=[\w.-]*; Path=\/; Secure; HttpOnly; SameSite=Lax; Max-Age=\d+(, )?)+$/,
      ),
    example: '__Host-countersign_session=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0',
  },
  'Cache-Status': {
    description:
      'Where the answer came from (RFC 9211): `hit` with the seconds that its list is still good for, or `fwd` where PipeOps was asked. `detail=stale`: PipeOps could not be asked.',
    schema: z.string().regex(/^countersign; (hit; ttl=-?\d+(; detail=(stale|d1))?|fwd=(miss|request)(; collapsed)?)$/),
    example: 'countersign; hit; ttl=12',
  },
  Age: { description: 'How many seconds old the list is that the answer was taken from.', schema: count(), example: 3 },
  'Content-Disposition': {
    description: 'The name of the file.',
    schema: z.string().regex(/^attachment; filename="countersign-audit-\d{8}T\d{6}Z\.(ndjson|csv)"$/),
    example: 'attachment; filename="countersign-audit-20261128T004416Z.ndjson"',
  },
  'Content-Length': {
    description: 'Of CSV, the length of the whole file: an answer that is shorter was cut.',
    schema: count(),
    example: 4096,
  },
  Link: {
    description: 'Of CSV, where the rest is, if there is more: `<…>; rel="next"` (RFC 8288).',
    schema: z.string().regex(/^<\/[^>]+>; rel="next"$/),
    example: '</api/v1/audit/export?format=csv&cursor=c2VxOjEwMDAwMA>; rel="next"',
  },
} as const satisfies Readonly<Record<string, Header>>;

export type HeaderName = keyof typeof HEADERS;

/** The headers that every answer has. */
export const ALWAYS: readonly HeaderName[] = ['X-Request-Id', 'Cache-Control'];

export const isHeaderName = (name: string): name is HeaderName => Object.hasOwn(HEADERS, name);
