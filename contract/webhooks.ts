import * as z from 'zod';
import { DELIVERIES_PAGE_DEFAULT_ROWS, DELIVERIES_PAGE_MAX_ROWS } from '../src/config/limits.ts';
import { deliveriesAnswer, deliveryAnswer, doneAnswer, receiptAnswer, retriedAnswer } from './deliveries.ts';
import { RECORDED } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { event } from './payloads.ts';
import { uuid } from './schema.ts';
import { cursorParameter } from './trail.ts';

const DELIVERY_ID = '1e02cc7c-b21e-4f38-9794-a35ab41bdcc7';
const RECEIVED_AT = '2026-11-28T00:44:17.472Z';
const SUMMARY = {
  id: DELIVERY_ID,
  source: 'scanner',
  event: 'token.leaked',
  sender_id: 'msg_f8c8e692',
  received_at: RECEIVED_AT,
  event_id: '2692281b-33b0-482a-b689-002c54a712da',
  ignored: null,
  refused: null,
  tokens: { matched: 1, unmatched: 0, out_of_scope: 0 },
  orders: { open: 0, acknowledged: 0, confirmed: 1, failed: 0 },
};
const WORKSPACE = '5877a4ae-0000-4000-8000-000000000001';
const TOKEN = '7fc02de4-5179-48c5-9cca-97ceb4aafe27';

const signatureHeader = (name: string, description: string, schema: z.ZodType, example: string): Parameter => ({
  in: 'header',
  name,
  description,
  schema,
  example,
});

const deliveryId: Parameter = {
  in: 'path',
  name: 'delivery_id',
  description: 'The id of the delivery, as its receipt gave it.',
  schema: uuid(),
  example: DELIVERY_ID,
};

const DELIVERIES = '/api/v1/webhooks/deliveries';
const COMMON = { tag: 'webhooks', isRecorded: true } as const;

export const webhookOperations: readonly Operation[] = [
  {
    ...COMMON,
    method: 'POST',
    pattern: '/webhooks/:source',
    id: 'receiveWebhook',
    summary: 'Send a webhook',
    description:
      'Takes what a scanner, an HR system or an incident tool orders. 202 means that the order is stored and will be carried out; the same delivery takes effect once, however often it is sent.',
    access: 'sender',
    parameters: [
      {
        in: 'path',
        name: 'source',
        description: 'The sender, as the policy names it.',
        schema: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
        example: 'scanner',
      },
      signatureHeader(
        'webhook-id',
        'Of Standard Webhooks: the id of the delivery. `svix-id` is read as well.',
        z.string().min(1),
        'msg_f8c8e692',
      ),
      signatureHeader(
        'webhook-timestamp',
        'Of Standard Webhooks: the time of sending, in seconds since the epoch, at most five minutes off. `svix-timestamp` is read as well.',
        z.string().regex(/^\d{1,12}$/),
        '1795826657',
      ),
      signatureHeader(
        'Github-Public-Key-Identifier',
        'Of GitHub: the key that made the signature.',
        z.string().min(1),
        'bcb53661c06b4728e59d897fb6165d5c9cda0fd9cdf9d09ead458168deb7518c',
      ),
    ],
    body: {
      description: 'The event. The signature is over these bytes.',
      schema: event,
      examples: {
        leak: {
          type: 'token.leaked',
          data: { token: 'sat_mh4J3Fj…', url: 'https://github.com/acme/shop/blob/main/.env' },
        },
        revoke: { type: 'token.revoke', data: { token_id: TOKEN, workspace_uuid: WORKSPACE } },
        offboard: { type: 'subject.offboarded', data: { label: 'kim@acme.example', mode: 'suspend' } },
        reinstate: { type: 'subject.reinstated', data: { label: 'kim@acme.example' } },
        github: [{ token: 'sat_mh4J3Fj…', type: 'pipeops_token', url: 'https://github.com/acme/shop/blob/main/.env' }],
      },
    },
    successes: [
      {
        status: 202,
        description: 'It is stored, and is being carried out. The answer is the same for a repetition.',
        content: {
          schema: receiptAnswer,
          examples: {
            accepted: {
              success: true,
              message: 'Accepted. It is being carried out.',
              data: { delivery_id: DELIVERY_ID, received_at: RECEIVED_AT },
            },
          },
        },
      },
      {
        status: 200,
        description: 'The event is recorded, or counted, and not acted on. To GitHub: the secrets that are ours.',
        content: {
          schema: doneAnswer,
          examples: {
            ignored: {
              success: true,
              message: 'Recorded. This source may not send this event, so nothing is done.',
              data: { delivery_id: DELIVERY_ID, received_at: RECEIVED_AT, ignored: 'event_not_allowed' },
            },
            github: [
              {
                token_hash: '9d1a2f5c0f3d4b1e8c7a6958473625140f9e8d7c6b5a493827160f5e4d3c2b1a',
                token_type: 'pipeops_token',
                label: 'true_positive',
              },
            ],
          },
        },
      },
    ],
    failures: [
      'invalid_json',
      'invalid_request',
      'body_too_large',
      'too_many_tokens',
      'id_reused',
      'route_not_found',
      'audit_unavailable',
      'not_ready',
    ],
  },
  {
    ...COMMON,
    method: 'GET',
    pattern: DELIVERIES,
    id: 'listDeliveries',
    summary: 'List deliveries',
    description: 'What came in by webhook, newest first, and what each led to.',
    access: 'audit:read',
    parameters: [
      {
        in: 'query',
        name: 'limit',
        description: `How many deliveries the page has at the most. Default: ${DELIVERIES_PAGE_DEFAULT_ROWS}.`,
        schema: z.int().min(1).max(DELIVERIES_PAGE_MAX_ROWS),
        example: 20,
      },
      cursorParameter('`next_cursor` of the page before, as it was given.'),
    ],
    successes: [
      {
        status: 200,
        description: 'A page of deliveries.',
        content: {
          schema: deliveriesAnswer,
          examples: {
            page: {
              success: true,
              message: 'Webhook deliveries, newest first.',
              data: [SUMMARY],
              pagination: { next_cursor: null },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED],
  },
  {
    ...COMMON,
    method: 'GET',
    pattern: `${DELIVERIES}/:delivery_id`,
    id: 'getDelivery',
    summary: 'Read a delivery',
    description: 'The receipt: each token that the delivery named, and what became of each.',
    access: 'audit:read',
    parameters: [deliveryId],
    successes: [
      {
        status: 200,
        description: 'The delivery.',
        content: {
          schema: deliveryAnswer,
          examples: {
            leak: {
              success: true,
              message: 'Webhook delivery.',
              data: {
                ...SUMMARY,
                items: [
                  {
                    position: 0,
                    found: 'matched',
                    location: 'https://github.com/acme/shop/blob/main/.env',
                    workspace_uuid: WORKSPACE,
                    token_id: TOKEN,
                  },
                ],
                revocations: [
                  {
                    event_id: 'ddf4b089-04ce-4e1a-8b8f-aa6698de8fb1',
                    workspace_uuid: WORKSPACE,
                    token_id: TOKEN,
                    mode: 'revoke',
                    state: 'confirmed',
                    result: 'revoked',
                    error_code: null,
                    tries: 1,
                    next_try_at: null,
                    received_at: RECEIVED_AT,
                    matched_at: RECEIVED_AT,
                    revoked_at: '2026-11-28T00:44:17.601Z',
                    confirmed_at: '2026-11-28T00:44:17.702Z',
                    contradicted_at: null,
                  },
                ],
              },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'delivery_not_found'],
  },
  {
    ...COMMON,
    method: 'POST',
    pattern: `${DELIVERIES}/:delivery_id/retry`,
    id: 'retryDelivery',
    summary: 'Retry a delivery',
    description:
      "Sends at once what is open or failed of a delivery's orders, and looks at what was acknowledged. It takes one role with `tokens: 'any'` that may revoke in every workspace of these orders.",
    access: 'tokens:revoke',
    parameters: [deliveryId],
    successes: [
      {
        status: 202,
        description: 'It is being tried again.',
        content: {
          schema: retriedAnswer,
          examples: {
            retried: {
              success: true,
              message: 'What is left of this delivery is being tried again.',
              data: { retried: 1 },
            },
          },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'delivery_not_found'],
  },
];
