import * as z from 'zod';
import {
  ACTOR_ISSUER_MAX_BYTES,
  ACTOR_SUBJECT_MAX_BYTES,
  JWT_MAX_BYTES,
  REVOCATION_REASON_MAX_BYTES,
  WEBHOOK_TOKENS_MAX_COUNT,
} from '../src/config/limits.ts';
import { reason, revocationFields, subjectFields, tokenIds } from '../src/revocation/callers/requests.ts';
import { ID_PATTERN } from './bodies.ts';
import { deliveryAnswer } from './deliveries.ts';
import { JSON_BODY, RECORDED } from './failures.ts';
import type { Operation, Parameter } from './operation.ts';
import { component, requestObject, say, uuid } from './schema.ts';
import { idempotencyKey } from './tokens.ts';

// Revocations and reinstatements by a caller. Their bodies are made of the very schemas that validate them.

say(
  reason,
  `Why. At most ${REVOCATION_REASON_MAX_BYTES} bytes of UTF-8, where a quote, a backslash and a line break are two, and nothing that looks like a token secret or a JWT: it stands in the trail and in the receipt.`,
  { minLength: 1, maxLength: REVOCATION_REASON_MAX_BYTES, pattern: String.raw`\S`, format: 'token-description' },
);
say(tokenIds, 'The tokens to revoke, whoever owns them. One that is named twice counts once.', {
  maxItems: WEBHOOK_TOKENS_MAX_COUNT,
  items: { type: 'string', pattern: ID_PATTERN },
});
const { issuer, subject: name, label } = subjectFields.shape;
const NAMED = { minLength: 1, format: 'stored-text' };
say(issuer.unwrap(), 'The issuer of the JWTs of whom it is about.', { ...NAMED, maxLength: ACTOR_ISSUER_MAX_BYTES });
say(name.unwrap(), 'The claim that owns tokens.', { ...NAMED, maxLength: ACTOR_SUBJECT_MAX_BYTES });
say(label.unwrap(), 'Everybody who carries this label, such as an e-mail address.', {
  ...NAMED,
  maxLength: JWT_MAX_BYTES,
});

const subject = component(
  'SubjectRef',
  z.union([
    requestObject({ issuer: issuer.unwrap(), subject: name.unwrap() }),
    requestObject({ label: label.unwrap() }),
  ]),
  'Somebody: by issuer and subject, or by label.',
);

const revokeTokens = component(
  'RevokeTokens',
  requestObject({
    workspace_uuid: say(revocationFields.shape.workspace_uuid.unwrap(), 'The workspace of these tokens.', {
      pattern: ID_PATTERN,
      examples: ['5877a4ae-0000-4000-8000-000000000001'],
    }),
    token_ids: tokenIds,
    reason,
  }),
  'Revokes tokens of one workspace.',
);
const offboardSubject = component(
  'OffboardSubject',
  requestObject({
    subject,
    mode: say(
      revocationFields.shape.mode.unwrap().nullable().optional(),
      'What becomes of their tokens. Default: `revoke`.',
    ),
    reason,
  }),
  'Revokes or suspends every token of somebody, who is refused everything from then on.',
);
const revocation = component('NewRevocation', z.union([revokeTokens, offboardSubject]), 'What is to be revoked.');
const reinstatement = component(
  'NewReinstatement',
  requestObject({ subject, reason }),
  'Whose block is to be lifted. It is lifted whoever has made it.',
);

const ID = '1e02cc7c-b21e-4f38-9794-a35ab41bdcc7';
const WORKSPACE = '5877a4ae-0000-4000-8000-000000000001';
const TOKEN = '7fc02de4-5179-48c5-9cca-97ceb4aafe27';
const AT = '2026-11-28T00:44:17.472Z';
const RECEIPT = {
  id: ID,
  source: null,
  actor: { type: 'user', issuer: 'https://issuer.example', subject: 'kim', label: 'kim@acme.example' },
  reason: 'INC-7: leaked in a build log',
  event: 'token.revoke',
  sender_id: null,
  received_at: AT,
  event_id: '2692281b-33b0-482a-b689-002c54a712da',
  ignored: null,
  refused: null,
  tokens: { matched: 1, unmatched: 0, out_of_scope: 0 },
  orders: { open: 1, acknowledged: 0, confirmed: 0, failed: 0 },
  items: [{ position: 0, found: 'matched', location: null, workspace_uuid: WORKSPACE, token_id: TOKEN }],
  revocations: [
    {
      event_id: 'ddf4b089-04ce-4e1a-8b8f-aa6698de8fb1',
      workspace_uuid: WORKSPACE,
      token_id: TOKEN,
      mode: 'revoke',
      state: 'open',
      result: null,
      error_code: null,
      tries: 0,
      next_try_at: AT,
      received_at: AT,
      matched_at: AT,
      revoked_at: null,
      confirmed_at: null,
      contradicted_at: null,
    },
  ],
};

const revocationId: Parameter = {
  in: 'path',
  name: 'revocation_id',
  description: 'The `id` of the receipt.',
  schema: uuid(),
  example: ID,
};

const WHO =
  "It takes one role with `tokens: 'any'`: for tokens, one that may revoke in their workspace; for a subject, one for `workspaces: ['*']`, since a block counts everywhere.";
const REVOCATIONS = '/api/v1/revocations';
const COMMON = { tag: 'incidents', isRecorded: true, access: 'tokens:revoke' } as const;

export const revocationOperations: readonly Operation[] = [
  {
    ...COMMON,
    method: 'POST',
    pattern: REVOCATIONS,
    id: 'createRevocation',
    summary: 'Revoke in an incident',
    description: `Revokes tokens by their ids, or offboards somebody. 202 means that the order is stored, and that it is carried out however long PipeOps fails. ${WHO} Nobody can offboard himself.`,
    parameters: [
      idempotencyKey('the same request with the same key takes effect once, and is answered with its receipt'),
    ],
    body: {
      description: 'Tokens, or a subject; and why.',
      schema: revocation,
      examples: {
        tokens: { workspace_uuid: WORKSPACE, token_ids: [TOKEN], reason: RECEIPT.reason },
        subject: { subject: { label: 'lee@acme.example' }, mode: 'suspend', reason: 'INC-8: laptop stolen' },
      },
    },
    successes: [
      {
        status: 202,
        description: 'It is stored, and is being carried out: the receipt, which grows with what becomes of it.',
        headers: ['Location', 'Idempotency-Replayed'],
        content: {
          schema: deliveryAnswer,
          examples: {
            accepted: { success: true, message: 'Accepted. It is being carried out.', data: RECEIPT },
          },
        },
      },
    ],
    failures: [...JSON_BODY, ...RECORDED, 'too_many_tokens', 'idempotency_key_reused'],
  },
  {
    ...COMMON,
    method: 'GET',
    pattern: `${REVOCATIONS}/:revocation_id`,
    id: 'getRevocation',
    summary: 'Read a revocation',
    description:
      'The receipt of a revocation or a reinstatement, for whoever may order the like, and for whoever has `audit:read`.',
    parameters: [revocationId],
    successes: [
      {
        status: 200,
        description: 'The receipt.',
        content: {
          schema: deliveryAnswer,
          examples: { revocation: { success: true, message: 'Revocation.', data: RECEIPT } },
        },
      },
    ],
    failures: ['invalid_request', ...RECORDED, 'delivery_not_found'],
  },
  {
    ...COMMON,
    method: 'POST',
    pattern: '/api/v1/reinstatements',
    id: 'createReinstatement',
    summary: 'Reinstate somebody',
    description:
      "Lifts the blocks of somebody, made by a webhook or here, as they were made: by issuer and subject, or by label. Revoked tokens stay revoked, and a suspended one is resumed by an update. It takes one role with `tokens: 'any'` and `workspaces: ['*']`.",
    parameters: [
      idempotencyKey('the same request with the same key takes effect once, and is answered with its receipt'),
    ],
    body: {
      description: 'Whom, and why.',
      schema: reinstatement,
      examples: { label: { subject: { label: 'lee@acme.example' }, reason: 'INC-8: the laptop was found' } },
    },
    successes: [
      {
        status: 200,
        description: 'It is done: `blocks_lifted` says how many blocks were lifted, and `owners` whose.',
        headers: ['Idempotency-Replayed'],
        content: {
          schema: deliveryAnswer,
          examples: {
            lifted: {
              success: true,
              message: 'Lifted. Whoever was blocked may call again; revoked tokens stay revoked.',
              data: {
                ...RECEIPT,
                event: 'subject.reinstated',
                reason: 'INC-8: the laptop was found',
                blocks_lifted: 1,
                subject: { label: 'lee@acme.example' },
                owners: [],
                also_carried: [],
                tokens: { matched: 0, unmatched: 0, out_of_scope: 0 },
                orders: { open: 0, acknowledged: 0, confirmed: 0, failed: 0 },
                items: [],
                revocations: [],
              },
            },
          },
        },
      },
    ],
    failures: [...JSON_BODY, ...RECORDED, 'idempotency_key_reused'],
  },
];
