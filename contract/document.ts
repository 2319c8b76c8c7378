import { failureBody } from '../src/http/wire-errors.ts';
import type { ErrorCode } from '../src/vocabulary.ts';
import { answerTo, FAILURE_KINDS, failure, headersOf } from './failures.ts';
import { ALWAYS, type HeaderName, HEADERS } from './headers.ts';
import { type Body, needsCaller, type Operation, type Parameter, type Success, TAGS } from './operation.ts';
import { failuresOf, OPERATIONS } from './operations.ts';
import { componentSchemas, inlineSchema } from './schema.ts';

type Json = Readonly<Record<string, unknown>>;

/**
 * The OpenAPI document of this service. It follows from the table of routes alone: the same source gives the same bytes.
 *
 * @param version of the API.
 */
export function openApi(version: string): Json {
  const patterns = [...new Set(OPERATIONS.map(({ pattern }) => pattern))];
  return {
    openapi: '3.1.1',
    info: {
      title: 'Countersign',
      version,
      summary: 'The audited front door to PipeOps service-account tokens.',
      description: DESCRIPTION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/', description: 'The deployment that serves this document.' }],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths: Object.fromEntries(patterns.map((pattern) => [pathOf(pattern), pathItem(pattern)])),
    components: {
      securitySchemes: SECURITY_SCHEMES,
      schemas: componentSchemas(),
      headers: headers(),
      examples: failureExamples(),
    },
  };
}

const DESCRIPTION = `Send the JWT that you already have as \`Authorization: Bearer <JWT>\`. The token routes are PipeOps' own paths and envelope, so a PipeOps
client works by changing its base URL and its credential.

Every failure has the schema \`Failure\`: its \`code\` says what went wrong, its \`message\` what to do next, and its \`help\` where the code is
explained. A parameter or a field of a body that is not known is 400: give each parameter once. A path that is not listed is 404 \`not_found\`,
and another method of a listed path is 405 \`method_not_allowed\` with \`Allow\`; without a JWT both are 401 where a JWT is needed. HEAD is
answered as GET, without the body.

Answers may get new fields, and lists of names new entries: ignore those that you do not know.`;

const SECURITY_SCHEMES = {
  jwt: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description: 'A JWT of an issuer that the operators configured. It has at most 24 KiB.',
  },
  cloudflareAccess: {
    type: 'apiKey',
    in: 'header',
    name: 'Cf-Access-Jwt-Assertion',
    description: 'The JWT of Cloudflare Access, where the operators configured it.',
  },
  consoleSession: {
    type: 'apiKey',
    in: 'cookie',
    name: '__Host-countersign_session',
    description:
      'The session of a browser that has signed in at `/auth/login`. It counts only where no JWT is sent. A change needs the header `X-Countersign-Console`, and must come from this site.',
  },
  standardWebhooks: {
    type: 'apiKey',
    in: 'header',
    name: 'webhook-signature',
    description:
      'Standard Webhooks (standardwebhooks.com): `v1,` and the HMAC over `webhook-id`, `webhook-timestamp` and the body. `svix-signature` is read as well.',
  },
  gitHub: {
    type: 'apiKey',
    in: 'header',
    name: 'Github-Public-Key-Signature',
    description: "GitHub's secret scanning partner program: ECDSA P-256 over the body.",
  },
} as const;

/** A part of a path that may be anything, as the router writes it; with `{.+}` behind it, slashes belong to it. */
const PART = /:(\w+)(\{\.\+\})?/g;

/** The path of a route as OpenAPI writes it. */
export const pathOf = (pattern: string): string => pattern.replace(PART, '{$1}');

/** The path of a route with a value for each of its parts. */
export const pathWith = (pattern: string, valueOf: (name: string) => string): string =>
  pattern.replace(PART, (_whole, name: string) => valueOf(name));

/** Matches the paths of a route. */
export const pathsOf = (pattern: string): RegExp =>
  new RegExp(`^${pattern.replace(PART, (_whole, _name, rest?: string) => (rest === undefined ? '[^/]+' : '.+'))}$`);

const pathItem = (pattern: string): Json =>
  Object.fromEntries(
    OPERATIONS.filter((operation) => operation.pattern === pattern).map((operation) => [
      operation.method.toLowerCase(),
      operationObject(operation),
    ]),
  );

function operationObject(operation: Operation): Json {
  const { id, tag, summary, description, access, parameters, body } = operation;
  const isPermission = needsCaller(operation) && access !== 'caller';
  return {
    operationId: id,
    tags: [tag],
    summary,
    description: isPermission ? `${description}\n\nPermission: \`${access}\`.` : description,
    ...(isPermission && { 'x-permission': access }),
    security: securityOf(operation),
    ...(parameters.length > 0 && { parameters: parameters.map(parameterObject) }),
    ...(body !== undefined && { requestBody: bodyObject(body) }),
    responses: responses(operation),
  };
}

function securityOf(operation: Operation): readonly Json[] {
  if (operation.access === 'sender') return [{ standardWebhooks: [] }, { gitHub: [] }];
  if (operation.access === 'session') return [{ consoleSession: [] }];
  return needsCaller(operation) ? [{ jwt: [] }, { cloudflareAccess: [] }, { consoleSession: [] }] : [];
}

function parameterObject({ in: place, name, description, schema, example, required }: Parameter): Json {
  return {
    name,
    in: place,
    description,
    ...((required ?? place === 'path') && { required: true }),
    ...(Array.isArray(example) && { style: 'form', explode: false }),
    schema: inlineSchema(schema),
    example,
  };
}

const bodyObject = ({ description, schema, examples, isOptional = false }: Body): Json => ({
  description,
  required: !isOptional,
  content: { 'application/json': { schema: inlineSchema(schema), examples: named(examples) } },
});

const named = (examples: Readonly<Record<string, unknown>>): Json =>
  Object.fromEntries(Object.entries(examples).map(([name, value]) => [name, { value }]));

function responses(operation: Operation): Json {
  const byStatus = Map.groupBy(failuresOf(operation), (kind) => answerTo(kind).status);
  const failures = [...byStatus]
    .toSorted(([one], [other]) => one - other)
    .map(([status, kinds]) => {
      const codes = [...new Set(kinds.map((kind) => answerTo(kind).code))];
      const headers = kinds.flatMap((kind) => Object.values(headersOf(kind)).flat());
      return [status, failureObject(operation, codes, headers)];
    });
  return Object.fromEntries([
    ...operation.successes.map((answer) => [answer.status, successObject(operation, answer)]),
    ...failures,
  ]);
}

/** The headers that an answer of an operation may have, whatever it is. */
export const generalHeaders = (operation: Pick<Operation, 'isRecorded' | 'access' | 'tag'>): readonly HeaderName[] => [
  ...ALWAYS,
  ...(operation.tag === 'console' ? (['Set-Cookie'] as const) : []),
  ...(operation.isRecorded ? (['X-Audit-Event-Id'] as const) : []),
  ...(needsCaller(operation) ? (['RateLimit-Policy'] as const) : []),
];

const headerRefs = (operation: Operation, more: readonly HeaderName[]): Json =>
  Object.fromEntries(
    [...new Set([...generalHeaders(operation), ...more])].map((name) => [
      name,
      { $ref: `#/components/headers/${name}` },
    ]),
  );

function successObject(operation: Operation, { description, headers = [], content }: Success): Json {
  return {
    description,
    headers: headerRefs(operation, headers),
    ...(content !== null && { content: contentObject(content) }),
  };
}

const contentObject = (content: NonNullable<Success['content']>): Json =>
  'schema' in content
    ? { 'application/json': { schema: inlineSchema(content.schema), examples: named(content.examples) } }
    : Object.fromEntries(
        Object.entries(content.texts).map(([type, text]) => [
          type,
          'isBinary' in text
            ? { schema: { type: 'string', description: text.description, contentMediaType: type } }
            : {
                schema: {
                  type: 'string',
                  description: text.description,
                  ...(text.line !== undefined && { contentMediaType: type, contentSchema: inlineSchema(text.line) }),
                },
                example: text.example,
              },
        ]),
      );

const failureObject = (operation: Operation, codes: readonly ErrorCode[], headers: readonly HeaderName[]): Json => ({
  description: codes.map((code) => `\`${code}\``).join(', '),
  headers: headerRefs(operation, headers),
  content: {
    'application/json': {
      schema: {
        allOf: [inlineSchema(failure), { type: 'object', properties: { code: { enum: codes } }, required: ['code'] }],
      },
      examples: Object.fromEntries(codes.map((code) => [code, { $ref: `#/components/examples/${code}` }])),
    },
  },
});

/** The headers that some answer to an operation has. `Allow` is none: a path answers with it to other methods. */
const headers = (): Json =>
  Object.fromEntries(
    Object.entries(HEADERS)
      .filter(([name]) => name !== 'Allow')
      .map(([name, { description, schema, example }]) => [
        name,
        {
          description,
          ...(ALWAYS.some((known) => known === name) && { required: true }),
          schema: inlineSchema(schema),
          example,
        },
      ]),
  );

/** An example of each code that an operation may answer with. Where failures of several kinds have one code, the first is shown. */
function failureExamples(): Json {
  const used = new Set(OPERATIONS.flatMap(failuresOf));
  const examples = FAILURE_KINDS.filter((kind) => used.has(kind)).map((kind) => {
    const answer = answerTo(kind);
    return [answer.code, { value: failureBody(answer, HEADERS['X-Request-Id'].example, null) }] as const;
  });
  return Object.fromEntries(examples.toReversed());
}
