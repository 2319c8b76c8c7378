import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  AUDIT_EXPORT_MAX_ROWS,
  AUDIT_PAGE_DEFAULT_ROWS,
  AUDIT_PAGE_MAX_ROWS,
  SCOPE_MAX_CHARS,
  TOKEN_NAME_MAX_BYTES,
} from '../src/config/limits.ts';
import { SCOPE } from '../src/config/grant-names.ts';
import { POLICY_VERSION, ROLE_NAME, TOKEN_PREFIX } from '../src/trail/query/filter.ts';
import { AUDIT_COUNT_MAX_KEYS, AUDIT_COUNT_MAX_ROWS } from '../src/config/trail-limits.ts';
import { COUNTED_BY } from '../src/trail/query/params.ts';
import { EXPORT_FORMATS } from '../src/trail/query/format.ts';
import { AUDIT_ACTIONS } from '../src/vocabulary.ts';
import { ID_PATTERN } from './bodies.ts';
import {
  actorType,
  auditCountsAnswer,
  auditEventAnswer,
  auditEventsAnswer,
  EVENT,
  exportLine,
  status,
} from './events.ts';
import { errorCode, RECORDED, UPSTREAM } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { say, uuid } from './schema.ts';
import { tokenIdParameter, workspaceParameters } from './tokens.ts';

const query = (name: string, description: string, schema: z.ZodType, example: unknown): Parameter => ({
  in: 'query',
  name,
  description,
  schema,
  example,
});

const NOUNS = [...new Set(AUDIT_ACTIONS.map((name) => name.replace(/\.\w+$/, '.*')))];

/** @param description where it comes from: it means nothing to whoever has it. */
export const cursorParameter = (description: string): Parameter =>
  query(
    'cursor',
    description,
    say(z.string().regex(/^[A-Za-z0-9]{6,32}$/), 'Opaque.', { format: 'cursor' }),
    'c2VxOjQx',
  );
const latest = query('latest', '`true`: also what can still change. Default: `false`.', z.boolean(), true);

const filters: readonly Parameter[] = [
  query(
    'action',
    'Actions, with commas between them. `service_account_token.*` is all of a noun, and a `!` in front takes away from the others, or from all where nothing else is named.',
    z
      .array(
        z.union([
          z.enum([...AUDIT_ACTIONS, ...NOUNS]),
          z.string().regex(new RegExp(`^!(?:${[...AUDIT_ACTIONS, ...NOUNS].join('|').replace(/[.*]/g, '\\$&')})$`)),
        ]),
      )
      .min(1),
    ['service_account_token.*', '!service_account_token.list'],
  ),
  query('status', 'How far the event is.', status, 'failure'),
  query('code', 'Why it failed.', errorCode, 'forbidden'),
  query(
    'actor',
    'An issuer and a subject with `|` between them, either of which may be missing: exactly this actor. Otherwise a subject or a label; `me` is whoever asks.',
    say(
      z
        .string()
        .min(1)
        .max(ACTOR_ISSUER_MAX_BYTES + 1 + ACTOR_SUBJECT_MAX_BYTES),
      'Without control characters, and nothing that looks like a token secret or a JWT.',
      { format: 'actor' },
    ),
    'me',
  ),
  query('actor_type', 'What acted.', actorType, 'user'),
  query('token_id', 'Events about one token.', z.string().regex(new RegExp(ID_PATTERN)), EVENT.token_id),
  query(
    'token_name',
    'Creates that give a token this name, and renames that do. Nothing in it looks like a token secret or a JWT: it is stored.',
    say(z.string().min(1).max(TOKEN_NAME_MAX_BYTES), `At most ${TOKEN_NAME_MAX_BYTES} bytes of UTF-8.`, {
      format: 'token-name',
    }),
    EVENT.token_name,
  ),
  query(
    'token_prefix',
    'Events about the tokens of the inventory whose secret begins so, as PipeOps shows it: whole, and no more than that.',
    z.string().regex(TOKEN_PREFIX),
    'sat_a1B2c3D',
  ),
  query(
    'scope',
    'Events that name one scope: it was asked for, a preset stood for it, or PipeOps gave it. A create that succeeded minted a token with it.',
    z.string().regex(SCOPE).max(SCOPE_MAX_CHARS),
    'api:full',
  ),
  query('role', 'What this role allowed.', z.string().regex(ROLE_NAME), 'ci'),
  query(
    'policy_version',
    'What was decided under one version of the policy: `policy` in the detail of an event.',
    z.string().regex(POLICY_VERSION),
    '3f0c7b1d92e84a56',
  ),
  query(
    'workspace_uuid',
    'Events about one workspace.',
    z.string().regex(new RegExp(ID_PATTERN)),
    EVENT.workspace_uuid,
  ),
  query(
    'request_id',
    'Events of one request, by the `X-Request-Id` of its answer.',
    z.string().regex(/^[A-Za-z0-9-]{8,64}$/),
    EVENT.request_id,
  ),
  query('ip', 'Events from one address, as an event shows it.', z.string().regex(/^[0-9A-Fa-f:.]{2,45}$/), '192.0.2.1'),
  query('from', 'Events of this time and later.', z.iso.datetime({ offset: true }), '2026-11-01T00:00:00Z'),
  query(
    'to',
    'Events before this time, which is after `from`.',
    z.iso.datetime({ offset: true }),
    '2026-12-01T00:00:00Z',
  ),
];

const order = query('order', 'Default: `desc`, the newest events first.', z.enum(['asc', 'desc']), 'asc');
const limit = query(
  'limit',
  `How many events the page has at the most. Default: ${AUDIT_PAGE_DEFAULT_ROWS}.`,
  z.int().min(1).max(AUDIT_PAGE_MAX_ROWS),
  50,
);
const cursorOfPage = cursorParameter('`next_cursor` of the page before, as it was given.');

const eventId: Parameter = {
  in: 'path',
  name: 'event_id',
  description: 'The id of the event, as the trail or `X-Audit-Event-Id` gave it.',
  schema: uuid(),
  example: EVENT.id,
};

const EVENTS = '/api/v1/audit/events';
const COMMON = { tag: 'trail', method: 'GET', isRecorded: true, access: 'audit:read' } as const;
const OWN = 'A caller without the permission reads the events that it caused itself';

export const trailOperations: readonly Operation[] = [
  {
    ...COMMON,
    pattern: EVENTS,
    id: 'queryAuditEvents',
    summary: 'Query the trail',
    description: `Reads a page of the trail. An ascending page ends before the first event that can still change, and always has a cursor to go on from. ${OWN}, with \`actor=me\`.`,
    parameters: [...filters, order, limit, cursorOfPage, latest],
    successes: [
      {
        status: 200,
        description: 'A page of events.',
        content: {
          schema: auditEventsAnswer,
          examples: {
            events: {
              success: true,
              message: 'Audit events, newest first.',
              data: [EVENT],
              pagination: { next_cursor: null, has_more: false },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
  {
    ...COMMON,
    pattern: `${EVENTS}/:event_id`,
    id: 'getAuditEvent',
    summary: 'Read an event',
    description: `Reads one event. ${OWN}; any other id is the same 403.`,
    parameters: [eventId],
    successes: [
      {
        status: 200,
        description: 'The event.',
        content: {
          schema: auditEventAnswer,
          examples: { event: { success: true, message: 'Audit event.', data: EVENT } },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'audit_event_not_found'],
  },
  {
    ...COMMON,
    pattern: '/api/v1/audit/export',
    id: 'exportAuditEvents',
    summary: 'Export the trail',
    description: `Gives up to ${AUDIT_EXPORT_MAX_ROWS} events in one answer, oldest first, as far as they can no longer change.`,
    parameters: [
      query('format', 'Default: `ndjson`.', z.enum(EXPORT_FORMATS), 'csv'),
      ...filters,
      cursorParameter('Where an earlier export ended: `next` of its last line, or the cursor of its `Link`.'),
      latest,
    ],
    successes: [
      {
        status: 200,
        description: 'The events.',
        headers: ['Content-Disposition', 'Content-Length', 'Link'],
        content: {
          texts: {
            'application/x-ndjson': {
              description:
                'A line of JSON for each event (`AuditEvent`), and one more that says how it ended (`ExportEnd`). Without that line the export was cut.',
              line: exportLine,
              example: `${JSON.stringify(EVENT)}\n{"complete":true,"count":1,"next":null}\n`,
            },
            'text/csv': {
              description:
                'RFC 4180: a line of titles, and a line for each event. No cell is a formula to a spreadsheet.',
              example: 'seq,id,occurred_at,…\r\n1,186564da-034d-4f28-8ae4-8230632a6738,2026-11-28T00:44:15.946Z,…\r\n',
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
  {
    ...COMMON,
    pattern: '/api/v1/audit/counts',
    id: 'countAuditEvents',
    summary: 'Count events of the trail',
    description: `Counts the events of a filter by what they have in common. The largest counts come first, and of days and hours the newest: at most ${AUDIT_COUNT_MAX_KEYS}. At most ${AUDIT_COUNT_MAX_ROWS} events are looked at, the newest first; where there are more, the answer is \`partial\`.`,
    parameters: [
      {
        ...query(
          'by',
          'What to count by. By `code`, events without one are left out. Days and hours are of UTC.',
          z.enum(COUNTED_BY),
          'actor',
        ),
        required: true,
      },
      ...filters,
    ],
    successes: [
      {
        status: 200,
        description: 'The counts.',
        content: {
          schema: auditCountsAnswer,
          examples: {
            actors: {
              success: true,
              message: 'Audit events by actor.',
              data: [
                { key: 'https://issuer.example|ci', count: 1204 },
                { key: 'https://issuer.example|auth0|7', count: 31, label: 'alice@acme.example' },
              ],
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'validation_failed', ...RECORDED],
  },
  {
    ...COMMON,
    tag: 'tokens',
    pattern: '/api/v1/service-account-tokens/:id/events',
    id: 'listTokenEvents',
    summary: "Read a token's life",
    description:
      'What was done to a token that the caller may see, by whom, and what became of that: creates, updates and revokes, of callers, webhooks and this service itself, and the notices that it expires. It can be read after the token has ended, and has no reads and no denied requests. Who has no `audit:read` is not told from where others did it. A token of somebody else is answered as one that does not exist.',
    access: 'tokens:read',
    parameters: [tokenIdParameter, ...workspaceParameters, order, limit, cursorOfPage],
    successes: [
      {
        status: 200,
        description: 'A page of events.',
        content: {
          schema: auditEventsAnswer,
          examples: {
            events: {
              success: true,
              message: 'Events of a service account token.',
              data: [EVENT],
              pagination: { next_cursor: null, has_more: false },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'token_not_found', ...UPSTREAM],
  },
];
