import * as z from 'zod';
import { ACTOR_TYPES, DEGRADED_REASONS, PERMISSIONS } from '../src/vocabulary.ts';
import { RECORDED } from './failures.ts';
import type { Operation } from './operation.ts';
import { component, count, say, success, time } from './schema.ts';
import { statusAnswer } from './status.ts';

const healthAnswer = component(
  'HealthAnswer',
  success(z.strictObject({ healthy: z.literal(true) })),
  'The process runs.',
);

const readyAnswer = component(
  'ReadyAnswer',
  success(
    z.strictObject({
      ready: z.literal(true),
      not_ready: say(z.array(z.string()).max(0), 'Always empty here: a service that is not ready answers 503.'),
      degraded: say(z.array(z.enum(DEGRADED_REASONS)), 'What works and still needs somebody to look into it.'),
      open_attempts: say(count(), 'Attempts whose outcome is not known yet.'),
      open_orders: say(count(), 'Revocations that PipeOps has not acknowledged.'),
      acknowledged_orders: say(count(), 'Revocations that PipeOps has acknowledged and no later look has confirmed.'),
      contradicted_orders: say(count(), 'Revocations of tokens that a later look showed alive.'),
      failed_orders: say(count(), 'Revocations that were given up.'),
      unsealed_seconds: say(
        count(),
        'The age of the oldest fact of the trail without a seal; 0 where there is none.',
      ).optional(),
    }),
  ),
  'The service can do its work.',
);

const role = component(
  'Role',
  z.strictObject({
    name: z.string(),
    permissions: z.array(z.enum(PERMISSIONS)),
    tokens: say(z.enum(['own', 'any']), 'Whose tokens it is about.'),
    workspaces: say(z.array(z.string()), '`["*"]`: all.'),
    scopes: say(z.array(z.string()), 'The most that a token minted under it may hold. `["*"]`: there is no ceiling.'),
    max_ttl_seconds: say(z.int().min(1).nullable(), 'The longest life of a token minted under it. Null: any.'),
    presets: say(z.record(z.string(), z.array(z.string())), 'The presets that it can use, with the scopes of each.'),
    max_tokens: say(z.int().min(1), 'How many live tokens one owner may hold; by rotations twice as many.'),
    max_overlap_seconds: say(z.int().min(0), 'How long a rotated token may live on beside its successor.'),
  }),
  'What a binding of the policy gives a caller.',
);

const whoamiAnswer = component(
  'WhoamiAnswer',
  success(
    z.strictObject({
      issuer: z.string(),
      subject: say(z.string(), 'The claim that owns tokens.'),
      label: say(z.string().nullable(), 'The claim that people read, such as an e-mail address.'),
      actor_type: z.enum(ACTOR_TYPES),
      roles: z.array(role),
      live_tokens: z.strictObject({
        count: say(count().nullable(), 'How many live tokens the caller holds. Null: the database does not answer.'),
        limit: say(z.int().min(1).nullable(), 'The most that any of its roles allows. Null: none allows a create.'),
      }),
      session: say(
        z
          .strictObject({
            started_at: time(),
            ends_at: time(),
            idle_seconds: say(z.int().min(1), 'The session also ends if nobody uses it for so long.'),
          })
          .nullable(),
        'The browser session that the request came through. Null: it came with a JWT.',
      ),
    }),
  ),
  'Who the caller is here, and what its roles allow.',
);

const workspacesAnswer = component(
  'WorkspacesAnswer',
  success(
    z.strictObject({
      workspaces: z.array(z.strictObject({ id: z.string(), uuid: z.string(), name: z.string() })),
    }),
  ),
  "Workspaces as PipeOps' own clients read them. Their names at PipeOps are not known here, so the UUID stands for each.",
);

const WORKSPACE = '5877a4ae-0000-4000-8000-000000000001';
const NO_LIST = { workspaces: 0, open_creates: 0, since: null, workspace_uuids: [], what_to_do: null };
const COMMON = { tag: 'service', method: 'GET', parameters: [] } as const;

export const serviceOperations: readonly Operation[] = [
  {
    ...COMMON,
    pattern: '/api/v1/whoami',
    id: 'whoami',
    summary: 'Read who you are',
    description: 'Says who the caller is here, what its roles allow, and how many live tokens it holds.',
    access: 'caller',
    isRecorded: false,
    successes: [
      {
        status: 200,
        description: 'The caller.',
        content: {
          schema: whoamiAnswer,
          examples: {
            ci: {
              success: true,
              message: 'You are known here.',
              data: {
                issuer: 'https://issuer.example',
                subject: 'ci',
                label: 'acme/shop',
                actor_type: 'service_account',
                roles: [
                  {
                    name: 'ci',
                    permissions: ['tokens:create', 'tokens:read', 'tokens:revoke'],
                    tokens: 'own',
                    workspaces: [WORKSPACE],
                    scopes: ['api:read'],
                    max_ttl_seconds: 2_592_000,
                    presets: {},
                    max_tokens: 2_000,
                    max_overlap_seconds: 604_800,
                  },
                ],
                live_tokens: { count: 3, limit: 2_000 },
                session: null,
              },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'subject_blocked', 'audit_unavailable', 'not_ready'],
  },
  {
    ...COMMON,
    pattern: '/workspace',
    id: 'listWorkspaces',
    summary: 'List workspaces',
    description:
      "PipeOps' own list of workspaces, which its clients ask for first: those that the caller may use here.",
    access: 'caller',
    isRecorded: true,
    successes: [
      {
        status: 200,
        description: 'The workspaces, the default one first.',
        content: {
          schema: workspacesAnswer,
          examples: {
            one: {
              success: true,
              message: 'Workspaces that you may use here.',
              data: { workspaces: [{ id: WORKSPACE, uuid: WORKSPACE, name: WORKSPACE }] },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'subject_blocked', 'audit_unavailable', 'not_ready'],
  },
  {
    ...COMMON,
    pattern: '/api/v1/status',
    id: 'getStatus',
    summary: 'Read how the service is',
    description:
      'Shows what is open, what PipeOps still allows, when the credentials expire, and how large the database is.',
    access: 'audit:read',
    isRecorded: true,
    successes: [
      {
        status: 200,
        description: 'The status.',
        content: {
          schema: statusAnswer,
          examples: {
            idle: {
              success: true,
              message: 'Status of this service.',
              data: {
                ready: true,
                not_ready: [],
                degraded: [],
                upstream: { last_success_at: '2026-11-28T00:44:15.000Z', last_failure: null },
                policy: { version: '5d41402abc4b2a76' },
                open_attempts: { count: 0, oldest_at: null },
                orders: {
                  open: 0,
                  acknowledged: 0,
                  failed: 0,
                  contradicted: 0,
                  oldest_at: null,
                  next_scheduled_at: null,
                },
                webhooks: { refused_24h: 0 },
                fingerprint_keys: { current: 'k1', missing: [] },
                lists: {
                  complete: { workspaces: 1, open_creates: 0 },
                  partial: NO_LIST,
                  unproven: NO_LIST,
                  unavailable: NO_LIST,
                },
                token_limits: { above_four_fifths: [], more: false },
                expiring: { within_1_day: 0, within_7_days: 2, within_30_days: 5, more: false },
                usage: {
                  workspaces: 1,
                  unknown: { workspaces: 0, workspace_uuids: [], what_to_do: null },
                  unused: 3,
                  never_used: 1,
                },
                quota: {
                  wait_until: null,
                  minute: { limit: 100, reserved: 2, remaining: 97, resets_at: '2026-11-28T00:45:00.000Z' },
                  hour: { limit: 1_000, reserved: 31, remaining: null, resets_at: null },
                },
                credentials: [
                  {
                    name: 'PIPEOPS_ADMIN_TOKEN',
                    in_use: true,
                    expires_at: '2027-02-01T00:00:00.000Z',
                    last_accepted_at: '2026-11-28T00:44:15.000Z',
                    last_refused_at: null,
                  },
                ],
                credential_renewal: null,
                trail_log: {
                  number: 1,
                  size: 4_711,
                  published_size: 4_711,
                  published_at: '2026-11-28T00:44:10.000Z',
                  stopped: null,
                  unsealed_events: 2,
                  oldest_unsealed_at: '2026-11-28T00:44:30.000Z',
                  witnesses: [{ name: 'witness.example', cosigned_at: '2026-11-28T00:44:11.000Z' }],
                },
                d1_bytes: 524_288,
                d1_max_bytes: 10_000_000_000,
                d1_nearly_full: false,
              },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED],
  },
  {
    ...COMMON,
    pattern: '/healthz',
    id: 'getHealth',
    summary: 'Check the process',
    description: 'Says that the process runs, and asks nothing else.',
    access: 'anyone',
    isRecorded: false,
    successes: [
      {
        status: 200,
        description: 'It runs.',
        content: {
          schema: healthAnswer,
          examples: { runs: { success: true, message: 'The process runs.', data: { healthy: true } } },
        },
      },
    ],
    failures: ['invalid_request'],
  },
  {
    ...COMMON,
    pattern: '/readyz',
    id: 'getReadiness',
    summary: 'Check whether the service can work',
    description:
      'Says whether the service can do its work. It asks the database at most every five seconds, and never PipeOps.',
    access: 'anyone',
    isRecorded: false,
    successes: [
      {
        status: 200,
        description: 'It can.',
        content: {
          schema: readyAnswer,
          examples: {
            ready: {
              success: true,
              message: 'Ready.',
              data: {
                ready: true,
                not_ready: [],
                degraded: [],
                open_attempts: 0,
                open_orders: 0,
                acknowledged_orders: 0,
                contradicted_orders: 0,
                failed_orders: 0,
              },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', 'not_ready'],
  },
];
