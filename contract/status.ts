import * as z from 'zod';
import {
  CREDENTIAL_LOSSES,
  DEGRADED_REASONS,
  ERROR_CODES,
  LOG_STOPS,
  NOT_READY_REASONS,
  UPSTREAM_TROUBLES,
} from '../src/vocabulary.ts';
import { component, count, say, success, time } from './schema.ts';

// What `/api/v1/status` answers.

const listState = z.strictObject({
  workspaces: count(),
  open_creates: say(count(), 'Creates whose outcome is unknown and that wait for a list of these workspaces.'),
});
const explainedListState = listState.extend({
  since: say(time().nullable(), 'Since when the first of them is in this state.'),
  workspace_uuids: say(z.array(z.string()), 'The first ten.'),
  what_to_do: say(z.string().nullable(), 'What somebody who runs this service can do. Null: nothing is to be done.'),
});

const quotaWindow = z.strictObject({
  limit: say(count(), 'How many calls PipeOps allows.'),
  reserved: say(count(), 'How many this service has reserved.'),
  remaining: say(count().nullable(), 'What PipeOps says is left. Null: it has told nothing.'),
  resets_at: time().nullable(),
});

const loss = z.enum([...CREDENTIAL_LOSSES, 'unreadable']);

const notReady = component(
  'NotReady',
  z.strictObject({
    reason: z.enum(NOT_READY_REASONS),
    since: time().nullable(),
    lacking: say(z.array(z.string()), 'The tables and migrations that are missing.').optional(),
    what_to_do: z.string(),
  }),
  'What keeps the service from its work.',
);

const degraded = component(
  'Degraded',
  z.strictObject({
    reason: z.enum(DEGRADED_REASONS),
    since: say(time().nullable(), 'Since when, as far as is known.'),
    last_at: say(time().nullable(), 'When a call to PipeOps met it last.'),
    error_code: z.enum(ERROR_CODES).nullable().optional(),
    upstream_status: z.int().nullable().optional(),
    credential: say(z.string(), 'The setting that holds the credential.').optional(),
    credentials: say(z.array(z.string()), 'The settings that hold the refused credentials.').optional(),
    expires_at: time().nullable().optional(),
    because: say(loss, 'Why the credential does not renew itself any more.').optional(),
    event_id: say(z.string().nullable(), 'The event of the exchange.').optional(),
    workspace_uuids: say(z.array(z.string()), 'Where PipeOps forbids calls.').optional(),
    said_by: say(z.enum(['pipeops', 'countersign']), 'Who says that no call is left.').optional(),
    window: z.enum(['minute', 'hour']).optional(),
    free_again_at: time().nullable().optional(),
    d1_bytes: count().nullable().optional(),
    missing: say(z.array(z.string()), 'The ids of fingerprint keys that are not configured.').optional(),
    orders: say(count(), 'How many orders it is about.').optional(),
    rows: say(count(), 'How many rows of D1 it is about.').optional(),
    log: say(count().nullable(), 'The number of the log of the trail; null where none has begun.').optional(),
    oldest_unsealed_at: say(time().nullable(), 'When the oldest fact came to be that has no seal.').optional(),
    age_seconds: say(count(), 'How long that fact has been waiting.').optional(),
    what_to_do: z.string(),
  }),
  'What works and needs somebody to look into it. Which facts it has depends on its reason.',
);

const renewal = component(
  'CredentialRenewal',
  z.strictObject({
    renewals: say(count(), 'How often the credential has been renewed.'),
    renewed_at: time().nullable(),
    due_at: time().nullable(),
    last_tried_at: time().nullable(),
    last_error: z.enum(ERROR_CODES).nullable(),
    lost: z.strictObject({ because: loss, since: time().nullable(), event_id: z.string().nullable() }).nullable(),
  }),
  'How the admin credential renews itself.',
);

export const statusAnswer = component(
  'StatusAnswer',
  success(
    z.strictObject({
      ready: z.boolean(),
      not_ready: z.array(notReady),
      degraded: z.array(degraded),
      upstream: z.strictObject({
        last_success_at: time().nullable(),
        last_failure: z
          .strictObject({
            at: time().nullable(),
            reason: z.enum(UPSTREAM_TROUBLES),
            error_code: z.enum(ERROR_CODES).nullable(),
            upstream_status: z.int().nullable(),
            goes_on: say(z.boolean(), 'Whether it is not over yet.'),
          })
          .nullable(),
      }),
      policy: say(
        z.strictObject({ version: z.string() }),
        'The version of the policy that decides, as events name it.',
      ),
      open_attempts: z.strictObject({ count: count(), oldest_at: time().nullable() }),
      orders: z.strictObject({
        open: count(),
        acknowledged: count(),
        failed: count(),
        contradicted: count(),
        oldest_at: time().nullable(),
        next_scheduled_at: say(
          time().nullable(),
          'When the next token that a rotation has replaced is to be revoked. A time that has passed says that the cron does not run.',
        ),
      }),
      webhooks: z.strictObject({ refused_24h: count() }),
      fingerprint_keys: z.strictObject({
        current: z.string().nullable(),
        missing: say(z.array(z.string()), 'Keys that live tokens need and that are not configured.'),
      }),
      lists: z.strictObject({
        complete: listState,
        partial: explainedListState,
        unproven: explainedListState,
        unavailable: explainedListState,
      }),
      token_limits: z.strictObject({
        above_four_fifths: say(
          z.array(z.strictObject({ issuer: z.string(), subject: z.string(), live: count(), limit: count() })),
          'Owners who hold more than four fifths of the tokens that their roles allow.',
        ),
        more: z.boolean(),
      }),
      expiring: say(
        z.strictObject({
          within_1_day: count(),
          within_7_days: count(),
          within_30_days: count(),
          more: say(z.boolean(), 'Whether only the first 10,000 were counted.'),
        }),
        'Live tokens that expire soon.',
      ),
      usage: say(
        z.strictObject({
          workspaces: say(count(), 'Workspaces that are looked at each night.'),
          unknown: say(
            z.strictObject({
              workspaces: count(),
              workspace_uuids: say(z.array(z.string()), 'The first ten.'),
              what_to_do: z.string().nullable(),
            }),
            'Workspaces in which PipeOps was not seen to fill in times of use for a week. None of their tokens is suspended as unused.',
          ),
          unused: say(
            count(),
            'Tokens that nobody has used for as long as their role allows, as of the last nightly look.',
          ),
          never_used: count(),
        }),
        'What is known of the use of tokens.',
      ),
      quota: z.strictObject({
        wait_until: say(time().nullable(), 'PipeOps asks to wait until then.'),
        minute: quotaWindow,
        hour: quotaWindow,
      }),
      credentials: say(
        z.array(
          z.strictObject({
            name: say(z.string(), 'The setting that holds it.'),
            in_use: say(z.boolean(), 'Whether PipeOps accepted it last.'),
            expires_at: time().nullable(),
            last_accepted_at: time().nullable(),
            last_refused_at: time().nullable(),
          }),
        ),
        'The admin credentials, in the order in which they are tried.',
      ),
      credential_renewal: say(renewal.nullable(), 'Null: it is switched off.'),
      trail_log: say(
        z
          .strictObject({
            number: say(z.int().nullable(), 'The current log. Null: nothing was sealed yet.'),
            size: say(count(), 'How many entries it has.'),
            published_size: say(count(), 'How many of them its last published checkpoint covers.'),
            published_at: time().nullable(),
            stopped: say(z.enum(LOG_STOPS).nullable(), 'Why it does not grow any more. Null: it grows.'),
            unsealed_events: say(count(), 'Events that no published checkpoint covers, at least in part.'),
            oldest_unsealed_at: time().nullable(),
            witnesses: say(
              z.array(z.strictObject({ name: z.string(), cosigned_at: time().nullable() })),
              'The witnesses that are configured, and when each has cosigned the last published checkpoint. Null: it has not.',
            ),
          })
          .nullable(),
        'How far the trail is sealed. Null: it is not sealed.',
      ),
      d1_bytes: count().nullable(),
      d1_max_bytes: say(count(), 'The size at which D1 takes no more rows.'),
      d1_nearly_full: z.boolean(),
    }),
  ),
  'How the service is.',
);
